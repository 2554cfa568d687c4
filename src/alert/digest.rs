//! What of a run's troubles is new, what repeats, what goes on, and what is over.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::alert::{Round, Trouble};

/// A trouble that was told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    pub server: Option<String>,
    pub target: String,
    pub code: String,
    pub message: String,
    pub advice: Option<String>,
    #[serde(default)]
    pub tail: Vec<String>,
    pub passing: bool,
    pub since: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
    /// In how many runs, since then.
    pub times: u32,
    pub told: DateTime<Utc>,
    /// How often it came back soon after it was over.
    pub returns: u32,
    pub well_since: Option<DateTime<Utc>>,
    pub over: Option<DateTime<Utc>>,
}

/// By target and code.
pub type Known = BTreeMap<String, Remembered>;

/// What a mail has to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digest {
    pub new: Vec<Remembered>,
    /// Told before, and long enough ago to be told again.
    pub again: Vec<Remembered>,
    /// Told a short while ago; no reason for a mail.
    pub going_on: Vec<Remembered>,
    pub over: Vec<Remembered>,
}

impl Digest {
    pub fn is_due(&self) -> bool {
        !(self.new.is_empty() && self.again.is_empty() && self.over.is_empty())
    }
}

/// A trouble that came back so often is over only when it stayed away for [`STEADY`].
const MANY_RETURNS: u32 = 2;
const STEADY: TimeDelta = TimeDelta::hours(1);
/// Targets that no run looks at any more.
const FORGOTTEN: TimeDelta = TimeDelta::days(30);

/// Brings what is known up to this run, and says what of it a person should hear.
pub fn digest(known: &mut Known, round: &Round<'_>, repeat_after: TimeDelta, now: DateTime<Utc>) -> Digest {
    let mut digest = Digest::default();
    let mut seen = BTreeMap::new();
    for trouble in round.troubles {
        seen.entry(format!("{} {}", trouble.target, trouble.code.word())).or_insert(trouble);
    }
    for (key, trouble) in &seen {
        let Some(old) = known.get_mut(key) else {
            let new = begin(trouble, now, 0);
            digest.new.push(new.clone());
            known.insert(key.clone(), new);
            continue;
        };
        if old.over.is_some() {
            *old = begin(trouble, now, old.returns + 1);
            digest.new.push(old.clone());
            continue;
        }
        old.times = old.times.saturating_add(1);
        old.last_seen = now;
        old.well_since = None;
        old.message.clone_from(&trouble.message);
        old.advice.clone_from(&trouble.advice);
        old.tail.clone_from(&trouble.tail);
        if now - old.told >= repeat_after {
            old.told = now;
            digest.again.push(old.clone());
        } else {
            digest.going_on.push(old.clone());
        }
    }
    for (key, old) in known.iter_mut().filter(|(key, old)| old.over.is_none() && !seen.contains_key(*key)) {
        debug_assert!(!key.is_empty());
        if old.passing || !(round.is_well)(&old.target) {
            continue;
        }
        let well_since = *old.well_since.get_or_insert(now);
        let steady = if old.returns < MANY_RETURNS { TimeDelta::zero() } else { STEADY.min(repeat_after) };
        if now - well_since >= steady {
            old.over = Some(now);
            digest.over.push(old.clone());
        }
    }
    known.retain(|key, old| {
        let rest = if old.passing { Some(old.told) } else { old.over };
        seen.contains_key(key)
            || (rest.is_none_or(|rest| now - rest < repeat_after) && now - old.last_seen.max(old.told) < FORGOTTEN)
    });
    digest
}

fn begin(trouble: &Trouble, now: DateTime<Utc>, returns: u32) -> Remembered {
    Remembered {
        server: trouble.server.clone(),
        target: trouble.target.clone(),
        code: trouble.code.word().to_owned(),
        message: trouble.message.clone(),
        advice: trouble.advice.clone(),
        tail: trouble.tail.clone(),
        passing: trouble.passing,
        since: now,
        last_seen: now,
        times: 1,
        told: now,
        returns,
        well_since: None,
        over: None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::code::Code;

    fn trouble(target: &str) -> Trouble {
        Trouble {
            server: Some("a".into()),
            target: target.into(),
            code: Code::Unreachable,
            message: "no route".into(),
            advice: None,
            tail: Vec::new(),
            passing: false,
        }
    }

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn round(known: &mut Known, troubles: &[Trouble], well: &dyn Fn(&str) -> bool, minutes: i64) -> Digest {
        let round = Round { run: "r", project: Path::new("p"), troubles, is_well: well, good: troubles.is_empty() };
        digest(known, &round, TimeDelta::hours(6), at(minutes))
    }

    #[test]
    fn told_once_then_after_six_hours_then_when_over() {
        let mut known = Known::new();
        let down = [trouble("export/a")];
        assert_eq!(round(&mut known, &down, &|_| false, 0).new.len(), 1);
        for minutes in (5..360).step_by(5) {
            assert!(!round(&mut known, &down, &|_| false, minutes).is_due());
        }
        let again = round(&mut known, &down, &|_| false, 360).again;
        assert_eq!((again[0].times, again[0].since), (73, at(0)));
        // A run that did not look at it knows nothing.
        assert!(!round(&mut known, &[], &|_| false, 365).is_due());
        assert_eq!(round(&mut known, &[], &|_| true, 370).over.len(), 1);
        assert!(!round(&mut known, &[], &|_| true, 375).is_due());
        round(&mut known, &[], &|_| true, 800);
        assert!(known.is_empty());
    }

    #[test]
    fn what_happened_once_has_no_end() {
        let mut known = Known::new();
        let happened = [Trouble { passing: true, ..trouble("export/a/OA") }];
        assert!(round(&mut known, &happened, &|_| true, 0).is_due());
        assert!(!round(&mut known, &happened, &|_| true, 5).is_due());
        assert!(!round(&mut known, &[], &|_| true, 10).is_due());
        round(&mut known, &[], &|_| true, 400);
        assert!(known.is_empty());
    }

    #[test]
    fn a_trouble_that_comes_and_goes_does_not_mail_all_night() {
        let mut known = Known::new();
        let mails = (0..300).filter(|minutes| {
            let troubles = if minutes % 2 == 0 { vec![trouble("export/a")] } else { Vec::new() };
            round(&mut known, &troubles, &|_| true, *minutes).is_due()
        });
        assert!((2..=6).contains(&mails.count()));
    }

    proptest! {
        /// However troubles come and go: a trouble is never silent longer than `repeat_after`, a person is never told of
        /// an end that was not begun, and what is known stays bounded.
        #[test]
        fn nobody_is_left_in_the_dark(steps in proptest::collection::vec((0_u8..4, 1_i64..200), 1..80)) {
            let mut known = Known::new();
            let mut open = false;
            let mut told = i64::MIN;
            let mut now = 0;
            for (what, minutes) in steps {
                now += minutes;
                let down = what < 2;
                let troubles = if down { vec![trouble("export/a")] } else { Vec::new() };
                let digest = round(&mut known, &troubles, &|_| what == 2, now);
                if !digest.new.is_empty() || !digest.again.is_empty() {
                    told = now;
                    open = true;
                }
                if !digest.over.is_empty() {
                    prop_assert!(open && !down);
                    open = false;
                }
                if down {
                    prop_assert!(open && now - told < 360);
                }
                prop_assert!(known.len() <= 1);
            }
        }
    }
}

//! The rules about accounts: R11, S2, S3, S4.

use chrono::DateTime;

use super::{Finding, Severity};
use crate::study::roster::{Person, Roster};
use crate::study::scale::{Conditions, Study};

/// R11, S2, S3 and S4. `last` is each account's newest entry, `now` the newest of all, in milliseconds.
pub fn check(
    roster: &Roster,
    study: &Study,
    table: &str,
    last: &[Option<i64>],
    now: Option<i64>,
    sink: &mut impl FnMut(&Finding<'_>),
) {
    for (number, person) in roster.people.iter().enumerate() {
        let mut find = |rule: &'static str, column: &str, value: &str, message: String| {
            super::report(
                study,
                sink,
                Finding {
                    rule,
                    severity: Severity::Notice,
                    scale: table,
                    id: &person.id,
                    participant: &person.id,
                    column,
                    value,
                    message: message.into(),
                },
            );
        };
        match (person.team, person.listed) {
            (_, Some(true)) => find("R11", "", "true", "the participants file lists it".to_owned()),
            (true, None) => find("R11", "testAccount", "true", "the table says so".to_owned()),
            (true, Some(false)) => {
                find("R11", "testAccount", "false", "cleared by the participants file".to_owned());
            }
            (false, _) => {}
        }
        if let Some(conditions) = &study.conditions {
            for (session, before, after) in &person.changes {
                if let Some(message) = change(study, conditions, session, before, after) {
                    find("S2", &conditions.column, after, message);
                }
            }
        }
        if !person.is_test() {
            if let Some((value, message)) = activity(study, person, last.get(number).copied().flatten(), now) {
                find("S3", "active", value, message);
            }
            if let Some(message) = window(study, person) {
                let value = person.created.and_then(DateTime::from_timestamp_millis).map(|moment| moment.to_rfc3339());
                find("S4", "dateCreated", &value.unwrap_or_default(), message);
            }
        }
    }
}

fn change(study: &Study, conditions: &Conditions, session: &str, before: &str, after: &str) -> Option<String> {
    let is = |group: &[String], condition: &str| group.iter().any(|known| known == condition);
    if is(&conditions.before, before) {
        return None;
    }
    let crossed = is(&conditions.control, before) && is(&conditions.treatment, after)
        || is(&conditions.treatment, before) && is(&conditions.control, after);
    if crossed {
        return Some(format!("moved between control and treatment: {before} -> {after}, at {session}"));
    }
    let fixed = conditions.fixed_after.as_ref().and_then(|session| study.session(session))?;
    let late = study.session(session).is_some_and(|at| at > fixed);
    late.then(|| format!("changed after it was fixed: {before} -> {after}, at {session}"))
}

const DAY: i64 = 86_400_000;

fn activity(study: &Study, person: &Person, last: Option<i64>, now: Option<i64>) -> Option<(&'static str, String)> {
    let (active, now) = (person.active?, now?);
    #[allow(clippy::cast_possible_truncation)] // some weeks
    let limit = (study.threshold("S3", "idle_days") * DAY as f64) as i64;
    let idle = now - last.or(person.created)?;
    let ended = study.sessions.last().is_some_and(|session| session.name == person.session)
        || study.special_sessions.contains(&person.session);
    match (active, idle > limit) {
        (true, true) if !ended => Some(("true", format!("active, but idle for {} days", idle / DAY))),
        (false, false) if !ended => Some(("false", format!("inactive, but the last entry is {} days old", idle / DAY))),
        _ => None,
    }
}

fn window(study: &Study, person: &Person) -> Option<String> {
    let enrolment = study.enrolment.as_ref()?;
    let id: Option<i64> = person.id.parse().ok();
    if enrolment.least_participant.zip(id).is_some_and(|(least, id)| id < least) {
        return Some("below the soft launch".to_owned());
    }
    let local = DateTime::from_timestamp_millis(person.created?)?.with_timezone(&enrolment.timezone).naive_local();
    if enrolment.from.is_some_and(|from| local < from) {
        return Some("joined before the study began".to_owned());
    }
    enrolment.until.is_some_and(|until| local > until).then(|| "joined after the study ended".to_owned())
}

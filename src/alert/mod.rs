//! Who is told when something breaks: one mail a run with all of it, repeats held back, a word when it is over.

pub mod digest;
pub mod letter;
pub mod mail;
pub mod memory;
pub mod signal;

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use crate::code::Code;
use crate::config::alerts::Alerts;
use digest::digest;
use letter::Letter;
use memory::Memory;

/// Something a person has to be told at once. Never holds data or secrets: it travels by mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub server: Option<String>,
    pub target: String,
    pub code: Code,
    pub message: String,
    pub advice: Option<String>,
    /// The last lines of what a command printed.
    pub tail: Vec<String>,
    /// It happened, rather than lasts: nobody is told that it is over.
    pub passing: bool,
}

/// What one run saw.
pub struct Round<'r> {
    pub run: &'r str,
    /// Of the project, so that mails say which one.
    pub project: &'r Path,
    pub troubles: &'r [Trouble],
    /// Whether this run found a target to be well. One that was not looked at is not.
    pub is_well: &'r dyn Fn(&str) -> bool,
    /// The run ended well as a whole.
    pub good: bool,
}

/// What became of a run's alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Subjects of what was composed in this run.
    pub composed: Vec<String>,
    /// Letters that left, those of earlier runs too.
    pub sent: usize,
    /// Letters that wait for a later run.
    pub waiting: usize,
    /// What went wrong with the alerts themselves.
    pub warnings: Vec<String>,
}

/// Tells people about a run; called once at its end, under the lock, also when there is no trouble: then what was kept
/// is sent and what is over is told. `home` is `.mtdata`. Never fails: what could not be told is in the outcome.
pub fn dispatch(alerts: Option<&Alerts>, home: &Path, round: &Round<'_>, now: DateTime<Utc>) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(alerts) = alerts else { return outcome };
    let path = home.join("alerts.json");
    let mut memory = Memory::read(&path).unwrap_or_else(|error| {
        outcome.warnings.push(format!("what was told before is forgotten, {}: {error}", path.display()));
        Memory::default()
    });
    let before = memory.clone();
    let repeat_after = alerts
        .mail
        .as_ref()
        .map_or(TimeDelta::hours(24), |mail| TimeDelta::from_std(mail.repeat_after).unwrap_or(TimeDelta::MAX));
    let due = digest(&mut memory.known, round, repeat_after, now);
    if due.is_due() {
        if alerts.mail.is_some() && memory.make_room() > 0 {
            let many = memory.letters.len() + 1;
            outcome.warnings.push(format!("more than {many} mails wait for the mail server: the oldest is given up"));
        }
        let prefix = alerts.mail.as_ref().map_or("[mtdata]", |mail| &mail.subject_prefix);
        let letter = Letter::compose(&due, round, prefix, memory.dropped, now);
        outcome.composed.push(letter.subject.clone());
        if let Some(command) = &alerts.hook {
            outcome.warnings.extend(signal::hook(command, &due, round, &letter).err());
        }
        if let Some(mail) = &alerts.mail {
            memory.letters.push(Letter { to: mail.to.clone(), ..letter });
        }
    }
    // On disk before it is sent: a crash in between sends a mail twice rather than never.
    let store = |memory: &Memory, outcome: &mut Outcome| {
        if let Err(error) = memory.store(&path) {
            outcome.warnings.push(format!("what was told cannot be kept, {}: {error}", path.display()));
        }
    };
    // A first good run makes the file, too: on a disk that is full later there would be no room for it.
    if memory != before || !path.exists() {
        store(&memory, &mut outcome);
    }
    if let (Some(mail), false) = (&alerts.mail, memory.letters.is_empty()) {
        let posted = mail::post(mail, &mut memory.letters);
        outcome.sent = posted.sent;
        outcome.warnings.extend(posted.error);
        memory.dropped = if posted.sent > 0 { 0 } else { memory.dropped };
        store(&memory, &mut outcome);
    }
    outcome.waiting = memory.letters.len();
    if let (Some(url), true) = (&alerts.heartbeat, round.good) {
        outcome.warnings.extend(signal::heartbeat(url).err());
    }
    outcome
}

//! Who takes part, by the participants' and the study's tables, and the rules about accounts: R11, S2, S3, S4.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use chrono::{DateTime, NaiveDate};
use csv::ByteRecord;

use super::cells::is_true;
use super::{Finding, Severity};
use crate::study::moment;
use crate::study::people::Override;
use crate::study::scale::{Conditions, Study};

/// One account.
#[derive(Debug, Clone, Default)]
pub struct Person {
    pub id: String,
    /// The table says that it is of the team.
    pub team: bool,
    /// The participants file says something: the account is of the team, or is not.
    pub listed: Option<bool>,
    pub active: Option<bool>,
    /// Milliseconds since 1970.
    pub created: Option<i64>,
    /// Where the server has them now.
    pub session: String,
    /// As the study's table had it, each value once, in the order of its versions.
    pub conditions: Vec<String>,
    /// Where a condition was changed: session, before, after.
    changes: Vec<(String, String, String)>,
}

impl Person {
    /// True for accounts that no analysis counts.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.listed.unwrap_or(self.team)
    }
}

/// All accounts of a server.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    pub people: Vec<Person>,
    /// False without a participants' table: nobody is an orphan then.
    pub found: bool,
    by_id: HashMap<Vec<u8>, u32>,
    by_study: HashMap<Vec<u8>, u32>,
}

/// What older sites write into a participant's `study`.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OldStudy {
    id: serde_json::Value,
    conditioning: String,
    current_session: OldSession,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct OldSession {
    name: String,
}

/// Columns by their place in a table.
struct Table {
    reader: csv::Reader<std::fs::File>,
    header: Vec<String>,
}

impl Table {
    fn open(path: &Path) -> Result<Self, csv::Error> {
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 16).from_path(path)?;
        let header = reader.headers()?.iter().map(str::to_owned).collect();
        Ok(Self { reader, header })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }
}

fn cell(record: &ByteRecord, at: Option<usize>) -> &[u8] {
    at.and_then(|at| record.get(at)).unwrap_or_default()
}

fn text(record: &ByteRecord, at: Option<usize>) -> String {
    String::from_utf8_lossy(cell(record, at)).into_owned()
}

impl Roster {
    /// Reads the participants' table, then the study's; either may be missing.
    ///
    /// # Errors
    /// Whatever the file system or the CSV says.
    pub fn read(
        study: &Study,
        listed: &BTreeMap<&str, &Override>,
        participants: Option<&Path>,
        states: Option<&Path>,
    ) -> Result<Self, csv::Error> {
        let mut roster = Self::default();
        if let Some(path) = participants {
            roster.participants(path)?;
        }
        if let Some(path) = states {
            roster.states(path, study.conditions.as_ref())?;
        }
        for person in &mut roster.people {
            person.listed = listed.get(person.id.as_str()).map(|one| one.test);
        }
        Ok(roster)
    }

    /// An account's number.
    #[must_use]
    pub fn number(&self, id: &[u8]) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// The account whose `study` is this: so TaskLog names its participants.
    #[must_use]
    pub fn number_by_study(&self, study: &[u8]) -> Option<u32> {
        self.by_study.get(study).copied()
    }

    fn participants(&mut self, path: &Path) -> Result<(), csv::Error> {
        self.found = true;
        let mut table = Table::open(path)?;
        let of = |name: &str| table.column(name);
        let (id, study, active, current) = (of("id"), of("study"), of("active"), of("_current"));
        let created = of("dateCreated").or_else(|| of("date"));
        let team = [of("testAccount"), of("admin")];
        let (session, condition) = (of("currentSession"), of("conditioning"));
        let mut record = ByteRecord::new();
        while table.reader.read_byte_record(&mut record)? {
            if cell(&record, current) == b"false" || cell(&record, id).is_empty() {
                continue;
            }
            let link = cell(&record, study);
            let old: OldStudy = if link.starts_with(b"{") {
                serde_json::from_slice(link).unwrap_or_default()
            } else {
                OldStudy::default()
            };
            let mut person = Person {
                id: text(&record, id),
                team: team.iter().any(|at| is_true(cell(&record, *at))),
                active: active.map(|at| cell(&record, Some(at))).filter(|cell| !cell.is_empty()).map(is_true),
                created: moment::parse(&text(&record, created)).map(|moment| moment.timestamp_millis()),
                session: Some(text(&record, session))
                    .filter(|text| !text.is_empty())
                    .unwrap_or(old.current_session.name),
                ..Person::default()
            };
            let condition = Some(text(&record, condition)).filter(|text| !text.is_empty()).unwrap_or(old.conditioning);
            person.conditions.extend(Some(condition).filter(|text| !text.is_empty()));
            let number = u32::try_from(self.people.len()).unwrap_or(u32::MAX);
            let link = if link.starts_with(b"{") { old.id.to_string().into_bytes() } else { link.to_vec() };
            self.by_id.insert(person.id.clone().into_bytes(), number);
            if !link.is_empty() {
                self.by_study.insert(link, number);
            }
            self.people.push(person);
        }
        Ok(())
    }

    /// Every version of every row: their order is the order of arrival.
    fn states(&mut self, path: &Path, conditions: Option<&Conditions>) -> Result<(), csv::Error> {
        let mut table = Table::open(path)?;
        let (id, session) = (table.column("id"), table.column("currentSession"));
        let condition = table.column(conditions.map_or("conditioning", |conditions| &conditions.column));
        let mut record = ByteRecord::new();
        while table.reader.read_byte_record(&mut record)? {
            let Some(number) = self.number_by_study(cell(&record, id)) else { continue };
            let Some(person) = self.people.get_mut(number as usize) else { continue };
            person.session = text(&record, session);
            let now = text(&record, condition);
            match person.conditions.last() {
                Some(before) if *before == now => {}
                Some(before) => {
                    person.changes.push((person.session.clone(), before.clone(), now.clone()));
                    person.conditions.push(now);
                }
                None => person.conditions.push(now),
            }
        }
        Ok(())
    }

    /// R11, S2, S3 and S4. `last` is each account's newest entry, `now` the newest of all, in milliseconds.
    pub fn check(
        &self,
        study: &Study,
        table: &str,
        last: &[Option<i64>],
        now: Option<i64>,
        sink: &mut impl FnMut(&Finding<'_>),
    ) {
        for (number, person) in self.people.iter().enumerate() {
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
                    let value =
                        person.created.and_then(DateTime::from_timestamp_millis).map(|moment| moment.to_rfc3339());
                    find("S4", "dateCreated", &value.unwrap_or_default(), message);
                }
            }
        }
    }

    /// R11 for one account that only the participants file knows is R3's matter; true for accounts left out.
    #[must_use]
    pub fn is_test(&self, number: u32) -> bool {
        self.people.get(number as usize).is_some_and(Person::is_test)
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

/// A day since 1970, for counting.
#[must_use]
pub fn day_of(moment: i64) -> NaiveDate {
    DateTime::from_timestamp_millis(moment).map(|moment| moment.date_naive()).unwrap_or_default()
}

//! Who takes part, and in which condition: by the participants' table, the study's own, and what the team says.

use std::collections::BTreeMap;
use std::path::Path;

use csv::ByteRecord;
use rustc_hash::FxHashMap;

use crate::study::checks::cells::is_true;
use crate::study::moment;
use crate::study::people::Override;
use crate::study::row::cell;
use crate::study::scale::Study;

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
    /// As the server has it now.
    pub condition: String,
    /// As the study's table had it, each value once, in the order of its versions.
    pub conditions: Vec<String>,
    /// Where a condition was changed: session, before, after.
    pub changes: Vec<(String, String, String)>,
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
    by_id: FxHashMap<Vec<u8>, u32>,
    by_study: FxHashMap<Vec<u8>, u32>,
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

/// Columns by which the study's own table is known, which holds no answers.
const OWN_TABLE: [&[u8]; 3] = [b"id", b"conditioning", b"currentSession"];

/// True for the header of the study's own table: which condition each of its numbers has.
#[must_use]
pub fn is_own_table(header: &ByteRecord) -> bool {
    OWN_TABLE.iter().all(|name| header.iter().any(|column| column == *name))
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

fn text(record: &ByteRecord, at: Option<usize>) -> String {
    String::from_utf8_lossy(cell(record, at)).into_owned()
}

impl Roster {
    /// Reads a participants' table.
    ///
    /// # Errors
    /// Whatever the file system or the CSV says.
    pub fn read_participants(&mut self, path: &Path) -> Result<(), csv::Error> {
        self.found = true;
        let mut table = Table::open(path)?;
        let of = |name: &str| table.column(name);
        let (id, study, active, current) = (of("id"), of("study"), of("active"), of("_current"));
        let created = [of("dateCreated"), of("date")];
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
            let or =
                |at: Option<usize>, old: String| Some(text(&record, at)).filter(|text| !text.is_empty()).unwrap_or(old);
            let condition = or(condition, old.conditioning);
            let created = created.iter().map(|at| text(&record, *at)).find(|text| !text.is_empty());
            let person = Person {
                id: text(&record, id),
                team: team.iter().any(|at| is_true(cell(&record, *at))),
                active: active.map(|at| cell(&record, Some(at))).filter(|cell| !cell.is_empty()).map(is_true),
                created: created.and_then(|text| moment::millis(&text)),
                session: or(session, old.current_session.name),
                conditions: Some(condition.clone()).filter(|text| !text.is_empty()).into_iter().collect(),
                condition,
                ..Person::default()
            };
            let link = if link.starts_with(b"{") { old.id.to_string().into_bytes() } else { link.to_vec() };
            self.add(person, &link);
        }
        Ok(())
    }

    /// Takes over what the team says of accounts.
    pub fn hear(&mut self, listed: &BTreeMap<&str, &Override>) {
        for person in &mut self.people {
            person.listed = listed.get(person.id.as_str()).map(|one| one.test);
        }
    }

    /// Adds an account, or what a newer row says of it; `link` is its number in the study's own table.
    pub fn add(&mut self, person: Person, link: &[u8]) {
        let next = self.people.len();
        let number =
            *self.by_id.entry(person.id.clone().into_bytes()).or_insert(u32::try_from(next).unwrap_or(u32::MAX));
        if !link.is_empty() {
            self.by_study.insert(link.to_vec(), number);
        }
        match self.people.get_mut(number as usize) {
            Some(old) => *old = person,
            None => self.people.push(person),
        }
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

    /// Reads the study's own table, every version of every row: their order is the order of arrival.
    ///
    /// # Errors
    /// Whatever the file system or the CSV says.
    pub fn read_conditions(&mut self, study: &Study, path: &Path) -> Result<(), csv::Error> {
        let mut table = Table::open(path)?;
        let (id, session, current) = (table.column("id"), table.column("currentSession"), table.column("_current"));
        let condition = table.column(study.conditions.as_ref().map_or("conditioning", |conditions| &conditions.column));
        let mut record = ByteRecord::new();
        while table.reader.read_byte_record(&mut record)? {
            let Some(number) = self.number_by_study(cell(&record, id)) else { continue };
            let Some(person) = self.people.get_mut(number as usize) else { continue };
            let (session, now) = (text(&record, session), text(&record, condition));
            if cell(&record, current) != b"false" {
                person.session.clone_from(&session);
                person.condition.clone_from(&now);
            }
            match person.conditions.last() {
                Some(before) if *before == now => {}
                Some(before) => {
                    person.changes.push((session, before.clone(), now.clone()));
                    person.conditions.push(now);
                }
                None => person.conditions.push(now),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn the_current_row_says_where_somebody_is_and_all_rows_how_they_came_there() {
        let folder = tempfile::tempdir().unwrap();
        let people = "admin,date,dateCreated,id,study,testAccount,_current\n\
                      false,2026-01-05T12:00:00,,7,57,false,true\n\
                      false,2026-01-04T12:00:00,,7,57,true,false\n\
                      true,,2026-01-06T12:00:00,8,\"{\"\"id\"\":58,\"\"conditioning\"\":\"\"CONTROL\"\"}\",,true\n";
        let states = "conditioning,currentSession,id,_current\nNONE,preTest,57,false\nTRAINING,second,57,true\n\
                      CONTROL,first,57,false\n";
        let mut roster = Roster::default();
        roster.read_participants(&write(folder.path(), "People.csv", people)).unwrap();
        roster.read_conditions(&Study::default(), &write(folder.path(), "State.csv", states)).unwrap();
        let [seven, eight] = [b"7", b"8"].map(|id| &roster.people[roster.number(id).unwrap() as usize]);
        assert_eq!((seven.session.as_str(), seven.condition.as_str(), seven.is_test()), ("second", "TRAINING", false));
        assert_eq!(seven.conditions, ["NONE", "TRAINING", "CONTROL"]);
        assert_eq!((seven.changes.len(), seven.created), (2, moment::millis("2026-01-05T12:00:00")));
        assert_eq!((eight.condition.as_str(), eight.is_test()), ("CONTROL", true));
        assert_eq!(roster.number_by_study(b"58"), roster.number(b"8"));
    }
}

//! Who takes part, and in which condition: by the participants' table, the study's own, and what the team says.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::study::checks::cells::is_true;
use crate::study::moment;
use crate::study::people::Override;
use crate::study::record::Record;
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
    by_id: IdIndex,
    by_study: IdIndex,
}

/// Numbers by id. Every row of every table asks for one, and nearly all ids are small numbers themselves.
#[derive(Debug, Clone, Default)]
struct IdIndex {
    /// By the id, plus one; 0 for none.
    small: Vec<u32>,
    others: FxHashMap<Vec<u8>, u32>,
}

impl IdIndex {
    /// Ids below this are found by their place.
    const SMALL: usize = 1 << 20;

    /// The place of an id that is written as numbers are.
    fn place(id: &[u8]) -> Option<usize> {
        if id.len() > 7 || matches!(id, [] | [b'0', _, ..]) {
            return None;
        }
        let digit = |sum: usize, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + usize::from(byte - b'0'));
        id.iter().try_fold(0, digit).filter(|place| *place < Self::SMALL)
    }

    fn get(&self, id: &[u8]) -> Option<u32> {
        match Self::place(id) {
            Some(place) => self.small.get(place)?.checked_sub(1),
            None => self.others.get(id).copied(),
        }
    }

    fn set(&mut self, id: &[u8], number: u32) {
        let Some(place) = Self::place(id) else {
            self.others.insert(id.to_vec(), number);
            return;
        };
        if place >= self.small.len() {
            self.small.resize(place + 1, 0);
        }
        self.small[place] = number.saturating_add(1);
    }
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
const OWN_TABLE: [&str; 3] = ["id", "conditioning", "currentSession"];

/// True for the header of the study's own table: which condition each of its numbers has.
pub fn is_own_table(header: &[String]) -> bool {
    OWN_TABLE.iter().all(|name| header.iter().any(|column| column == name))
}

fn column(header: &[String], name: &str) -> Option<usize> {
    header.iter().position(|column| column == name)
}

fn text(record: &Record<'_>, at: Option<usize>) -> String {
    String::from_utf8_lossy(record.cell(at)).into_owned()
}

impl Roster {
    /// Begins a participants' table with this header.
    pub fn participants(&mut self, header: &[String]) -> ParticipantRows<'_> {
        self.found = true;
        let of = |name: &str| column(header, name);
        ParticipantRows {
            id: of("id"),
            study: of("study"),
            active: of("active"),
            current: of("_current"),
            created: [of("dateCreated"), of("date")],
            team: [of("testAccount"), of("admin")],
            session: of("currentSession"),
            condition: of("conditioning"),
            roster: self,
        }
    }

    /// Begins the study's own table with this header.
    pub fn conditions(&mut self, study: &Study, header: &[String]) -> ConditionRows<'_> {
        let of = |name: &str| column(header, name);
        let condition = study.conditions.as_ref().map_or("conditioning", |conditions| &conditions.column);
        ConditionRows {
            id: of("id"),
            session: of("currentSession"),
            current: of("_current"),
            condition: of(condition),
            roster: self,
        }
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
        let number = self.by_id.get(person.id.as_bytes()).unwrap_or_else(|| {
            let number = u32::try_from(next).unwrap_or(u32::MAX);
            self.by_id.set(person.id.as_bytes(), number);
            number
        });
        if !link.is_empty() {
            self.by_study.set(link, number);
        }
        match self.people.get_mut(number as usize) {
            Some(old) => *old = person,
            None => self.people.push(person),
        }
    }

    /// An account's number.
    pub fn number(&self, id: &[u8]) -> Option<u32> {
        self.by_id.get(id)
    }

    /// The account whose `study` is this: so TaskLog names its participants.
    pub fn number_by_study(&self, study: &[u8]) -> Option<u32> {
        self.by_study.get(study)
    }
}

/// Takes the rows of a participants' table into a roster.
#[derive(Debug)]
pub struct ParticipantRows<'r> {
    roster: &'r mut Roster,
    id: Option<usize>,
    study: Option<usize>,
    active: Option<usize>,
    current: Option<usize>,
    created: [Option<usize>; 2],
    team: [Option<usize>; 2],
    session: Option<usize>,
    condition: Option<usize>,
}

impl ParticipantRows<'_> {
    /// A row that is no version which a later one replaced says who somebody is.
    pub fn add(&mut self, record: &Record<'_>) {
        if record.cell(self.current) == b"false" || record.cell(self.id).is_empty() {
            return;
        }
        let link = record.cell(self.study);
        let old: OldStudy =
            if link.starts_with(b"{") { serde_json::from_slice(link).unwrap_or_default() } else { OldStudy::default() };
        let or = |at: Option<usize>, old: String| Some(text(record, at)).filter(|text| !text.is_empty()).unwrap_or(old);
        let condition = or(self.condition, old.conditioning);
        let created = self.created.iter().map(|at| text(record, *at)).find(|text| !text.is_empty());
        let active = self.active.map(|at| record.cell(Some(at)));
        let person = Person {
            id: text(record, self.id),
            team: self.team.iter().any(|at| is_true(record.cell(*at))),
            active: active.filter(|cell| !cell.is_empty()).map(is_true),
            created: created.and_then(|text| moment::millis(&text)),
            session: or(self.session, old.current_session.name),
            conditions: Some(condition.clone()).filter(|text| !text.is_empty()).into_iter().collect(),
            condition,
            ..Person::default()
        };
        let link = if link.starts_with(b"{") { old.id.to_string().into_bytes() } else { link.to_vec() };
        self.roster.add(person, &link);
    }
}

/// Takes the rows of the study's own table into a roster.
#[derive(Debug)]
pub struct ConditionRows<'r> {
    roster: &'r mut Roster,
    id: Option<usize>,
    session: Option<usize>,
    current: Option<usize>,
    condition: Option<usize>,
}

impl ConditionRows<'_> {
    /// Every version of every row counts: their order is the order of arrival.
    pub fn add(&mut self, record: &Record<'_>) {
        let Some(number) = self.roster.number_by_study(record.cell(self.id)) else { return };
        let Some(person) = self.roster.people.get_mut(number as usize) else { return };
        let (session, now) = (text(record, self.session), text(record, self.condition));
        if record.cell(self.current) != b"false" {
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
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::report::accounts::{read_conditions, read_participants};

    fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn ids_are_known_by_their_text_whatever_it_is() {
        let mut index = IdIndex::default();
        let ids = ["0", "7", "07", "1048575", "1048576", "9999999", "99999999999", "-1", "", "7 ", "+7", "a7"];
        for (number, id) in (0..).zip(ids) {
            assert_eq!(index.get(id.as_bytes()), None, "{id}");
            index.set(id.as_bytes(), number);
        }
        for (number, id) in (0..).zip(ids) {
            assert_eq!(index.get(id.as_bytes()), Some(number), "{id}");
        }
        assert_eq!((index.get(b"1"), index.get(b"00")), (None, None));
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
        read_participants(&mut roster, &write(folder.path(), "People.csv", people)).unwrap();
        read_conditions(&mut roster, &Study::default(), &write(folder.path(), "State.csv", states)).unwrap();
        let [seven, eight] = [b"7", b"8"].map(|id| &roster.people[roster.number(id).unwrap() as usize]);
        assert_eq!((seven.session.as_str(), seven.condition.as_str(), seven.is_test()), ("second", "TRAINING", false));
        assert_eq!(seven.conditions, ["NONE", "TRAINING", "CONTROL"]);
        assert_eq!((seven.changes.len(), seven.created), (2, moment::millis("2026-01-05T12:00:00")));
        assert_eq!((eight.condition.as_str(), eight.is_test()), ("CONTROL", true));
        assert_eq!(roster.number_by_study(b"58"), roster.number(b"8"));
    }
}

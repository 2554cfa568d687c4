//! Faults planted one by one into a faultless study, each with what the rules have to find of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use mtdata::parts::{Synthetic, parse_moment};

/// What a rule has to find: rule, table, entry, participant.
pub type Truth = (String, String, String, String);

/// An id as a table writes it; empty for none.
struct Who(String);

impl From<i64> for Who {
    fn from(id: i64) -> Self {
        Self(id.to_string())
    }
}

impl From<&str> for Who {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

/// A study that faults are being planted in.
struct Garden<'s> {
    study: &'s mut Synthetic,
    truth: Vec<Truth>,
    /// Participants who went through every session, one for each fault.
    people: Vec<i64>,
}

/// Plants one case of every rule that a server's data can break, and says what is to be found.
pub fn plant(study: &mut Synthetic) -> Vec<Truth> {
    let mut people: Vec<i64> = Vec::new();
    let states = &study.tables["StudyImportExport"].entries;
    for (id, _, bytes) in states {
        if read(bytes)["currentSession"] == "COMPLETE" {
            people.push(id - 5000);
        }
    }
    let mut garden = Garden { study, truth: Vec::new(), people };
    garden.cells();
    garden.closed();
    garden.entries();
    garden.screening();
    garden.order();
    garden.accounts();
    garden.columns();
    garden.gaps();
    garden.truth
}

/// Takes an entry of a table out of the study, as if it had come before there were raw files: its active table, and what
/// is to be found.
pub fn adopt(study: &mut Synthetic, name: &str) -> Option<(String, Truth)> {
    let (id, _, bytes) = study.tables.get_mut(name)?.entries.pop()?;
    let fields = read(&bytes);
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
        other => other.to_string(),
    };
    let columns: Vec<&str> = fields.keys().map(String::as_str).collect();
    let cells: Vec<String> = fields.values().map(cell).collect();
    let truth = ("no_raw_file".to_owned(), name.to_owned(), id.to_string(), cell(&fields["participant"]));
    Some((format!("{}\n{}\n", columns.join(","), cells.join(",")), truth))
}

fn read(bytes: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(bytes).unwrap_or_default()
}

impl Garden<'_> {
    fn person(&mut self) -> i64 {
        self.people.pop().unwrap_or_default()
    }

    fn expect(&mut self, rule: &str, table: &str, id: impl Into<Who>, person: impl Into<Who>) {
        self.truth.push((rule.to_owned(), table.to_owned(), id.into().0, person.into().0));
    }

    /// Changes the first entry that fits; its id.
    fn change(
        &mut self,
        table: &str,
        fits: impl Fn(&Map<String, Value>) -> bool,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> i64 {
        let entries = &mut self.study.tables.get_mut(table).expect("the demo has this table").entries;
        let found = entries.iter_mut().find(|(.., bytes)| fits(&read(bytes)));
        let Some((id, _, bytes)) = found else { return 0 };
        let mut fields = read(bytes);
        change(&mut fields);
        *bytes = Value::Object(fields).to_string().into_bytes();
        *id
    }

    /// Changes a column of a participant's entry of one session; the entry's id.
    fn set(&mut self, table: &str, person: i64, session: &str, column: &str, value: Value) -> i64 {
        let fits = |fields: &Map<String, Value>| fields["participant"] == person && fields["session"] == session;
        self.change(table, fits, |fields| drop(fields.insert(column.to_owned(), value)))
    }

    /// Adds a copy of a participant's first entry, changed; its id.
    fn add(&mut self, table: &str, person: i64, change: impl FnOnce(&mut Map<String, Value>)) -> i64 {
        let entries = &mut self.study.tables.get_mut(table).expect("the demo has this table").entries;
        let id = 1 + entries.iter().map(|(id, ..)| *id).max().unwrap_or_default();
        let link = person + 5000;
        let own = |fields: &Map<String, Value>| {
            fields.get("participant").is_some_and(|who| *who == person)
                || fields.get("study").is_some_and(|s| *s == link)
        };
        let Some((_, when, mut fields)) =
            entries.iter().map(|(id, when, bytes)| (id, *when, read(bytes))).find(|(.., fields)| own(fields))
        else {
            return 0;
        };
        fields.insert("id".to_owned(), json!(id));
        change(&mut fields);
        entries.push((id, when, Value::Object(fields).to_string().into_bytes()));
        id
    }

    fn cells(&mut self) {
        for (rule, table, session, column, value) in [
            ("R12", "OA", "preTest", "anxious_freq", json!(555)),
            ("R13", "OA", "preTest", "anxious_freq", json!(9)),
            ("R14", "Demographics", "preTest", "birthYear", json!(195_100)),
            ("R15", "Demographics", "preTest", "gender", json!("")),
            ("R15", "Demographics", "preTest", "gender", json!("????")),
            ("R16", "Credibility", "preTest", "date", json!("yesterday")),
        ] {
            let person = self.person();
            let session = if table == "OA" { "firstSession" } else { session };
            let id = self.set(table, person, session, column, value);
            self.expect(rule, table, id, person);
        }
        let person = self.person();
        let text = json!("write to ann@mail.example.org");
        let id = self.set("ReturnIntention", person, "firstSession", "notReturnReason", text);
        self.expect("S9", "ReturnIntention", id, person);
    }

    /// The entry of a table that encrypts its participant: found by what TaskLog says of them.
    fn spoil(&mut self, table: &str, person: i64, change: impl FnOnce(&mut Map<String, Value>)) -> i64 {
        let own = |fields: &&Map<String, Value>| fields["study"] == person + 5000 && fields["taskName"] == table;
        let acts: Vec<Map<String, Value>> =
            self.study.tables["TaskLog"].entries.iter().map(|(.., bytes)| read(bytes)).collect();
        let Some(act) = acts.iter().find(own) else { return 0 };
        let (date, session) = (&act["dateCompleted"], &act["sessionName"]);
        self.change(table, |fields| fields["date"] == *date && fields["session"] == *session, change)
    }

    /// Values that no key opens: nobody knows whose entry it is, or another column says it.
    fn closed(&mut self) {
        let sealed = json!(STANDARD.encode([1_u8; 256]));
        let person = self.person();
        let id = self.spoil("BBSIQ", person, |fields| drop(fields.insert("participantRSA".to_owned(), sealed.clone())));
        self.expect("R1", "BBSIQ", id, "");
        self.expect("S1", "BBSIQ", "", person);
        let person = self.person();
        let id = self.spoil("BBSIQ", person, |fields| {
            fields.insert("participantRSA".to_owned(), sealed);
            fields.insert("participantDAO".to_owned(), json!(person));
        });
        self.expect("R1", "BBSIQ", id, person);
        self.expect("R2", "BBSIQ", id, person);
    }

    fn entries(&mut self) {
        let person = self.person();
        let id = self.add("OA", person, |fields| drop(fields.insert("participant".to_owned(), json!(99_999))));
        self.expect("R3", "OA", id, 99_999);
        // A page of TaskLog twice is a repeat, and a second entry for its key.
        let person = self.person();
        let id = self.add("TaskLog", person, |_| {});
        self.expect("R4", "TaskLog", id, person);
        let link = person + 5000;
        let first = self.change("TaskLog", |fields| fields["study"] == link, |_| {});
        self.expect("R5", "TaskLog", first, person);
        let person = self.person();
        self.add("Credibility", person, |fields| {
            fields.insert("timeOnPage".to_owned(), json!(1.5));
        });
        let first = self.change("Credibility", |fields| fields["participant"] == person, |_| {});
        self.expect("R5", "Credibility", first, person);
        let person = self.person();
        let id = self.add("CC", person, |fields| drop(fields.insert("session".to_owned(), json!("flexible_thinking"))));
        self.expect("R9", "CC", id, person);
        let person = self.person();
        let id =
            self.add("Credibility", person, |fields| drop(fields.insert("session".to_owned(), json!("fifthSession"))));
        self.expect("S5", "Credibility", id, person);
    }

    fn screening(&mut self) {
        let visit = |garden: &mut Self, key: &str, day: u32, answer: u32, person: Option<i64>, seconds: f64| {
            let some = garden.people.first().copied().unwrap_or_default();
            garden.add("DASS21_AS", some, |fields| {
                let date = parse_moment(&format!("2026-02-{day:02}T12:00:00")).map(|moment| moment.to_rfc2822());
                for (name, value) in [
                    ("session", json!("ELIGIBLE")),
                    ("sessionId", json!(key)),
                    ("date", json!(date)),
                    ("timeOnPage", json!(seconds)),
                    ("participant", json!(person)),
                    ("breathing", json!(answer)),
                ] {
                    fields.insert(name.to_owned(), value);
                }
            })
        };
        let first = visit(self, "tries", 1, 0, None, 11.0);
        visit(self, "tries", 1, 1, None, 12.0);
        visit(self, "tries", 1, 2, None, 13.0);
        self.expect("R7", "DASS21_AS", first, "");
        let person = self.person();
        let first = visit(self, "later", 2, 1, None, 14.0);
        visit(self, "later", 2, 1, Some(person), 15.0);
        self.expect("R8", "DASS21_AS", first, person);
        visit(self, "once", 3, 1, None, 16.0);
        for number in 0..70 {
            visit(self, &format!("bot{number}"), 4, 1, None, 1.25);
        }
        self.expect("R18", "DASS21_AS", "", "");
    }

    fn order(&mut self) {
        // The label slipped back: two entries for one session, none for the other.
        let person = self.person();
        let [first, third] = ["firstSession", "thirdSession"];
        let early = self.set("OA", person, first, "session", json!("swap"));
        self.set("OA", person, third, "session", json!(first));
        self.set("OA", person, "swap", "session", json!(third));
        // Both ends are out of order, and the one that jumped ahead is another session in TaskLog.
        let between =
            move |fields: &Map<String, Value>| fields["participant"] == person && fields["session"] == "secondSession";
        let between = self.change("OA", between, |_| {});
        self.expect("R10", "OA", early, person);
        self.expect("R10", "OA", early, person);
        self.expect("R10", "OA", between, person);
        let person = self.person();
        let session = json!("fifthSession");
        let own = move |fields: &Map<String, Value>| fields["participant"] == person && fields["session"] == session;
        let id = self.change("CC", own, |fields| {
            let date = fields["date"].as_str().and_then(parse_moment).map(|moment| moment + chrono::Duration::hours(1));
            fields.insert("date".to_owned(), json!(date.map(|date| date.to_rfc2822())));
        });
        self.expect("R17", "CC", id, person);
    }

    fn accounts(&mut self) {
        let person = self.person();
        self.change(
            "ParticipantExport",
            |fields| fields["id"] == person,
            |fields| {
                fields.insert("testAccount".to_owned(), json!(true));
            },
        );
        self.expect("R11", "ParticipantExport", person, person);
        let person = self.person();
        let link = person + 5000;
        self.change(
            "StudyImportExport",
            |fields| fields["id"] == link,
            |fields| {
                fields.insert("currentSession".to_owned(), json!("secondSession"));
            },
        );
        let gone = |fields: &Map<String, Value>| fields["id"] == person;
        self.change("ParticipantExport", gone, |fields| drop(fields.insert("active".to_owned(), json!(true))));
        self.expect("S3", "ParticipantExport", person, person);
        let person = self.person();
        self.change(
            "ParticipantExport",
            |fields| fields["id"] == person,
            |fields| {
                fields.insert("dateCreated".to_owned(), json!("Mon, 01 Dec 2025 10:00:00 -0500"));
            },
        );
        self.expect("S4", "ParticipantExport", person, person);
        // The assignment was written over: two versions of one row.
        let person = self.person();
        let link = person + 5000;
        let entries = &mut self.study.tables.get_mut("StudyImportExport").expect("the demo has it").entries;
        if let Some((id, when, bytes)) = entries.iter().find(|(id, ..)| *id == link).cloned() {
            let mut fields = read(&bytes);
            let other = if fields["conditioning"] == "CONTROL" { "TRAINING" } else { "CONTROL" };
            fields.insert("conditioning".to_owned(), json!(other));
            fields.insert("lastSessionDate".to_owned(), json!("Tue, 01 Dec 2026 10:00:00 -0500"));
            entries.push((id, when, Value::Object(fields).to_string().into_bytes()));
        }
        self.expect("S2", "ParticipantExport", person, person);
    }

    fn columns(&mut self) {
        let entries = &mut self.study.tables.get_mut("Affect").expect("the demo has it").entries;
        let half = entries.len() / 2;
        for (number, (.., bytes)) in entries.iter_mut().enumerate() {
            let mut fields = read(bytes);
            fields.insert("unused".to_owned(), Value::Null);
            if number >= half {
                fields.insert("version".to_owned(), json!(2 + number % 2));
            }
            *bytes = Value::Object(fields).to_string().into_bytes();
        }
        self.expect("S6", "Affect", "", "");
        self.expect("S8", "Affect", "", "");
    }

    /// A server that lost the last questionnaire of some people, all on one day.
    fn gaps(&mut self) {
        let link = self.study.tables["TaskLog"].entries.iter().map(|(_, when, bytes)| (when.date_naive(), read(bytes)));
        let first =
            |fields: &Map<String, Value>| fields["taskName"] == "Demographics" && fields["sessionName"] == "preTest";
        let mut days: std::collections::BTreeMap<_, Vec<i64>> = std::collections::BTreeMap::new();
        for (day, fields) in link.filter(|(_, fields)| first(fields)) {
            days.entry(day).or_default().extend(fields["study"].as_i64().map(|link| link - 5000));
        }
        let Some((_, people)) = days.into_iter().max_by_key(|(_, people)| people.len()) else { return };
        for person in people {
            let entries = &mut self.study.tables.get_mut("Demographics").expect("the demo has it").entries;
            entries.retain(|(.., bytes)| read(bytes)["participant"] != person);
            self.expect("S1", "Demographics", "", person);
        }
        self.expect("S7", "Demographics", "", "");
    }
}

//! A synthetic study: participants go through its sessions and drop out, with the faults that real data have.

use std::collections::BTreeMap;

use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, FixedOffset, TimeZone};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use crate::study::scale::{ColumnKind, Scale, ScheduledTask, Study};

/// What to make; the same options make the same study but for the padding of its ciphertexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Options {
    pub participants: u32,
    /// Over how many days they enrol.
    pub days: u32,
    pub seed: u64,
}

/// One table of the server.
#[derive(Debug, Clone, Default)]
pub struct DemoTable {
    pub deleteable: bool,
    /// `after=` is heeded.
    pub honours_after: bool,
    /// Id, moment, and the entry as JSON.
    pub entries: Vec<(i64, DateTime<FixedOffset>, Vec<u8>)>,
}

/// All tables, and the answer to `GET study`.
#[derive(Debug, Clone, Default)]
pub struct Synthetic {
    pub tables: BTreeMap<String, DemoTable>,
    pub schedule: Vec<u8>,
}

/// Public keys of two periods, as SPKI DER, for the `*RSA` columns.
#[derive(Debug, Clone)]
pub struct PublicKeys {
    pub early: Vec<u8>,
    pub late: Vec<u8>,
}

/// Questionnaires that the demo fills; the others of the schedule are too many to be of use.
const FILLED: &[&str] =
    &["OA", "DASS21_AS", "BBSIQ", "RR", "Affect", "Demographics", "Credibility", "CC", "ReturnIntention"];
/// Tables that stay on the server.
const STATIC: &[&str] = &["OA", "DASS21_AS", "TaskLog", "ParticipantExport", "StudyImportExport"];
/// Tables whose participant is encrypted.
const ENCRYPTED: &[&str] = &["BBSIQ", "RR"];

const TEXTS: &[&str] = &[
    "A friend told me",
    "I said \"why not\", and here I am",
    "Line one\nline two",
    "=SUM(A1:A9)",
    "Größe, naïveté, 心配 😟",
    "",
];

/// An entry before it has an id.
struct Draft {
    table: &'static str,
    moment: DateTime<FixedOffset>,
    fields: Map<String, Value>,
    /// The participant to be encrypted.
    secret: Option<i64>,
}

/// Makes a study along the schedule of its definition.
pub fn generate(options: Options, definition: &Study, keys: &PublicKeys) -> Result<Synthetic, String> {
    make(options, definition, keys, false)
}

/// As [`generate`], without any fault: for planting known ones.
pub fn generate_faultless(options: Options, definition: &Study, keys: &PublicKeys) -> Result<Synthetic, String> {
    make(options, definition, keys, true)
}

fn make(options: Options, definition: &Study, keys: &PublicKeys, faultless: bool) -> Result<Synthetic, String> {
    let mut random = StdRng::seed_from_u64(options.seed);
    let zone = FixedOffset::west_opt(5 * 3600).ok_or("the offset is constant")?;
    let start = zone.with_ymd_and_hms(2026, 1, 5, 0, 0, 0).single().ok_or("the day is constant")?;
    let mut drafts = Vec::new();
    for number in 0..i64::from(options.participants) {
        let enrolled = start + Duration::minutes(random.random_range(0..i64::from(options.days.max(1)) * 1440));
        let (random, drafts) = (&mut random, &mut drafts);
        let mut person = DemoParticipant { id: 100 + number, random, moment: enrolled, drafts, faultless };
        person.live(definition);
    }
    drafts.sort_by_key(|draft| (draft.moment, draft.table));
    settle(&mut drafts);
    let half = start + Duration::days(i64::from(options.days) / 2);
    seal(&mut drafts, keys, half)?;
    let mut tables: BTreeMap<String, DemoTable> = BTreeMap::new();
    for name in FILLED.iter().chain(STATIC).chain(&["DASS21_DS", "QOL", "JsPsychTrial"]) {
        let (deleteable, honours_after) = (!STATIC.contains(name), !name.ends_with("Export"));
        tables.insert((*name).to_owned(), DemoTable { deleteable, honours_after, entries: Vec::new() });
    }
    for mut draft in drafts {
        let table = tables.entry(draft.table.to_owned()).or_default();
        let id = match draft.fields.get("id").and_then(Value::as_i64) {
            Some(id) => id,
            None => i64::try_from(table.entries.len()).unwrap_or_default() + 1,
        };
        draft.fields.insert("id".to_owned(), json!(id));
        let bytes = serde_json::to_vec(&draft.fields).map_err(|error| error.to_string())?;
        table.entries.push((id, draft.moment, bytes));
    }
    Ok(Synthetic { tables, schedule: schedule(definition) })
}

/// The server's flag: who has done nothing for three weeks gets no more reminders, whoever finished is left as they are.
fn settle(drafts: &mut [Draft]) {
    let Some(now) = drafts.iter().map(|draft| draft.moment).max() else { return };
    for draft in drafts.iter_mut().filter(|draft| draft.table == "ParticipantExport") {
        draft.fields.insert("active".to_owned(), json!(now - draft.moment <= Duration::days(21)));
    }
}

fn seal(drafts: &mut [Draft], keys: &PublicKeys, half: DateTime<FixedOffset>) -> Result<(), String> {
    let key = |der: &[u8]| {
        let key = PublicEncryptingKey::from_der(der).map_err(|error| error.to_string())?;
        Pkcs1PublicEncryptingKey::new(key).map_err(|error| error.to_string())
    };
    let (early, late) = (key(&keys.early)?, key(&keys.late)?);
    drafts.par_iter_mut().try_for_each(|draft| {
        let Some(id) = draft.secret else { return Ok(()) };
        let key = if draft.moment < half { &early } else { &late };
        let mut out = vec![0; key.ciphertext_size()];
        let sealed = key.encrypt(id.to_string().as_bytes(), &mut out).map_err(|error| error.to_string())?;
        draft.fields.insert("participantRSA".to_owned(), json!(STANDARD.encode(sealed)));
        Ok(())
    })
}

fn schedule(definition: &Study) -> Vec<u8> {
    let sessions: Vec<Value> = definition
        .sessions
        .iter()
        .map(|session| {
            let task = |task: &ScheduledTask| {
                let deleteable = !STATIC.contains(&task.name.as_str());
                json!({"name": task.name, "displayName": task.name, "type": "questions", "duration": 1, "deleteable": deleteable})
            };
            let tasks: Vec<Value> = session.tasks.iter().map(task).collect();
            json!({"name": session.name, "displayName": session.display, "tasks": tasks})
        })
        .collect();
    json!([{"name": definition.name, "sessions": sessions}]).to_string().into_bytes()
}

/// One participant on the way through the study.
struct DemoParticipant<'p> {
    id: i64,
    random: &'p mut StdRng,
    moment: DateTime<FixedOffset>,
    drafts: &'p mut Vec<Draft>,
    faultless: bool,
}

impl DemoParticipant<'_> {
    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    /// A fault that real data have; in a faultless study never.
    fn fault(&mut self, percent: u32) -> bool {
        self.chance(percent) && !self.faultless
    }

    fn live(&mut self, definition: &Study) {
        let test = self.fault(2);
        let enrolled = self.moment;
        let mut reached = "preTest";
        for session in &definition.sessions {
            let gap = session.gap_days.unwrap_or_default();
            if gap > 0.0 {
                let minutes = (gap * 1440.0).round().clamp(0.0, 1e6);
                #[allow(clippy::cast_possible_truncation)] // a schedule's gap is some days
                let minutes = minutes as i64 + self.random.random_range(0..4000);
                self.moment += Duration::minutes(minutes);
            }
            reached = &session.name;
            let leaves = self.chance(22);
            let last =
                if leaves { self.random.random_range(0..session.tasks.len().max(1)) } else { session.tasks.len() };
            for task in session.tasks.iter().take(last) {
                self.task(definition, &session.name, task);
            }
            if leaves {
                break;
            }
            self.log(&session.name, "SESSION_COMPLETE", "");
            if definition.sessions.last().is_some_and(|last| last.name == session.name) {
                reached = "COMPLETE";
            }
        }
        let moment = self.moment;
        self.draft(
            "ParticipantExport",
            json!({
                "id": self.id, "theme": (if self.id % 2 == 0 { "blue" } else { "green" }), "testAccount": test, "admin": false, "active": true, "timezone": (if self.id % 5 == 0 { "America/Denver" } else { "America/New_York" }),
                "dateCreated": enrolled.to_rfc2822(), "lastLoginDate": moment.to_rfc2822(), "over18": true, "reference": (if self.id % 4 == 0 { "flyer" } else { "" }),
                "campaign": (if self.id % 6 == 0 { "autumn" } else { "" }), "study": self.id + 5000,
            }),
        );
        self.draft(
            "StudyImportExport",
            json!({
                "id": self.id + 5000, "currentSession": reached, "currentTaskIndex": self.id % 7, "lastSessionDate": moment.to_rfc2822(),
                "receiveGiftCards": self.id % 2 == 0, "conditioning": if self.id % 3 == 0 { "CONTROL" } else { "TRAINING" },
            }),
        );
    }

    fn draft(&mut self, table: &'static str, fields: Value) {
        if let Value::Object(fields) = fields {
            self.drafts.push(Draft { table, moment: self.moment, fields, secret: None });
        }
    }

    fn log(&mut self, session: &str, task: &str, tag: &str) {
        let date = self.moment.to_rfc2822();
        let time = f64::from(self.random.random_range(2_000..400_000)) / 1000.0;
        self.draft(
            "TaskLog",
            json!({
                "study": self.id + 5000, "sessionName": session, "taskName": task, "dateCompleted": date, "tag": tag,
                "timeOnTask": time, "device": (if self.id % 3 == 0 { "phone" } else { "desktop" }), "userAgent": format!("Mozilla/5.{}", self.id % 4),
            }),
        );
    }

    fn task(&mut self, definition: &Study, session: &str, task: &ScheduledTask) {
        self.moment += Duration::seconds(self.random.random_range(40..400));
        let tag = task.tag.clone().unwrap_or_default();
        self.log(session, &task.name, &tag);
        if task.scale.is_none() {
            self.trials(session);
            return;
        }
        let known = FILLED.iter().find(|name| task.scale.as_ref().is_some_and(|scale| scale.as_str() == **name));
        let (Some(table), Some(scale)) = (known, task.scale.as_ref().and_then(|scale| definition.scales.get(scale)))
        else {
            return;
        };
        // Logged, and never arrived.
        if self.fault(2) {
            return;
        }
        self.answer(table, scale, session, &tag);
        if self.fault(1) {
            self.moment += Duration::seconds(30);
            self.answer(table, scale, session, &tag);
        }
        if *table == "OA" {
            self.extra(
                "DASS21_DS",
                &["blue", "difficult", "hopeless", "meaningless", "noenthusiastic", "nopositive", "noworth"],
                3,
                session,
            );
            self.extra("QOL", &["community", "expressing", "health", "helping", "home", "independence"], 7, session);
        }
    }

    fn common(&mut self, session: &str, tag: &str) -> Map<String, Value> {
        let mut fields = Map::new();
        let time = f64::from(self.random.random_range(2_000..400_000)) / 1000.0;
        fields.insert("date".to_owned(), json!(self.moment.to_rfc2822()));
        fields.insert("session".to_owned(), json!(session));
        fields.insert("tag".to_owned(), if tag.is_empty() { Value::Null } else { json!(tag) });
        fields.insert("timeOnPage".to_owned(), json!(time));
        fields
    }

    fn answer(&mut self, table: &'static str, scale: &Scale, session: &str, tag: &str) {
        let mut fields = self.common(session, tag);
        for column in &scale.columns {
            let value = match &column.kind {
                ColumnKind::Number { least, most } => {
                    self.number(&column.name, least.unwrap_or(0.0), most.unwrap_or(4.0))
                }
                ColumnKind::FreeText => json!(TEXTS[self.random.random_range(0..TEXTS.len())]),
                ColumnKind::List => json!(["one", "two"][..self.random.random_range(0..3)]),
                ColumnKind::Choice(values) if !values.is_empty() => {
                    let value = &values[self.random.random_range(0..values.len())];
                    value.parse::<i64>().map_or_else(|_| json!(value), |number| json!(number))
                }
                ColumnKind::Date => json!((self.moment + Duration::days(self.random.random_range(1..8))).to_rfc2822()),
                ColumnKind::Choice(_) => json!(["one", "two"][self.random.random_range(0..2)]),
                ColumnKind::Other => Value::Null,
            };
            fields.insert(column.name.clone(), value);
        }
        let secret = ENCRYPTED.contains(&table).then_some(self.id);
        if secret.is_none() {
            fields.insert("participant".to_owned(), json!(self.id));
        }
        self.drafts.push(Draft { table, moment: self.moment, fields, secret });
    }

    #[allow(clippy::cast_possible_truncation)] // ranges of items are small whole numbers
    fn number(&mut self, column: &str, least: f64, most: f64) -> Value {
        if column == "birthYear" {
            return json!(1950 + self.random.random_range(0..55));
        }
        let drawn = self.random.random_range(0..1000);
        match if self.faultless { 999 } else { drawn } {
            0..30 => json!(555),
            30..45 => Value::Null,
            45..47 => json!(most as i64 + 5),
            _ => json!(self.random.random_range(least as i64..=most as i64)),
        }
    }

    fn extra(&mut self, table: &'static str, items: &[&str], most: i64, session: &str) {
        let mut fields = self.common(session, "");
        for item in items {
            let value = if self.fault(3) { json!(555) } else { json!(self.random.random_range(0..=most)) };
            fields.insert((*item).to_owned(), value);
        }
        fields.insert("participant".to_owned(), json!(self.id));
        self.drafts.push(Draft { table, moment: self.moment, fields, secret: None });
    }

    fn trials(&mut self, session: &str) {
        for index in 0..4 {
            let mut fields = self.common(session, "");
            let choice = if self.chance(50) { "yes" } else { "no" };
            let stimulus = format!("<p>{index}. {}</p>", "You are at a party and someone looks at you. ".repeat(8));
            fields.insert("participant".to_owned(), json!(self.id));
            fields.insert("trial_index".to_owned(), json!(index));
            fields.insert("stimulus".to_owned(), json!(stimulus));
            fields.insert("rt".to_owned(), json!(f64::from(self.random.random_range(300_000..9_000_000)) / 1000.0));
            fields.insert("responses".to_owned(), json!({"choice": choice, "path": [1, 2.50]}));
            self.drafts.push(Draft { table: "JsPsychTrial", moment: self.moment, fields, secret: None });
        }
    }
}

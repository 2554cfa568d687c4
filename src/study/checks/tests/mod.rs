//! Each rule with the case it was made for, and beside it what must not be found.

mod accounts;
mod columns;
mod entries;
mod order;
mod rows;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use super::catalogue::RULES;
use super::cells::{CheckedRow, RowRules, Undecrypted};
use super::log::{Log, TaskLogReader};
use super::table::{Context, Examination};
use super::*;
use crate::config::error::{Problems, Source};
use crate::report::accounts::{read_conditions, read_participants};
use crate::study::moment;
use crate::study::name::ScaleName;
use crate::study::people::Override;
use crate::study::roster::Roster;
use crate::study::schedule::Slots;
use crate::table::records::Records;

/// A small study: three sessions, two days between the trainings, a questionnaire in each.
const STUDY: &str = r#"
special_sessions = ["COMPLETE"]
[screening]
scales = ["DASS"]
sessions = ["ELIGIBLE", ""]
key = "sessionId"
[conditions]
column = "conditioning"
control = ["CONTROL"]
treatment = ["TRAINING"]
before = ["NONE"]
fixed_after = "S1"
[enrolment]
from = "2019-03-18T17:00"
until = "2020-04-06T23:59"
timezone = "America/New_York"
least_participant = 10
[rule.R14]
columns = ["birthYear"]
[[session]]
name = "PRE"
tasks = [{ name = "OA", scale = "OA" }, { name = "Demo", scale = "Demo" }]
[[session]]
name = "S1"
tasks = [{ name = "Affect", scale = "Affect", tag = "pre" }, { name = "Affect", scale = "Affect", tag = "post" },
    { name = "OA", scale = "OA" }, { name = "SUDS", scale = "SUDS" }, { name = "SUDS", scale = "SUDS" }]
[[session]]
name = "S2"
gap_days = 2
tasks = [{ name = "OA", scale = "OA" }]
[scale.OA]
items = ["a", "b"]
range = [0, 4]
missing = { "555" = "declined", "999" = { meaning = "not_asked", since = "2019-06-01" } }
[scale.DASS]
items = ["d"]
range = [0, 3]
[scale.Affect]
key = ["session", "tag"]
items = ["feeling"]
range = [0, 100]
[scale.SUDS]
times = 2
items = ["anxiety"]
range = [0, 100]
[scale.Demo]
items = ["birthYear"]
choices = ["gender"]
free_text = ["reason"]
[scale.Trials]
kind = "trials"
[scale.TaskLog]
kind = "log"
key = ["sessionName", "taskName", "tag"]
[scale.People]
kind = "participants"
key = []
[scale.State]
kind = "log"
key = []
"#;

fn study() -> Study {
    let problems = RefCell::new(Problems::default());
    let source = Source { path: "one.toml".into(), text: STUDY.to_owned() };
    let study = crate::config::scales::read("one", &source, &problems).unwrap();
    assert!(problems.borrow().problems.is_empty(), "{}", problems.borrow());
    study
}

/// `2019-05-<day>` at noon, as the server prints it.
fn on(day: u32) -> String {
    moment::parse(&format!("2019-05-{day:02}T12:00:00")).unwrap().to_rfc2822()
}

/// The server of these tests: tables as text, without the columns that combine adds.
#[derive(Default)]
struct Lab {
    tables: BTreeMap<&'static str, String>,
    listed: Vec<Override>,
}

impl Lab {
    fn table(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.tables.insert(name, text.into());
        self
    }

    /// Writes the tables as combine would, with the flags of each row.
    fn write(&self, folder: &Path, study: &Study) {
        for (name, text) in &self.tables {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
            let defined = study.scales.get(&ScaleName::new(name).unwrap());
            let own: Vec<String> = header.iter().filter(|name| !name.starts_with('_')).cloned().collect();
            let rules = RowRules::new(study, name, defined, &own);
            let mut out = csv::Writer::from_path(folder.join(format!("{name}.csv"))).unwrap();
            let added = ["_first_seen", "_n_same_id", "_current", "_flags"].map(str::to_owned);
            out.write_record(own.iter().chain(&added)).unwrap();
            for record in reader.byte_records() {
                let record = record.unwrap();
                let at = |name: &str| header.iter().position(|column| column == name);
                let cells: Vec<&[u8]> = own.iter().map(|name| &record[at(name).unwrap()]).collect();
                let date = moment::COLUMNS.iter().find_map(|name| at(name)).map(|at| &record[at]).unwrap_or_default();
                let mut flags = String::new();
                let dated = moment::parse(std::str::from_utf8(date).unwrap()).is_some();
                rules.flags(&CheckedRow { cells: &cells, dated, closed: &[] }, &mut flags);
                let added = |name: &str, usual: &str| {
                    at(name).map_or_else(|| usual.to_owned(), |at| String::from_utf8_lossy(&record[at]).into_owned())
                };
                let extra = added("_flags", "");
                if !extra.is_empty() {
                    flags = if flags.is_empty() { extra } else { format!("{flags};{extra}") };
                }
                let own = [added("_first_seen", "x.json"), added("_n_same_id", "1"), added("_current", "true"), flags];
                let row = cells.iter().map(|cell| cell.to_vec()).chain(own.map(String::into_bytes));
                out.write_record(row).unwrap();
            }
        }
    }

    fn all(&self, study: &Study) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path(), study);
        let path = |name: &str| Some(folder.path().join(format!("{name}.csv"))).filter(|path| path.exists());
        let listed = crate::study::people::accounts(&self.listed, "one");
        let mut roster = Roster::default();
        if let Some(path) = path("People") {
            read_participants(&mut roster, &path).unwrap();
        }
        if let Some(path) = path("State") {
            read_conditions(&mut roster, study, &path).unwrap();
        }
        roster.hear(&listed);
        let slots = Slots::new(study);
        let context = Context::new(study, &slots, &roster);
        let (mut lines, mut seen) = (Vec::new(), LastSeen::default());
        let (mut examined, mut log) = (Vec::new(), Log::default());
        let mut sink = |f: &Finding<'_>| {
            let mut line = String::new();
            write!(line, "{} {} {} {} {} {} {}", f.rule, f.scale, f.id, f.participant, f.column, f.value, f.message)
                .unwrap();
            lines.push(line + " " + f.severity.word());
        };
        for name in self.tables.keys() {
            let mut records = Records::new(File::open(path(name).unwrap()).unwrap()).unwrap();
            let header = records.header().to_vec();
            let mut task_log = TaskLogReader::new(&slots, &header);
            let mut examination = Examination::new(&context, name, header);
            while let Some(record) = records.read().unwrap() {
                let stamp = examination.row(&record, &mut sink);
                if let Some(stamp) = stamp {
                    task_log.row(&record, stamp);
                }
            }
            if *name == "TaskLog" {
                log = task_log.close();
            }
            examined.push(examination.judge(&mut sink));
        }
        for examined in examined {
            seen.merge(&examined.finish(&log, &mut sink));
        }
        super::accounts::check(&roster, study, "People", &seen.last, seen.now, &mut sink);
        lines
    }

    /// The findings of one rule, without its name.
    fn find(&self, rule: &str) -> Vec<String> {
        let start = format!("{rule} ");
        self.all(&study()).iter().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
    }
}

/// Entries of OA: id, participant, session, day, answers.
fn oa(rows: &[(i64, &str, &str, u32, &str)]) -> String {
    let mut text = "a,b,date,id,participant,session,timeOnPage\n".to_owned();
    for (id, who, session, day, answer) in rows {
        writeln!(text, "{answer},{answer},\"{}\",{id},{who},{session},10.5", on(*day)).unwrap();
    }
    text
}

fn people(ids: &[&str]) -> String {
    let mut text = "active,admin,dateCreated,id,study,testAccount\n".to_owned();
    for id in ids {
        writeln!(text, "true,false,\"{}\",{id},5{id},false", on(1)).unwrap();
    }
    text
}

/// Rows of TaskLog: study, session, task, tag, day.
fn tasks(rows: &[(&str, &str, &str, &str, u32)]) -> String {
    let mut text = "dateCompleted,id,sessionName,study,tag,taskName\n".to_owned();
    for (id, (link, session, task, tag, day)) in rows.iter().enumerate() {
        writeln!(text, "\"{}\",{},{session},{link},{tag},{task}", on(*day), id + 1).unwrap();
    }
    text
}

fn one(found: &[String], start: &str, end: &str) {
    assert!(found.len() == 1 && found[0].starts_with(start) && found[0].ends_with(end), "{found:#?}");
}

#[test]
fn rules_can_be_turned_off_and_weighed_otherwise() {
    let lab = Lab::default().table("OA", oa(&[(1, "12", "nowhere", 2, "7")]));
    let mut study = study();
    let set = |off, severity| Settings { off, severity, ..Settings::default() };
    study.rules.insert("R13".to_owned(), set(true, None));
    study.rules.insert("R9".to_owned(), set(false, Some(Severity::Error)));
    let found = lab.all(&study);
    assert!(found.iter().any(|line| line.starts_with("R9 ") && line.ends_with("error")), "{found:#?}");
    assert!(!found.iter().any(|line| line.starts_with("R13")), "{found:#?}");
}

/// Every rule of the catalogue has a test here or in `ledger`.
#[test]
fn every_rule_has_its_case() {
    let source = [
        include_str!("accounts.rs"),
        include_str!("columns.rs"),
        include_str!("entries.rs"),
        include_str!("order.rs"),
        include_str!("rows.rs"),
    ]
    .concat();
    for rule in RULES.iter().filter(|rule| rule.name != "L1") {
        assert!(source.contains(&format!("find(\"{}\")", rule.name)), "{}", rule.name);
    }
}

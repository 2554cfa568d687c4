//! Each rule with the case it was made for, and beside it what must not be found.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::accounts;
use super::catalogue::RULES;
use super::cells::{Row, RowRules, Undecrypted};
use super::log::Log;
use super::table::{Context, Examination};
use super::*;
use crate::config::error::{Problems, Source};
use crate::study::moment;
use crate::study::name::ScaleName;
use crate::study::people::Override;
use crate::study::roster::Roster;
use crate::study::schedule::Slots;

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
                rules.flags(&Row { cells: &cells, dated, closed: &[] }, &mut flags);
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
            roster.read_participants(&path).unwrap();
        }
        if let Some(path) = path("State") {
            roster.read_conditions(study, &path).unwrap();
        }
        roster.hear(&listed);
        let slots = Slots::new(study);
        let log = path("TaskLog").map(|path| Log::read(&slots, &roster, &path).unwrap()).unwrap_or_default();
        let context = Context::new(study, &slots, &roster, &log);
        let (mut lines, mut seen) = (Vec::new(), Seen::default());
        let mut sink = |f: &Finding<'_>| {
            let mut line = String::new();
            write!(line, "{} {} {} {} {} {} {}", f.rule, f.scale, f.id, f.participant, f.column, f.value, f.message)
                .unwrap();
            lines.push(line + " " + f.severity.word());
        };
        for name in self.tables.keys() {
            let mut reader = csv::Reader::from_path(path(name).unwrap()).unwrap();
            let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
            let mut examination = Examination::new(&context, name, &header);
            for record in reader.byte_records() {
                examination.row(&record.unwrap(), &mut sink);
            }
            seen.merge(&examination.finish(&mut sink));
        }
        accounts::check(&roster, study, "People", &seen.last, seen.now, &mut sink);
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
fn r1_undecrypted() {
    let cipher = "A".repeat(344);
    let table = |rsa: &str, plain: &str| {
        Lab::default()
            .table("OA", format!("a,date,id,participant,participantRSA,session\n1,\"{}\",7,{plain},{rsa},PRE\n", on(2)))
    };
    one(&table(&cipher, "").find("R1"), "OA 7  participantRSA  ciphertext", "error");
    one(&table("", "").find("R1"), "OA 7  participantRSA  blank", "error");
    one(&table("\"\u{2}x\"", "").find("R1"), "OA 7  participantRSA  garbage", "error");
    // Published data have the ciphertext in the plain column.
    one(&table("", &cipher).find("R1"), "OA 7  participant  ciphertext", "error");
    for (rsa, plain) in [("12", ""), ("", "12")] {
        assert!(table(rsa, plain).find("R1").is_empty());
    }
    let screened = format!("d,date,id,participantRSA,session,sessionId\n1,\"{}\",1,,ELIGIBLE,x\n", on(2));
    assert!(Lab::default().table("DASS", screened).find("R1").is_empty());
}

/// What decode set aside leaves an empty cell: the row is told from one of an era without encryption.
#[test]
fn r1_and_r2_of_values_in_quarantine() {
    let header = ["id", "participantDAO", "participantRSA"].map(str::to_owned);
    let rules = RowRules::new(&Study::default(), "OA", None, &header);
    let flags = |plain: &str, closed: &[(usize, Undecrypted)]| {
        let mut flags = String::new();
        rules.flags(&Row { cells: &[b"7", plain.as_bytes(), b""], dated: true, closed }, &mut flags);
        flags
    };
    assert_eq!(flags("", &[(2, Undecrypted::Ciphertext)]), "R1:participantRSA:ciphertext");
    assert_eq!(flags("", &[(2, Undecrypted::Garbage)]), "R1:participantRSA:garbage");
    assert_eq!(flags("534", &[(2, Undecrypted::Ciphertext)]), "R1:participantRSA:ciphertext;R2:participantDAO");
    assert_eq!((flags("534", &[]), flags("", &[])), (String::new(), "R1:participantRSA".to_owned()));
}

#[test]
fn r2_repair_hint() {
    let table = |rsa: &str, plain: &str| {
        Lab::default().table(
            "OA",
            format!("a,date,id,participantDAO,participantRSA,session\n1,\"{}\",7,{plain},{rsa},PRE\n", on(2)),
        )
    };
    let cipher = "A".repeat(344);
    one(&table(&cipher, "534").find("R2"), "OA 7 534 participantDAO 534 proposed", "notice");
    one(&table("535", "534").find("R2"), "OA 7 534 participantDAO 534 the encrypted column says 535", "error");
    assert!(table("534", "534").find("R2").is_empty());
    assert!(table("534", "").find("R2").is_empty());
}

#[test]
fn r3_orphan() {
    let lab = Lab::default()
        .table("People", people(&["12"]))
        .table("OA", oa(&[(1, "12", "PRE", 2, "1"), (2, "99", "PRE", 2, "1"), (3, "99", "S1", 2, "1")]))
        .table("TaskLog", tasks(&[("512", "PRE", "OA", "", 2), ("577", "PRE", "OA", "", 2)]));
    let found = lab.find("R3");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("OA 2 99 participant") && found[1].starts_with("TaskLog 2  study 577"));
    assert!(Lab::default().table("OA", oa(&[(1, "12", "PRE", 2, "1")])).find("R3").is_empty());
}

#[test]
fn r4_repeat() {
    let rows = [(1, "12", "PRE", 2, "1"), (2, "12", "PRE", 2, "1"), (5, "12", "PRE", 2, "1"), (3, "12", "S1", 3, "1")];
    one(
        &Lab::default().table("OA", oa(&rows)).find("R4"),
        "OA 5 12 id 3 3 entries are the same but for their ids: 1, 2, 5",
        "warning",
    );
    let mut log = vec![("512", "PRE", "OA", "", 2); 3];
    log.push(("512", "S1", "OA", "", 2));
    let lab = Lab::default().table("People", people(&["12"])).table("TaskLog", tasks(&log));
    one(&lab.find("R4"), "TaskLog 3 12 id 3", "warning");
}

#[test]
fn r5_second_entry() {
    let rows = [(1, "12", "PRE", 2, "1"), (2, "12", "PRE", 3, "4"), (3, "12", "S1", 4, "1"), (4, "13", "PRE", 2, "1")];
    one(
        &Lab::default().table("OA", oa(&rows)).find("R5"),
        "OA 1 12 session 2 2 entries for PRE, 2 different sets of answers, 10.5 s on the page on average",
        "warning",
    );
    // Affect comes once for each tag, SUDS twice without one.
    let affect =
        format!("date,feeling,id,participant,session,tag\n\"{0}\",50,1,12,S1,pre\n\"{0}\",50,2,12,S1,post\n", on(2));
    assert!(Lab::default().table("Affect", affect).find("R5").is_empty());
    let suds = |n: usize| {
        let rows: Vec<String> = (1..=n).map(|id| format!("5{id},\"{}\",{id},12,S1\n", on(2))).collect();
        Lab::default().table("SUDS", format!("anxiety,date,id,participant,session\n{}", rows.concat())).find("R5").len()
    };
    assert_eq!((suds(2), suds(3)), (0, 1));
    // Of an id with two versions only the newest counts.
    let versions = oa(&rows[..1]).replace("timeOnPage\n", "timeOnPage,_current\n").replace("10.5\n", "10.5,false\n");
    let both = format!("{versions}2,2,\"{}\",1,12,PRE,10.5,true\n", on(2));
    assert!(Lab::default().table("OA", both).find("R5").is_empty());
}

#[test]
fn r6_not_checkable() {
    let table = format!("date,id,participant,rt\n\"{0}\",1,12,5\n\"{0}\",2,12,5\n", on(2));
    let lab = Lab::default().table("Trials", table);
    one(&lab.find("R6"), "Trials ", "only ids are checked notice");
    assert!(lab.find("R4").is_empty() && lab.find("R5").is_empty());
}

/// Screening entries: id, participant, visitor, answer.
fn dass(rows: &[(i64, &str, &str, u8)]) -> String {
    let mut text = "d,date,id,participant,session,sessionId,timeOnPage\n".to_owned();
    for (id, who, visitor, answer) in rows {
        let session = if who.is_empty() { "" } else { "ELIGIBLE" };
        writeln!(text, "{answer},\"{}\",{id},{who},{session},{visitor},1{id}.5", on(2)).unwrap();
    }
    text
}

#[test]
fn r7_screening() {
    let rows = [(1, "", "x", 1), (2, "", "x", 2), (3, "", "x", 3), (4, "", "y", 1), (5, "", "y", 2), (6, "", "y", 2)];
    one(
        &Lab::default().table("DASS", dass(&rows)).find("R7"),
        "DASS 1  sessionId x 3 different sets of answers in 3 attempts",
        "warning",
    );
}

#[test]
fn r8_screening_link() {
    let rows = [(1, "", "x", 1), (2, "12", "x", 1), (3, "", "y", 1), (4, "12", "z", 1), (5, "13", "z", 1)];
    let found = Lab::default().table("DASS", dass(&rows)).find("R8");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("DASS 1 12 sessionId x the same visitor") && found[0].ends_with("notice"));
    assert!(found[1].starts_with("DASS 4 12 sessionId z several participants under one key: 12, 13"));
    assert!(found[1].ends_with("error"));
}

#[test]
fn r9_session_name() {
    let rows = [
        (1, "12", "flexible_thinking", 2, "1"),
        (2, "12", "", 2, "2"),
        (3, "12", "COMPLETE", 2, "3"),
        (4, "12", "PRE", 2, "1"),
    ];
    let found = Lab::default().table("OA", oa(&rows)).find("R9");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].starts_with("OA 1 12 session flexible_thinking the schedule")
            && found[1].contains("OA 2 12 session  no session")
    );
    // The screening has no session, and belongs to this table only.
    assert!(Lab::default().table("DASS", dass(&[(1, "", "x", 1), (2, "3", "y", 1)])).find("R9").is_empty());
}

#[test]
fn r10_session_order() {
    let find = |rows: &[(i64, &str, &str, u32, &str)]| Lab::default().table("OA", oa(rows)).find("R10");
    assert!(find(&[(1, "12", "PRE", 1, "1"), (2, "12", "S1", 1, "1"), (3, "12", "S2", 3, "1")]).is_empty());
    // A skipped label.
    one(
        &find(&[(1, "12", "PRE", 1, "1"), (3, "12", "S2", 5, "1")]),
        "OA 3 12 session S1 no entry between PRE and S2",
        "warning",
    );
    // Labels the wrong way round.
    one(&find(&[(1, "12", "PRE", 4, "1"), (2, "12", "S1", 2, "1")]), "OA 2 12 date S1 dated before PRE", "warning");
    // Two days have to lie between the trainings, less eight hours.
    one(
        &find(&[(1, "12", "PRE", 1, "1"), (2, "12", "S1", 1, "1"), (3, "12", "S2", 2, "1")]),
        "OA 3 12 date S2 1.0 days after S1, the schedule asks for 2",
        "warning",
    );
    let log = tasks(&[("512", "PRE", "OA", "", 8), ("512", "S1", "OA", "", 3)]);
    let lab = Lab::default()
        .table("People", people(&["12"]))
        .table("TaskLog", log)
        .table("OA", oa(&[(1, "12", "PRE", 2, "1"), (2, "12", "S1", 9, "1")]));
    one(&lab.find("R10"), "OA 1 12 session PRE by date this is PRE, by TaskLog S1", "warning");
}

fn listed(participant: &str, test: bool) -> Override {
    Override {
        server: None,
        participant: participant.to_owned(),
        test,
        who: "ann".to_owned(),
        when: "2020-01-01".parse().unwrap(),
        why: "pilot".to_owned(),
    }
}

#[test]
fn r11_test_account() {
    let table = people(&["12", "13", "14", "15", "16"])
        .replace(",12,512,false", ",12,512,true")
        .replace(",13,513,false", ",13,513,\u{1}")
        .replace(",14,514,false", ",14,514,true");
    let lab = Lab { listed: vec![listed("14", false), listed("15", true)], ..Lab::default() }.table("People", table);
    let found = lab.find("R11");
    let ids: Vec<&str> = found.iter().map(|line| &line[7..9]).collect();
    assert_eq!(ids, ["12", "13", "14", "15"], "{found:#?}");
    assert!(
        found[2].contains("cleared by the participants file") && found[3].contains("the participants file lists it")
    );
}

#[test]
fn r12_missing_code_and_r13_range() {
    let rows =
        [(1, "12", "PRE", 2, "555"), (2, "13", "PRE", 2, "5"), (3, "14", "PRE", 2, "999"), (4, "15", "PRE", 2, "4")];
    let table = oa(&rows);
    let lab = Lab::default().table("OA", table);
    let codes = lab.find("R12");
    assert_eq!(codes.len(), 2, "{codes:#?}");
    assert!(codes[0].starts_with("OA 1 12 a 555 declined") && codes[0].ends_with("notice"));
    // 999 means "not asked" only from June on: before, nobody declared it.
    let range = lab.find("R13");
    let values: Vec<&str> = range.iter().map(|line| line.split(' ').nth(4).unwrap()).collect();
    assert_eq!(values, ["5", "5", "999", "999"], "{range:#?}");
    assert!(range[0].ends_with("outside the item's range warning"));
}

#[test]
fn r14_birth_year_and_r15_server_blank() {
    let table = |year: &str, gender: &str| {
        Lab::default().table(
            "Demo",
            format!("birthYear,date,gender,id,participant,reason,session\n{year},\"{}\",{gender},1,12,,PRE\n", on(2)),
        )
    };
    one(
        &table("195100", "Female").find("R14"),
        "Demo 1 12 birthYear 195100 no year of birth; most likely 1951",
        "warning",
    );
    one(
        &table("19001976", "Female").find("R14"),
        "Demo 1 12 birthYear 19001976 no year of birth; most likely 1976",
        "warning",
    );
    one(&table("61", "Female").find("R14"), "Demo 1 12 birthYear 61 no year of birth; most likely 1961", "warning");
    for impossible in ["2222", "0", "1899", "2002", "nineteen"] {
        one(&table(impossible, "Female").find("R14"), "Demo 1 12 birthYear", "warning");
    }
    assert!(table("2001", "Étudiant").find("R14").is_empty() && table("2001", "Étudiant").find("R15").is_empty());
    for broken in ["", "????", "Ã‰tudiant"] {
        one(&table("2001", broken).find("R15"), "Demo 1 12 gender", "missing: server warning");
    }
}

#[test]
fn r16_date() {
    let text = oa(&[(1, "12", "PRE", 2, "1")]);
    assert!(Lab::default().table("OA", text.clone()).find("R16").is_empty());
    one(
        &Lab::default().table("OA", text.replace(&on(2), "last Tuesday")).find("R16"),
        "OA 1 12 date last Tuesday",
        "warning",
    );
}

#[test]
fn r17_clock_offset() {
    let lab = |minutes: i64| {
        let shifted = (moment::parse(&on(2)).unwrap() + chrono::Duration::minutes(minutes)).to_rfc2822();
        Lab::default()
            .table("People", people(&["12"]))
            .table("TaskLog", tasks(&[("512", "PRE", "OA", "", 2)]))
            .table("OA", oa(&[(1, "12", "PRE", 2, "1")]).replace(&on(2), &shifted))
            .find("R17")
    };
    one(&lab(62), "OA 1 12 date PRE TaskLog has it 62 minutes earlier", "warning");
    one(&lab(-57), "OA 1 12 date PRE TaskLog has it 57 minutes later", "warning");
    assert!(lab(2).is_empty() && lab(70).is_empty());
}

#[test]
fn r18_bots() {
    let mut text = "d,date,id,participant,session,sessionId,timeOnPage\n".to_owned();
    let mut id = 0;
    for day in 1..=9 {
        let bots = if day == 5 { 60 } else { 2 };
        for n in 0..bots {
            id += 1;
            let time = if day == 5 { 0 } else { n };
            writeln!(text, "1,\"{}\",{id},,,v{id},{time}.25", on(day)).unwrap();
        }
    }
    one(
        &Lab::default().table("DASS", text).find("R18"),
        "DASS   date 2019-05-05 60 screening entries, the median of a day is 2",
        "warning",
    );
}

#[test]
fn s1_log_agreement_and_s7_gap() {
    let ids: Vec<String> = (20..40).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let links: Vec<String> = ids.iter().map(|id| format!("5{id}")).collect();
    // Everybody was there on a day of their own, but six of the same day have no entry.
    let day = |n: usize| if n < 6 { 28 } else { u32::try_from(n).unwrap() };
    let log: Vec<_> = links.iter().enumerate().map(|(n, link)| (link.as_str(), "PRE", "OA", "", day(n))).collect();
    let rows: Vec<_> =
        ids.iter().enumerate().skip(6).map(|(n, id)| (i64::try_from(n).unwrap(), *id, "PRE", day(n), "1")).collect();
    let lab = Lab::default().table("People", people(&ids)).table("TaskLog", tasks(&log)).table("OA", oa(&rows));
    let found = lab.find("S1");
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(found[0].starts_with("OA  20 session PRE TaskLog has it, the table has not"));
    one(&lab.find("S7"), "OA   date 2019-05-28 6 of 6 gaps", "0% of the entries warning");
    // The other way round.
    let lab = Lab::default()
        .table("People", people(&["20"]))
        .table("TaskLog", tasks(&[]))
        .table("OA", oa(&[(1, "20", "PRE", 2, "1")]));
    one(&lab.find("S1"), "OA 1 20 session PRE the table has it, TaskLog has not", "notice");
    // Without a TaskLog nothing disagrees with it.
    assert!(Lab::default().table("OA", oa(&rows)).find("S1").is_empty());
}

#[test]
fn s2_condition() {
    let state = |rows: &[(&str, &str, &str)]| {
        let mut text = "conditioning,currentSession,id\n".to_owned();
        for (condition, session, id) in rows {
            writeln!(text, "{condition},{session},{id}").unwrap();
        }
        Lab::default().table("People", people(&["12", "13"])).table("State", text)
    };
    one(
        &state(&[("NONE", "PRE", "512"), ("TRAINING", "S1", "512"), ("CONTROL", "S1", "512")]).find("S2"),
        "People 12 12 conditioning CONTROL moved between control and treatment: TRAINING -> CONTROL, at S1",
        "error",
    );
    one(
        &state(&[("TRAINING", "S1", "512"), ("OTHER", "S2", "512")]).find("S2"),
        "People 12 12 conditioning OTHER changed after it was fixed: TRAINING -> OTHER, at S2",
        "error",
    );
    assert!(state(&[("NONE", "PRE", "512"), ("TRAINING", "S1", "512"), ("OTHER", "S1", "512")]).find("S2").is_empty());
    let trials = format!("condition,date,id,participant\nCONTROL,\"{0}\",1,12\nTRAINING,\"{0}\",2,13\n", on(2));
    let lab = state(&[("TRAINING", "S1", "512"), ("TRAINING", "S1", "513")]).table("Trials", trials);
    one(&lab.find("S2"), "Trials 1 12 condition CONTROL the study's table has TRAINING", "error");
}

#[test]
fn s3_active_flag_and_s4_enrolment_window() {
    let table = people(&["12", "13", "14", "15"]).replacen("true,false", "false,false", 2).replacen(
        "false,false",
        "true,false",
        1,
    );
    // 12 idle and active; 13 busy and inactive; 14 busy and active; 15 idle, active and through.
    let state = "conditioning,currentSession,id\nX,S1,512\nX,S1,513\nX,S1,514\nX,S2,515\n";
    let rows =
        [(1, "12", "PRE", 2, "1"), (2, "13", "PRE", 28, "1"), (3, "14", "PRE", 28, "1"), (4, "15", "PRE", 2, "1")];
    let lab = Lab::default().table("People", table).table("State", state).table("OA", oa(&rows));
    let found = lab.find("S3");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("People 12 12 active true active, but idle for 26 days"), "{found:#?}");
    assert!(found[1].starts_with("People 13 13 active false inactive, but the last entry is 0 days old"), "{found:#?}");
    let table = people(&["9", "12", "13"]).replacen(&on(1), "Mon, 18 Mar 2019 20:59:00 +0000", 2).replacen(
        "2019 20:59",
        "2019 21:01",
        1,
    );
    let table = table.replacen("18 Mar 2019 20:59", "18 Mar 2019 20:58", 1);
    let found = Lab::default().table("People", table).find("S4");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("below the soft launch") && found[1].starts_with("People 12 12 dateCreated"),
        "{found:#?}"
    );
    let late = people(&["12"]).replace(&on(1), "Tue, 7 Apr 2020 04:00:00 +0000");
    one(
        &Lab::default().table("People", late).find("S4"),
        "People 12 12 dateCreated",
        "joined after the study ended notice",
    );
}

#[test]
fn s5_impossible_task() {
    let table =
        format!("date,feeling,id,participant,session,tag\n\"{0}\",50,1,12,S2,pre\n\"{0}\",50,2,12,S1,pre\n", on(2));
    one(
        &Lab::default().table("Affect", table).find("S5"),
        "Affect 1 12 session S2 the schedule does not place",
        "warning",
    );
}

#[test]
fn s6_blank_column() {
    let mut text = "a,b,date,extra,id,participant,session\n".to_owned();
    (1..=25).for_each(|id| writeln!(text, "{},,\"{}\",0,{id},{id},PRE", id % 4, on(2)).unwrap());
    let found = Lab::default().table("OA", text.clone()).find("S6");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("b  empty in all 25 entries") && found[1].contains("extra  the same value in all 25 entries")
    );
    let few = text.lines().take(10).collect::<Vec<_>>().join("\n");
    assert!(Lab::default().table("OA", few).find("S6").is_empty());
}

#[test]
fn s8_drift() {
    let text = oa(&[(1, "12", "PRE", 2, "1"), (2, "13", "PRE", 2, "1")])
        .replace("timeOnPage\n", "timeOnPage,_n_same_id,_flags\n")
        .replacen("10.5\n", "10.5,2,repeated_id\n", 1)
        .replacen("10.5\n", "10.5,1,\n", 1);
    one(&Lab::default().table("OA", text).find("S8"), "OA 1 12 id 2 the id came with different contents", "warning");
    // Thirty entries, then thirty after a release of the server: a column is new, one is gone, one is of another kind.
    let mut text = "date,gone,id,kind,new,participant,rare,session\n".to_owned();
    for id in 0..60 {
        let (gone, kind, new) = if id < 30 { ("1", "7", "") } else { ("", "seven", "1") };
        let rare = if id == 45 { "x" } else { "" };
        writeln!(text, "\"{}\",{gone},{id},{kind},{new},{},{rare},PRE", on(2), 100 + id).unwrap();
    }
    let found = Lab::default().table("New", text).find("S8");
    let day = crate::study::moment::day_of(crate::study::moment::millis(&on(2)).unwrap());
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with(&format!("New   gone  gone after {day}: the last 30 entries")));
    assert!(found[1].starts_with(&format!("New   kind  of another kind since {day}: number, then text")));
    assert!(found[2].starts_with(&format!("New   new  new since {day}: the 30 entries before")));
}

#[test]
fn s9_identifying() {
    let table = |reason: &str| {
        Lab::default().table(
            "Demo",
            format!(
                "birthYear,date,gender,id,participant,reason,session\n1980,\"{}\",x,1,12,\"{reason}\",PRE\n",
                on(2)
            ),
        )
    };
    let found = table("write to ann@mail.example.org").find("S9");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("Demo 1 12 reason  an e-mail address") && !found.iter().any(|line| line.contains("ann@"))
    );
    assert!(found[1].contains("reason  free text in 1 entries"));
    assert_eq!(table("nothing to tell").find("S9").len(), 1);
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
    let source = include_str!("tests.rs");
    for rule in RULES.iter().filter(|rule| rule.name != "L1") {
        assert!(source.contains(&format!("find(\"{}\")", rule.name)), "{}", rule.name);
    }
}

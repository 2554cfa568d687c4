//! What an export asks for and keeps: windows of static tables, marks, schedules, old pools, and nothing when there is
//! nothing new.

use std::collections::BTreeMap;
use std::fs;

use chrono::{DateTime, Duration, FixedOffset, NaiveDateTime, Utc};
use mtdata::parts::ServerFault;

use crate::rig::lab::{contents, times};
use crate::rig::site::{Site, entry, warnings};

fn days_ago(days: i64) -> DateTime<FixedOffset> {
    (Utc::now() - Duration::days(days)).fixed_offset()
}

/// Requests for this table since the last call.
fn asked(site: &Site, from: &mut usize, table: &str) -> Vec<String> {
    let all = site.server.requests();
    let new = all[*from..].iter().filter(|request| request.contains(&format!("export/{table}"))).cloned().collect();
    *from = all.len();
    new
}

/// The whole table was last fetched so many hours ago.
fn age_notes(site: &Site, table: &str, hours: i64) {
    let path = site.pool().join(".archive/notes.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut notes = lines.rfind(|line| line["scale"] == table).unwrap();
    notes["full"] = serde_json::json!(Utc::now() - Duration::hours(hours));
    fs::write(path, format!("{text}{notes}\n")).unwrap();
}

#[test]
fn static_tables_are_asked_for_what_is_new_and_now_and_then_for_all() {
    let site = Site::new();
    let mut seen = 0;
    site.server.add_dated("TaskLog", 1, days_ago(100), &entry(1, "old"));
    site.server.add_dated("ParticipantExport", 1, days_ago(100), &entry(1, "first"));
    let run = site.build(0);
    assert_eq!((run.count("received"), run.count("stored")), (2, 2));
    assert_eq!(asked(&site, &mut seen, "TaskLog"), ["GET export/TaskLog"], "the first time all is asked for");
    // Dated in the window; and one that came late and is dated before it.
    site.server.add_dated("TaskLog", 2, days_ago(1), &entry(2, "new"));
    site.server.add_dated("TaskLog", 3, days_ago(50), &entry(3, "came late"));
    // Ignores `after`, and one of its entries is another now.
    site.server.lose("ParticipantExport", 1);
    site.server.add_dated("ParticipantExport", 1, days_ago(100), &entry(1, "second"));
    let run = site.build(0);
    let request = asked(&site, &mut seen, "TaskLog").pop().unwrap();
    let after = request.strip_prefix("GET export/TaskLog?after=").unwrap_or_else(|| panic!("{request}"));
    let after = NaiveDateTime::parse_from_str(after, "%Y-%m-%d-%H-%M-%S").unwrap();
    let back = Utc::now().with_timezone(&FixedOffset::west_opt(5 * 3600).unwrap()).naive_local() - after;
    assert!(back >= Duration::days(1) && back < Duration::days(4), "{back}");
    assert_eq!((run.count("received"), run.count("stored")), (2, 2));
    let all: String = site.raw().into_values().collect();
    assert!(all.contains("first") && all.contains("second"), "both versions are kept");
    assert!(!site.archived().contains(&("TaskLog".to_owned(), 3)));
    // A day later all is asked for again, and what came late is found.
    age_notes(&site, "TaskLog", 25);
    let run = site.build(0);
    assert!(asked(&site, &mut seen, "TaskLog").contains(&"GET export/TaskLog".to_owned()));
    assert_eq!((run.count("stored"), warnings(&run)), (1, vec![]));
    // Nothing new is no file, however often.
    let before = contents(&site.pool());
    assert_eq!(site.build(0).count("stored"), 0);
    assert_eq!(contents(&site.pool()), before);
}

#[test]
fn entries_that_vanished_from_a_static_table_are_noticed_once_and_stay() {
    let site = Site::new();
    for id in 1..=3 {
        site.server.add_dated("TaskLog", id, days_ago(100), &entry(id, "x"));
    }
    site.build(0);
    site.server.lose("TaskLog", 2);
    // The window cannot show it.
    assert_eq!(warnings(&site.build(0)), []);
    age_notes(&site, "TaskLog", 25);
    let told = warnings(&site.build(0));
    assert!(told.len() == 1 && told[0].0 == "vanished" && told[0].1.contains("id 2;"), "{told:?}");
    age_notes(&site, "TaskLog", 25);
    assert_eq!(warnings(&site.build(0)), []);
    assert_eq!(site.archived().len(), 3);
}

#[test]
fn tables_that_may_not_be_emptied_grow_by_what_is_new_only() {
    let site = Site::new();
    site.configure("delete_mode = false\n");
    (1..=3).for_each(|id| site.server.add("OA", id, &entry(id, "x")));
    assert_eq!(site.build(0).count("stored"), 3);
    site.server.add("OA", 4, &entry(4, "x"));
    let run = site.build(0);
    assert_eq!((run.count("received"), run.count("stored"), run.count("already_held")), (4, 1, 3));
    assert_eq!((site.deletes(), site.raw().len()), (0, 2));
    // A protected table is not emptied either, whatever the mode.
    site.configure("");
    site.server.add("TaskLog", 1, &entry(1, "x"));
    assert_eq!(site.build(0).count("deleted"), 4);
    assert_eq!(site.server.ids("TaskLog"), [1]);
}

#[test]
fn a_tick_with_nothing_new_is_one_request_and_no_write() {
    let site = Site::with(&["OA", "RR", "Affect", "BBSIQ"]);
    site.pipeline("retries = 1\ntimeout = \"20s\"", "every = \"1h\"");
    site.server.add("OA", 1, &entry(1, "x"));
    site.server.add("TaskLog", 1, &entry(1, "x"));
    site.build(0);
    let (before, asked) = (times(&site.pool()), site.server.requests().len());
    for _ in 0..3 {
        site.mtdata(&["build"]).assert().code(0).stdout("").stderr("");
    }
    assert_eq!(site.server.requests()[asked..], ["GET export", "GET export", "GET export"]);
    assert_eq!(times(&site.pool()), before);
}

#[test]
fn the_books_balance_in_the_events() {
    let site = Site::new();
    (1..=5).for_each(|id| site.server.add("OA", id, &entry(id, "x")));
    site.server.plan("DELETE", "export/OA/5", ServerFault::Lie, 1);
    let run = site.build(1);
    let count = |run: &crate::rig::lab::Run, name: &str| run.count(name);
    assert_eq!(count(&run, "listed"), 5);
    assert_eq!(count(&run, "received"), count(&run, "new") + count(&run, "already_held") + count(&run, "duplicates"));
    assert_eq!((count(&run, "new"), count(&run, "stored")), (5, 5));
    assert_eq!((count(&run, "deleted"), count(&run, "delete_pending")), (4, 1));
    // Fewer came than the listing said: told once, since rows without a date never come.
    site.server.add("RR", 1, &entry(1, "x"));
    site.server.add("RR", 2, &entry(2, "x"));
    site.configure("delete_mode = false\n");
    let short = format!("[{}]", entry(1, "x"));
    site.server.plan("GET", "export/RR", ServerFault::Text(short.clone()), 1);
    let run = site.build(0);
    assert!(
        warnings(&run).iter().any(|(code, what)| code == "shortfall" && what.contains("1 of 2 listed")),
        "{:?}",
        warnings(&run)
    );
    age_notes(&site, "RR", 25);
    site.server.plan("GET", "export/RR", ServerFault::Text(short), 1);
    assert_eq!(warnings(&site.build(0)), []);
}

/// The rows of ledger.csv of one table, as `column=value` of what is not empty nor 0.
fn books(site: &Site, table: &str) -> Vec<String> {
    let text = fs::read_to_string(site.pool().join("reports/ledger.csv")).unwrap();
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let header = rows.headers().unwrap().clone();
    // Answers have the day of the study's zone and deletions that of UTC: for some hours these are two rows.
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    let mut balanced = None;
    for row in rows.records().map(Result::unwrap).filter(|row| &row[0] == table) {
        for (name, cell) in header.iter().zip(&row).skip(1).filter(|(name, _)| *name != "day") {
            match cell.parse::<u64>() {
                Ok(number) => *sums.entry(name).or_default() += number,
                Err(_) if name == "balanced" => balanced = Some(balanced.unwrap_or(true) && cell == "true"),
                Err(_) => {}
            }
        }
    }
    let mut told: Vec<String> = header
        .iter()
        .filter_map(|name| sums.get(name).filter(|sum| **sum > 0).map(|sum| format!("{name}={sum}")))
        .collect();
    told.extend(balanced.map(|balanced| format!("balanced={balanced}")));
    balanced.map(|_| told.join(" ")).into_iter().collect()
}

/// The study rule L1 is on, and all is built to the report.
fn to_the_report(site: &Site) {
    fs::create_dir_all(site.root().join("scales")).unwrap();
    site.write("scales/calm.toml", "[rule.L1]\n");
    site.configure("study = \"calm\"\n");
    site.write(
        "Pipeline.toml",
        "default = [\"reports\"]\n[data]\npool = \"data\"\nservers = \"servers.toml\"\nscales = \"scales\"\n\
         [task.export]\naction = \"export\"\neach = [\"server\", \"scale\"]\nscales = \"all\"\nretries = 0\n\
         [task.decode]\naction = \"decode\"\neach = [\"server\", \"scale\", \"date\"]\nafter = [\"export\"]\n\
         [task.combine]\naction = \"combine\"\neach = [\"server\", \"scale\"]\nneeds = [\"decode\"]\n\
         [task.reports]\naction = \"report\"\neach = [\"server\"]\nneeds = [\"combine\"]\npartial = true\n",
    );
}

#[test]
fn the_books_balance_in_the_report() {
    let site = Site::new();
    to_the_report(&site);
    (1..=5).for_each(|id| site.server.add("OA", id, &entry(id, "x")));
    site.server.add("TaskLog", 1, &entry(1, "x"));
    site.server.plan("DELETE", "export/OA/5", ServerFault::Lie, 1);
    let twice = format!("[{},{}]", entry(1, "x"), entry(1, "x"));
    site.server.add("RR", 1, &entry(1, "x"));
    site.server.plan("GET", "export/RR", ServerFault::Text(twice), 1);
    site.build(1);
    let archived = "raw_files=1 archived=5 combined=5";
    let came = "listed=5 received=5 stored=5";
    assert_eq!(
        books(&site, "OA"),
        [format!("{archived} deletions_confirmed=4 deletions_failed=1 {came} pending=1 balanced=true")]
    );
    // The same entry twice blocks the deletion; one of them is kept.
    let repeated = "raw_files=1 archived=1 combined=1 listed=1 received=2 stored=1 repeated=1 pending=1 balanced=true";
    assert_eq!(books(&site, "RR"), [repeated]);
    assert_eq!(
        books(&site, "TaskLog"),
        ["raw_files=1 archived=1 combined=1 listed=1 received=1 stored=1 balanced=true"]
    );
    // What was left is there again, is held already and goes now.
    site.server.add("OA", 6, &entry(6, "x"));
    site.build(0);
    let [all] = <[String; 1]>::try_from(books(&site, "OA")).unwrap();
    assert_eq!(
        all,
        "raw_files=2 archived=6 combined=6 deletions_confirmed=6 deletions_failed=1 listed=7 received=7 stored=6 \
         already_held=1 balanced=true"
    );
    // Nothing new: no file of the server's folder is another one, the reports among them.
    let before = times(&site.pool());
    let run = site.build(0);
    assert_eq!((run.count("received"), run.targets("built")), (1, vec![]), "TaskLog is asked and brings nothing new");
    assert_eq!(times(&site.pool()), before);

    // Somebody changes the record: the row does not close any more and the report says so.
    let receipts = site.pool().join("receipts.jsonl");
    let text = fs::read_to_string(&receipts).unwrap();
    fs::write(&receipts, text.replacen("\"stored\":5", "\"stored\":4", 1)).unwrap();
    site.build(0);
    assert!(books(&site, "OA")[0].ends_with("balanced=false"), "{:?}", books(&site, "OA"));
    let checks = fs::read_to_string(site.pool().join("reports/checks.csv")).unwrap();
    let told = "7 entries received, but 5 stored, 1 held already and 0 repeated";
    assert!(checks.lines().any(|line| line.starts_with("L1,OA,") && line.contains(told)), "{checks}");
    // Without it nothing is wrong, but nothing is known either.
    fs::remove_file(&receipts).unwrap();
    site.build(0);
    assert_eq!(
        books(&site, "OA"),
        ["raw_files=2 archived=6 combined=6 deletions_confirmed=6 deletions_failed=1 unrecorded=6 balanced=true"]
    );
}

#[test]
fn entries_that_stayed_and_then_went_by_another_hand_are_no_longer_pending() {
    for others in [0, 1] {
        let site = Site::new();
        to_the_report(&site);
        (1..=2).for_each(|id| site.server.add("OA", id, &entry(id, "x")));
        site.server.plan("DELETE", "export/OA/2", ServerFault::Lie, 1);
        site.build(1);
        assert!(books(&site, "OA")[0].contains(" pending=1 "));
        site.server.lose("OA", 2);
        (0..others).for_each(|id| site.server.add("OA", 10 + id, &entry(10 + id, "x")));
        site.build(0);
        let row = &books(&site, "OA")[0];
        assert!(row.contains(&format!("deletions_confirmed={} ", 2 + others)) && !row.contains("pending"), "{row}");
        let before = (times(&site.pool()), site.server.requests().len());
        site.build(0);
        assert!(site.server.requests()[before.1..].iter().all(|request| !request.contains("export/OA")));
        assert_eq!(times(&site.pool()), before.0);
    }
}

#[test]
fn marks_are_kept_in_the_old_form_and_never_trusted_over_the_raw_files() {
    let site = Site::new();
    site.server.add("OA", 41, &entry(41, "x"));
    site.build(0);
    let path = site.pool().join("raw_data/benchMark.json");
    let marks: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(marks["OA"], serde_json::json!({"current": 41, "deleteable": true}));
    // A mark beyond what is archived keeps nothing back.
    fs::write(&path, r#"{"OA": {"current": 999, "deleteable": true}}"#).unwrap();
    site.server.add("OA", 42, &entry(42, "x"));
    assert_eq!(site.build(0).count("deleted"), 1);
    let marks: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(marks["OA"]["current"], 42);
    fs::remove_file(&path).unwrap();
    site.server.add("OA", 43, &entry(43, "x"));
    let output = site.mtdata(&["build", "--json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains("benchMark.json was missing and is made again"), "{text}");
    assert!(fs::read_to_string(&path).unwrap().contains("43"));
}

#[test]
fn the_schedule_is_kept_when_it_changes() {
    let site = Site::new();
    let kept = || fs::read_dir(site.pool().join("study")).into_iter().flatten().count();
    for id in 1..=2 {
        site.server.add("OA", id, &entry(id, "x"));
        site.build(0);
        assert_eq!(kept(), 1);
    }
    let other = r#"[{"name":"calm","sessions":[{"name":"first","displayName":"First","tasks":[]}]}]"#;
    site.server.add("OA", 3, &entry(3, "x"));
    site.server.plan("GET", "study", ServerFault::Text(other.to_owned()), 1);
    site.build(0);
    assert_eq!(kept(), 2);
    // Not being able to is no reason to leave the answers on the server.
    site.server.add("OA", 4, &entry(4, "x"));
    site.server.plan("GET", "study", ServerFault::LoginPage, 1);
    let run = site.build(0);
    assert!(warnings(&run).iter().any(|(code, _)| code == "study"), "{:?}", warnings(&run));
    assert_eq!((run.count("deleted"), kept()), (1, 2));
}

#[test]
fn the_first_schedule_is_kept_though_nobody_has_answered_and_asked_for_once_in_a_run() {
    let site = Site::with(&["OA", "RR"]);
    site.pipeline("retries = 1\ntimeout = \"20s\"", "every = \"1h\"");
    let asked = || site.server.requests().iter().filter(|request| request.ends_with(" study")).count();
    site.build(0);
    assert_eq!(asked(), 1, "however many tables are exported: {:?}", site.server.requests());
    let study = site.pool().join("study");
    fs::remove_dir_all(&study).unwrap();
    for _ in 0..2 {
        site.build(0);
    }
    assert_eq!((asked(), fs::read_dir(study).unwrap().count()), (2, 1));
    let exported = site.server.requests().iter().filter(|request| request.contains("export/")).count();
    assert_eq!(exported, 2, "no table after the first run: {:?}", site.server.requests());
}

/// Three forms of dates, a document appended to another, a day's object of arrays: read, and left as they are.
#[test]
fn a_pool_of_the_first_generation_is_adopted_and_nothing_of_it_is_written() {
    let site = Site::new();
    let raw = site.pool().join("raw_data");
    fs::create_dir_all(&raw).unwrap();
    let one = |id: i64| entry(id, "old");
    let old = [
        ("OA_Aug_25_2015_08_54_35.json", format!("[{},{}]", one(1), one(2))),
        ("OA_Aug_26_2015_08_54_35.json", format!("[{}][{}]", one(2), one(3))),
        ("OA_29_10_2015.json", format!("{{\"OA_08_54\":[{}],\"OA_09_10\":[{}]}}", one(4), one(5))),
        ("OA_2016-01-02_10-00-00.json", format!("[{}]", one(6))),
        ("OA_recovered_Aug_25_2015.json", format!("[{}]", one(7))),
        ("OA_FU_Aug_25_2015_08_54_35.json", format!("[{}]", one(8))),
    ];
    for (name, text) in &old {
        fs::write(raw.join(name), text).unwrap();
    }
    fs::create_dir_all(site.pool().join("active_data")).unwrap();
    let mark = site.pool().join("active_data/benchMark.json");
    fs::write(&mark, r#"{"OA": {"current": 6, "deleteable": true}}"#).unwrap();
    let before = contents(&raw);
    (1..=9).for_each(|id| site.server.add("OA", id, &one(id)));
    let run = site.build(0);
    assert_eq!((run.count("already_held"), run.count("stored"), run.count("deleted")), (6, 3, 9));
    let after = contents(&raw);
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
    let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert_eq!(new.len(), 1, "{new:?}");
    assert!(fs::read_to_string(&mark).unwrap().contains("\"current\": 9"));
    // And new files in the old form, where that is wished.
    site.configure("date_format = \"%b_%d_%Y\"\n");
    site.server.add("OA", 10, &one(10));
    site.build(0);
    let pattern = Utc::now().with_timezone(&chrono_tz::America::New_York).format("OA_%b_%d_%Y_").to_string();
    assert!(site.raw().keys().any(|name| name.starts_with(&pattern)));
    assert_eq!(site.build(0).tasks("failed"), 0);
}

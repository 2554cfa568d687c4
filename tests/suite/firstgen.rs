//! A pool of the first generation, small and made up, adopted as it is; and the examples of docs/migration.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use crate::rig::lab::{Lab, contents, times};

/// A value as Python 2 printed it.
fn python(value: &Value, within: bool) -> String {
    match value {
        Value::Null if within => "None".to_owned(),
        Value::Null => String::new(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) if number.is_f64() => float(number.as_f64().unwrap()),
        Value::Number(number) => number.to_string(),
        Value::String(text) if within => format!("u'{text}'"),
        Value::String(text) => text.clone(),
        Value::Array(all) => {
            format!("[{}]", all.iter().map(|one| python(one, true)).collect::<Vec<_>>().join(", "))
        }
        Value::Object(all) => {
            let pairs: Vec<String> = all.iter().map(|(key, one)| format!("u'{key}': {}", python(one, true))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

/// Twelve digits, the zeros at the end left out.
fn float(number: f64) -> String {
    let whole = number.abs().trunc().to_string();
    let digits = if whole == "0" { 12 } else { 12 - whole.len() };
    let text = format!("{number:.digits$}");
    let text = text.trim_end_matches('0');
    if text.ends_with('.') { format!("{text}0") } else { text.to_owned() }
}

/// What the first generation wrote: the sorted keys of the first entry, every entry that has just these, and nothing
/// after one that has not. `open` is what its key made of encrypted values, which stayed as they were when it failed.
fn first_table(entries: &[Value], open: &dyn Fn(&str) -> String) -> String {
    let mut columns: Vec<&String> = entries[0].as_object().unwrap().keys().collect();
    columns.sort();
    let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    table.write_record(&columns).unwrap();
    for entry in entries {
        let entry = entry.as_object().unwrap();
        if entry.len() != columns.len() || !columns.iter().all(|column| entry.contains_key(*column)) {
            break;
        }
        let cell = |column: &&String| {
            let text = python(&entry[*column], false);
            if column.ends_with("RSA") { open(&text) } else { text }
        };
        table.write_record(columns.iter().map(cell)).unwrap();
    }
    String::from_utf8(table.into_inner().unwrap()).unwrap()
}

/// A project whose server is only decoded, never asked.
fn offline() -> Lab {
    let lab = Lab::new();
    lab.replace("config/servers.toml", "ready       = true", "ready       = false");
    lab
}

fn put(lab: &Lab, folder: &str, name: &str, text: &str) {
    let path = lab.server_folder().join(folder);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join(name), text).unwrap();
}

fn read(lab: &Lab, path: &str) -> String {
    fs::read_to_string(lab.server_folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = table.headers().unwrap().iter().map(str::to_owned).collect();
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        header.iter().cloned().zip(record.unwrap().iter().map(str::to_owned)).collect()
    };
    table.records().map(row).collect()
}

#[test]
fn every_example_of_the_migration_page_is_true() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/migration.md")).unwrap();
    let part = page.split("## What differs in a table, and why").nth(1).unwrap();
    let examples: Vec<&str> = part.split("## What differs beside").next().unwrap().split("\n### ").skip(1).collect();
    assert!(examples.len() >= 7);
    let block = |text: &str, kind: &str| -> Option<String> {
        let text = text.split(&format!("```{kind}\n")).nth(1)?;
        Some(text.split("```").next().unwrap().to_owned())
    };
    let lab = offline();
    let name = |number: usize| format!("Example{number}_Aug_25_2015_08_54_35.json");
    for (number, example) in examples.iter().enumerate() {
        let json = block(example, "json").unwrap_or_else(|| panic!("{example}"));
        let entries: Vec<Value> = serde_json::from_str(&json).unwrap();
        let first = first_table(&entries, &str::to_owned).replace("\r\n", "\n");
        assert_eq!(first, block(example, "csv first").unwrap(), "{example}");
        put(&lab, "raw_data", &name(number), &json);
    }
    lab.mtdata(&["build", "decode/mindtrails"]).assert().success();
    for (number, example) in examples.iter().enumerate() {
        let table = read(&lab, &format!("active_data/Example{number}_2015-08-25.csv"));
        assert_eq!(table, block(example, "csv mtdata").unwrap(), "{example}");
        let refused = lab.server_folder().join(format!("quarantine/Example{number}_2015-08-25.csv"));
        let refused = fs::read_to_string(refused).ok().map(|text| text.replace(&name(number), "RAW"));
        assert_eq!(refused, block(example, "csv quarantine"), "{example}");
    }
}

/// The pool and what its raw files hold, by scale.
struct Pool {
    lab: Lab,
    entries: BTreeMap<&'static str, Vec<Value>>,
    files: BTreeMap<PathBuf, (Vec<u8>, SystemTime)>,
    participants: BTreeMap<String, String>,
}

fn old_pool() -> Pool {
    let lab = offline();
    let pem = fs::read_to_string(lab.root().join("keys/private_key.pub")).unwrap();
    let der = pem.lines().filter(|line| !line.starts_with("---")).collect::<String>();
    let key = PublicEncryptingKey::from_der(&STANDARD.decode(der).unwrap()).unwrap();
    let key = Pkcs1PublicEncryptingKey::new(key).unwrap();
    let mut participants = BTreeMap::new();
    let mut seal = |text: &str| {
        let mut out = vec![0; key.ciphertext_size()];
        let sealed = STANDARD.encode(key.encrypt(text.as_bytes(), &mut out).unwrap());
        participants.insert(sealed.clone(), text.to_owned());
        sealed
    };
    let entry = |id: i64, day: u32, sealed: String| {
        serde_json::json!({"id": id, "date": format!("{day} Aug 2015 08:54:35 -0500"), "session": "PRE",
            "participantRSA": sealed, "timeOnPage": 12.345_678_901_234 + id as f64, "axf": 3, "lists": ["app", "online"],
            "over18": true, "note": null})
    };
    let text = |entries: &[Value]| serde_json::to_string(entries).unwrap();
    let (first, second) = (entry(1, 25, seal("17")), entry(2, 25, seal("18")));
    put(&lab, "raw_data", "OA_Aug_25_2015_08_54_35.json", &text(&[first.clone(), second.clone()]));
    // Two answers of one second in one file, and the plain participant of another era.
    let (third, mut plain) = (entry(3, 26, seal("19")), entry(4, 26, String::new()));
    plain.as_object_mut().unwrap().remove("participantRSA");
    plain["participantDAO"] = 20.into();
    let appended = text(std::slice::from_ref(&third)) + &text(std::slice::from_ref(&plain));
    put(&lab, "raw_data", "OA_Aug_26_2015_09_00_00.json", &appended);
    let fifth = entry(5, 29, seal("21"));
    put(
        &lab,
        "raw_data",
        "OA_29_10_2015.json",
        &format!(r#"{{"OA_08_54_35": {}}}"#, text(std::slice::from_ref(&fifth))),
    );
    let dd = serde_json::json!({"id": 1, "q": 1, "date": "25 Aug 2015 08:54:35 -0500"});
    let fu = serde_json::json!({"id": 1, "q": 2, "date": "25 Aug 2015 08:54:35 -0500"});
    put(&lab, "raw_data", "DD_Aug_25_2015_08_54_35.json", &text(std::slice::from_ref(&dd)));
    put(&lab, "raw_data", "DD_FU_Aug_25_2015_08_54_35.json", &text(std::slice::from_ref(&fu)));
    let only_in_a_table = entry(9, 30, seal("22"));
    let open = |sealed: &str| participants.get(sealed).cloned().unwrap_or_else(|| sealed.to_owned());
    put(&lab, "active_data", "OA_Aug_25_2015.csv", &first_table(&[first.clone(), second.clone()], &open));
    put(&lab, "active_data", "OA_29_10_2015.csv", &first_table(std::slice::from_ref(&fifth), &open));
    // The older tool named a table by the day it was written: one entry of the 25th, and one that no raw file has.
    put(&lab, "active_data", "OA_Aug_30_2015.csv", &first_table(&[second.clone(), only_in_a_table], &open));
    put(&lab, "active_data", "OA_recovered_Aug_25_2015.csv", "id,session\r\n77,PRE\r\n");
    put(&lab, "raw_data", "OA_recovered_Aug_25_2015.json", r#"[{"id": 77}]"#);
    put(&lab, "active_data", "benchMark.json", r#"{"OA": {"current": 5, "deleteable": true}, "DD": 1}"#);
    let entries =
        BTreeMap::from([("OA", vec![first, second, third, plain, fifth]), ("DD", vec![dd]), ("DD_FU", vec![fu])]);
    let seen = times(&lab.server_folder());
    let files = contents(&lab.server_folder()).into_iter().map(|(path, bytes)| {
        let time = seen[&path];
        (path, (bytes, time))
    });
    let files = files.collect();
    Pool { lab, entries, files, participants }
}

impl Pool {
    /// Every file is there with its bytes and its time, the marks aside.
    fn is_untouched(&self) {
        for (path, (bytes, time)) in &self.files {
            if path.ends_with("benchMark.json") {
                continue;
            }
            assert_eq!(&fs::read(path).unwrap(), bytes, "{}", path.display());
            assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), *time, "{}", path.display());
        }
    }

    fn current(&self, scale: &str) -> BTreeMap<String, BTreeMap<String, String>> {
        let rows = rows(&read(&self.lab, &format!("combined/{scale}.csv")));
        rows.into_iter().filter(|row| row["_current"] == "true").map(|row| (row["id"].clone(), row)).collect()
    }
}

#[test]
fn an_old_pool_is_adopted_as_it_is() {
    let pool = old_pool();
    let lab = &pool.lab;
    lab.mtdata(&["build", "reports/mindtrails", "wide/mindtrails"]).assert().success();
    pool.is_untouched();
    let oa = pool.current("OA");
    assert_eq!(oa.keys().map(String::as_str).collect::<Vec<_>>(), ["1", "2", "3", "4", "5", "9"]);
    // Every value as the older tool had it, but for the digits, lists and truth values that it lost.
    for entry in &pool.entries["OA"] {
        let row = &oa[&entry["id"].to_string()];
        for (key, value) in entry.as_object().unwrap() {
            let old = python(value, false);
            let old = pool.participants.get(&old).cloned().unwrap_or(old);
            match key.as_str() {
                "timeOnPage" => {
                    assert_eq!(&row[key], &value.to_string());
                    assert_eq!(float(row[key].parse().unwrap()), old);
                }
                "lists" => assert_eq!(row[key], r#"["app","online"]"#),
                "over18" => assert_eq!(row[key], old.to_lowercase()),
                _ => assert_eq!(row[key], old, "{key} of {entry}"),
            }
        }
        assert!(!row["_flags"].contains("no_raw_file") && row["_first_seen"].starts_with("OA_"), "{row:?}");
    }
    // What no raw file has is used as it is, and flagged.
    let adopted = &oa["9"];
    assert!(adopted["_flags"].contains("no_raw_file") && adopted["_first_seen"].is_empty(), "{adopted:?}");
    assert_eq!((adopted["participantRSA"].as_str(), adopted["lists"].as_str()), ("22", "[u'app', u'online']"));
    let versions: Vec<_> = rows(&read(lab, "combined/OA.csv")).into_iter().filter(|row| row["id"] == "2").collect();
    assert_eq!(versions.len(), 2);
    assert_eq!(oa["2"]["_first_seen"], "OA_Aug_25_2015_08_54_35.json");
    // DD takes nothing of DD_FU, and what was recovered once is nobody's input.
    assert_eq!(pool.current("DD")["1"]["q"], "1");
    assert_eq!(pool.current("DD_FU")["1"]["q"], "2");
    assert!(!read(lab, "combined/OA.csv").contains("77"));
    assert!(read(lab, "reports/questionnaires.csv").contains("OA"));
}

#[test]
fn recover_adopts_an_old_pool_and_finds_what_happens_to_it_afterwards() {
    let pool = old_pool();
    let lab = &pool.lab;
    // Not ready: only when its name is written out.
    lab.mtdata(&["recover"]).assert().code(2).stderr(contains("no server is ready"));
    lab.mtdata(&["recover", "mindtrails"]).assert().success().stdout(contains("5 raw files, 2015-08-25 to 2015-10-29"));
    pool.is_untouched();
    assert_eq!(pool.current("OA").len(), 6);
    let marks: Value = serde_json::from_str(&read(lab, "active_data/benchMark.json")).unwrap();
    assert_eq!(marks["OA"], serde_json::json!({"current": 5, "deleteable": true}));
    assert!(!lab.server_folder().join("raw_data/benchMark.json").exists());
    lab.mtdata(&["recover", "mindtrails"]).assert().success();
    lab.mtdata(&["verify", "reports/mindtrails"]).assert().success();
    // The day's table of the older tool still stands, and nothing of it is lost with the raw file.
    fs::remove_file(lab.server_folder().join("raw_data/OA_29_10_2015.json")).unwrap();
    lab.mtdata(&["recover", "mindtrails", "OA"])
        .assert()
        .code(1)
        .stdout(contains("missing OA_29_10_2015.json").and(contains("1 of them still in a table")));
}

#[test]
fn names_are_written_as_the_first_generation_did_and_both_are_read() {
    let lab = Lab::new();
    lab.replace("config/servers.toml", "ready       = true", "ready       = true\ndate_format = \"%b_%d_%Y\"");
    lab.build();
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(lab.server_folder().join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name.starts_with("OA_"));
        names.sort();
        names
    };
    let like = |name: &str, pattern: &str| {
        assert!(predicates::str::is_match(pattern).unwrap().eval(name), "{name}");
    };
    let raw = names("raw_data");
    for name in &raw {
        like(name, r"^OA_[A-Z][a-z]{2}_\d{2}_\d{4}_\d{2}_\d{2}_\d{2}(-\d+)?\.json$");
    }
    for name in names("active_data") {
        like(&name, r"^OA_[A-Z][a-z]{2}_\d{2}_\d{4}\.csv$");
    }
    let log = fs::read_to_string(lab.root().join("data/logs/Daily.log")).unwrap();
    assert!(log.contains(&format!("new raw file data/mindtrails/raw_data/{}", raw[0])), "{log}");
    let run = lab.build();
    assert_eq!((run.count("stored"), run.tasks("built")), (0, 0));
    lab.mtdata(&["verify"]).assert().success();
    lab.mtdata(&["recover"]).assert().success();
    let before = read(&lab, "combined/OA.csv");
    fs::remove_dir_all(lab.server_folder().join("active_data")).unwrap();
    lab.mtdata(&["recover"]).assert().code(1);
    assert_eq!(read(&lab, "combined/OA.csv"), before);
    // Written otherwise from now on: what there is keeps its name, and stands nowhere twice.
    lab.replace("config/servers.toml", "date_format = \"%b_%d_%Y\"", "");
    lab.build();
    assert_eq!(names("raw_data"), raw);
    assert!(names("active_data").iter().any(|name| name.starts_with("OA_2")));
    assert_eq!(read(&lab, "combined/OA.csv"), before);
    lab.mtdata(&["recover"]).assert().success();
}

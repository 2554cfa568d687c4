//! A study with one planted case of each fault: the rules find exactly those, and no more.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mtdata::parts::{Options, generate_faultless, open_with};

use crate::rig::lab::mtdata;
use crate::rig::planting::{Truth, adopt, plant};

/// How often each finding is there.
fn counted(all: impl IntoIterator<Item = Truth>) -> BTreeMap<Truth, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts
}

/// What checks.csv holds: findings, and how many columns of free text it names.
fn found(root: &Path) -> (BTreeMap<Truth, usize>, usize) {
    let mut reader = csv::Reader::from_path(root.join("data/mindtrails/reports/checks.csv")).unwrap();
    let (mut found, mut free_text) = (Vec::new(), 0);
    for row in reader.records() {
        let row = row.unwrap();
        // Standing notices: tables of trials, and columns of free text, whatever stands in them.
        match (&row[0], &row[6]) {
            ("R6", _) => {}
            ("S9", text) if text.starts_with("free text in") => free_text += 1,
            _ => found.push([0, 1, 2, 3].map(|at| row[at].to_owned()).into()),
        }
    }
    (counted(found), free_text)
}

/// Prints precision and recall, and expects both to be whole.
fn compare(planted: &BTreeMap<Truth, usize>, found: &BTreeMap<Truth, usize>) {
    let sum = |counts: &BTreeMap<Truth, usize>| counts.values().sum::<usize>();
    let hits: usize = planted.iter().map(|(one, count)| (*count).min(found.get(one).copied().unwrap_or(0))).sum();
    println!("precision {hits}/{}, recall {hits}/{}", sum(found), sum(planted));
    let missed: Vec<&Truth> = planted.keys().filter(|one| !found.contains_key(*one)).collect();
    let more: Vec<_> = found.iter().filter(|(one, count)| planted.get(*one) != Some(*count)).collect();
    assert!(missed.is_empty() && more.is_empty(), "missed: {missed:#?}\nnot planted: {more:#?}");
}

#[test]
fn the_planted_faults_are_found_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("lab");
    let (mut planted, mut table) = (Vec::new(), String::new());
    let options = Options { participants: 260, days: 40, seed: 11 };
    let demo = open_with(&root, options, |options, definition, keys| {
        let mut study = generate_faultless(options, definition, keys)?;
        planted = plant(&mut study);
        let (text, truth) = adopt(&mut study, "Credibility").unwrap();
        table = text;
        planted.push(truth);
        Ok(study)
    })
    .unwrap();
    let calm = root.join("config/scales/calm.toml");
    let text = std::fs::read_to_string(&calm).unwrap();
    let enrolment = "[enrolment]\nfrom = \"2026-01-01T00:00\"\ntimezone = \"America/New_York\"\n[rule.R14]\n";
    std::fs::write(&calm, text.replacen("[rule.R14]\n", enrolment, 1)).unwrap();
    let active = root.join("data/mindtrails/active_data");
    std::fs::create_dir_all(&active).unwrap();
    std::fs::write(active.join("Credibility_2026-01-01.csv"), table).unwrap();
    let build = || mtdata().current_dir(&demo.folder).args(["build", "-q"]).output().unwrap();
    let output = build();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut planted = counted(planted);
    let (findings, free_text) = found(&root);
    assert!(free_text > 0);
    compare(&planted, &findings);

    // What is archived and cannot be decoded is missing from the tables: the ledger does not add up.
    let keys: Vec<_> = std::fs::read_dir(root.join("keys")).unwrap().map(|entry| entry.unwrap().path()).collect();
    for key in keys.iter().filter(|path| path.extension().is_some_and(|end| end == "pem")) {
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    demo.server.add("CC", 90_001, r#"{"id":90001,"participant":100,"session":"firstSession"}"#);
    assert_eq!(build().status.code(), Some(1));
    planted.insert(["L1", "CC", "", ""].map(str::to_owned).into(), 1);
    compare(&planted, &found(&root).0);

    // Whatever stands there can be asked for its meaning.
    let mut rules: Vec<&str> = planted.keys().map(|(rule, ..)| rule.as_str()).collect();
    rules.dedup();
    assert!(rules.contains(&"no_raw_file") && rules.len() > 25, "{rules:?}");
    for rule in rules {
        let told = mtdata().args(["explain-check", rule]).output().unwrap();
        let text = String::from_utf8_lossy(&told.stdout);
        assert!(text.starts_with(&format!("{rule} ")) && text.contains("\n  do "), "{rule}: {text}");
    }
}

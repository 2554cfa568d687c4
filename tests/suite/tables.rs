//! The tables a researcher opens: the same for the same answers, whatever way they came, and each entry in its place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::rig::lab::mtdata;

const PIPELINE: &str = r#"default = ["wide"]
[data]
pool = "data"
servers = "servers.toml"
scales = "scales"
[task.decode]
action = "decode"
each = ["server", "scale", "date"]
[task.combine]
action = "combine"
each = ["server", "scale"]
needs = ["decode"]
[task.score]
action = "score"
each = ["server", "scale"]
needs = ["combine"]
[task.wide]
action = "wide"
each = ["server", "scale"]
needs = ["combine", "score"]
[task.reports]
action = "report"
each = ["server"]
needs = ["combine", "score"]
"#;

const SERVERS: &str = r#"[lab]
ready = false
url = "https://lab.example.edu/api/"
user = "x"
password = { env = "LAB_PASSWORD" }
timezone = "UTC"
study = "small"
"#;

const STUDY: &str = r#"[[session]]
name = "before"
tasks = [{ name = "Mood", scale = "Mood" }, { name = "Twice", scale = "Twice" }, { name = "Twice", scale = "Twice" }]
[[session]]
name = "after"
tasks = [{ name = "Mood", scale = "Mood" }]
[scale.Mood]
items = ["calm", "tense"]
range = [0, 4]
missing = { "555" = "declined" }
[[scale.Mood.score]]
name = "mood"
rule = "prorated_sum"
min_valid = 1
reverse = ["calm"]
[scale.Twice]
items = ["level"]
range = [0, 100]
times = 2
"#;

/// A pool of raw files, built without any server.
struct Pool(tempfile::TempDir);

impl Pool {
    fn new(study: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/lab/raw_data")).unwrap();
        fs::create_dir(folder.path().join("scales")).unwrap();
        for (name, text) in [("Pipeline.toml", PIPELINE), ("servers.toml", SERVERS), ("scales/small.toml", study)] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn server(&self) -> PathBuf {
        self.0.path().join("data/lab")
    }

    fn raw(&self, scale: &str, moment: &str, entries: &[serde_json::Value]) {
        let path = self.server().join(format!("raw_data/{scale}_{moment}.json"));
        fs::write(path, serde_json::to_vec(entries).unwrap()).unwrap();
    }

    fn build(&self) -> &Self {
        for target in ["wide/lab", "reports/lab"] {
            let output = mtdata().current_dir(self.0.path()).args(["build", "-q", target]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        self
    }

    fn table(&self, path: &str) -> String {
        fs::read_to_string(self.server().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Rows of a table by their columns' names.
    fn rows(&self, path: &str) -> Vec<BTreeMap<String, String>> {
        let text = self.table(path);
        csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
    }
}

fn entry(id: u32, who: u32, session: &str, minute: u32, cells: &[(&str, &str)]) -> serde_json::Value {
    let date = format!("Mon, 23 Nov 2026 {:02}:{:02}:00 -0500", minute / 60, minute % 60);
    let mut entry = serde_json::json!({"id": id, "participant": who, "session": session, "date": date});
    for (column, cell) in cells {
        entry[*column] = (*cell).into();
    }
    entry
}

fn mood(id: u32, who: u32, session: &str, minute: u32, calm: &str, tense: &str) -> serde_json::Value {
    entry(id, who, session, minute, &[("calm", calm), ("tense", tense)])
}

#[test]
fn entries_stand_in_their_place() {
    let pool = Pool::new(STUDY);
    pool.raw(
        "Mood",
        "2026-11-23_10-00-00",
        &[
            mood(1, 10, "before", 1, "1", "3"),
            mood(2, 9, "after", 2, "555", "3"),
            // Answered once more: the first one counts.
            mood(3, 10, "before", 3, "0", "0"),
            mood(4, 10, "other", 4, "", "555"),
        ],
    );
    pool.raw(
        "Twice",
        "2026-11-23_10-00-00",
        &[
            entry(1, 9, "before", 1, &[("level", "70")]),
            entry(2, 9, "before", 9, &[("level", "30")]),
            entry(3, 9, "before", 12, &[("level", "1")]),
        ],
    );
    // Nobody said what this is.
    pool.raw(
        "Strange",
        "2026-11-23_10-00-00",
        &[entry(1, 9, "before", 1, &[("what", "a, \"b\"")]), entry(2, 9, "before", 9, &[("what", "c")])],
    );
    pool.build();
    assert_eq!(
        pool.table("wide/Mood.csv"),
        "participant,Mood_calm_before,Mood_tense_before,Mood_mood_before,Mood_calm_after,Mood_tense_after,\
         Mood_mood_after,Mood_calm_other,Mood_tense_other,Mood_mood_other\n\
         9,,,,555,3,6,,,\n\
         10,1,3,6,,,,,555,\n"
    );
    let scored = pool.rows("scored/Mood.csv");
    let cell = |column: &str| scored.iter().map(|row| row[column].as_str()).collect::<Vec<_>>();
    assert_eq!(cell("id"), ["1", "2", "4"]);
    assert_eq!((cell("mood"), cell("mood_n_valid")), (vec!["6", "6", ""], vec!["2", "1", "0"]));
    assert_eq!((cell("mood_n_items"), cell("_rules")), (vec!["2"; 3], vec!["mood=prorated_sum@1"; 3]));
    assert_eq!(pool.table("wide/Twice.csv"), "participant,Twice_level_before,Twice_level_before_2\n9,70,30\n");
    assert_eq!(
        pool.table("wide/Strange.csv"),
        "participant,Strange_what_before,Strange_what_before_2\n9,\"a, \"\"b\"\"\",c\n"
    );
    assert_eq!(pool.rows("scored/Strange.csv").len(), 2);
    assert!(pool.table("reports/index.html").contains("Strange"));
}

#[test]
fn the_study_says_which_of_several_entries_counts() {
    let entries = [mood(1, 10, "before", 1, "1", "3"), mood(2, 10, "before", 3, "0", "0")];
    for (policy, ids, wide) in [
        ("first", vec!["1"], "10,1,3,6,,,\n"),
        ("last", vec!["2"], "10,0,0,4,,,\n"),
        ("all", vec!["1", "2"], "10,1,3,6,0,0,4,,,\n"),
    ] {
        let pool = Pool::new(&format!("duplicates = \"{policy}\"\n{STUDY}"));
        pool.raw("Mood", "2026-11-23_10-00-00", &entries);
        pool.build();
        let found: Vec<String> = pool.rows("scored/Mood.csv").iter().map(|row| row["id"].clone()).collect();
        assert_eq!(found, ids, "{policy}");
        assert!(pool.table("wide/Mood.csv").ends_with(wide), "{policy}: {}", pool.table("wide/Mood.csv"));
    }
}

#[test]
fn numbers_of_papers_are_made_when_their_source_is_named() {
    let usual = include_str!("../../config/scales/mindtrails.toml");
    let pool = Pool::new(usual);
    let answers = ["anxious_freq", "anxious_sev", "avoid", "interfere", "interfere_social"].map(|item| (item, "1"));
    let mut cells = answers;
    cells[4].1 = "555";
    pool.raw("OA", "2026-11-23_10-00-00", &[entry(1, 9, "PRE", 1, &cells)]);
    pool.build();
    let tables = || ["scored/OA.csv", "wide/OA.csv"].map(|path| pool.table(path));
    let before = tables();
    assert!(before[0].contains("oasis_total,") && !before[0].contains("oasis_total_paper"), "{}", before[0]);
    let select = |variants: &str| {
        assert!(usual.contains("\nvariants = []"));
        fs::write(
            pool.0.path().join("scales/small.toml"),
            usual.replacen("\nvariants = []", &format!("\nvariants = {variants}"), 1),
        )
        .unwrap();
        pool.build();
    };
    select("[\"paper-ji-2021\", \"credibility-R\", \"mtdata-python\"]");
    let scored = &pool.rows("scored/OA.csv")[0];
    for (score, value, valid) in [
        ("oasis_total", "5", "4"),
        ("oasis_total_paper", "4", "4"),
        ("oasis_total_main_outcomes", "5", "4"),
        ("oasis_total_first_generation", "559", "5"),
    ] {
        assert_eq!((&*scored[score], &*scored[&format!("{score}_n_valid")]), (value, valid), "{score}");
    }
    assert!(!scored.contains_key("oasis_total_server"));
    assert_eq!(pool.rows("wide/OA.csv")[0]["OA_oasis_total_paper_PRE"], "4");
    select("[]");
    assert_eq!(tables(), before);
}

#[test]
fn what_columns_mean_stands_beside_them_and_changes_only_with_them() {
    let pool = Pool::new(STUDY);
    pool.raw("Mood", "2026-11-23_10-00-00", &[mood(1, 10, "before", 1, "1", "555")]);
    pool.build();
    let book = pool.rows("codebook.csv");
    let row = |table: &str, column: &str| {
        let found = book.iter().find(|row| row["table"] == table && row["column"] == column);
        found.unwrap_or_else(|| panic!("{table} {column}")).clone()
    };
    let calm = row("combined/Mood.csv", "calm");
    assert_eq!((calm["type"].as_str(), calm["missing"].as_str()), ("number", "555=declined"));
    assert!(row("scored/Mood.csv", "mood")["rule"].starts_with("prorated_sum@1; of calm tense; reversed calm"));
    let package: serde_json::Value = serde_json::from_str(&pool.table("datapackage.json")).unwrap();
    let paths: Vec<&str> =
        package["resources"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["codebook.csv", "combined/Mood.csv", "scored/Mood.csv"]);
    let changed = |name: &str| fs::metadata(pool.server().join(name)).unwrap().modified().unwrap();
    let before = ["codebook.csv", "datapackage.json"].map(changed);
    pool.raw("Mood", "2026-11-24_10-00-00", &[mood(2, 10, "after", 1, "1", "2")]);
    pool.build();
    assert_eq!(pool.rows("scored/Mood.csv").len(), 2);
    assert_eq!(["codebook.csv", "datapackage.json"].map(changed), before);
    // They are targets like any output.
    fs::remove_file(pool.server().join("codebook.csv")).unwrap();
    let build = mtdata().current_dir(pool.0.path()).args(["build", "-q", "data/lab/codebook.csv"]).output().unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    assert!(!pool.rows("codebook.csv").is_empty());
}

/// Pools of the first generation hold entries again and again: that is no loss and no gain, so the ledger adds up.
#[test]
fn what_raw_files_repeat_is_one_row_and_no_fault_of_the_ledger() {
    let pool = Pool::new(STUDY);
    let (one, two) = (mood(1, 7, "before", 10, "1", "2"), mood(2, 8, "before", 20, "3", "4"));
    let mended = mood(2, 8, "before", 25, "3", "0");
    pool.raw("Mood", "2026-11-23_12-00-00", std::slice::from_ref(&one));
    pool.raw("Mood", "2026-11-24_12-00-00", &[one.clone(), two.clone()]);
    pool.raw("Mood", "2026-11-25_12-00-00", &[mended, one, two]);
    pool.build();
    let rows: Vec<String> = pool
        .rows("combined/Mood.csv")
        .iter()
        .map(|row| ["id", "tense", "_first_seen", "_n_same_id", "_current"].map(|name| row[name].as_str()).join(" "))
        .collect();
    let expected = [
        "1 2 Mood_2026-11-23_12-00-00.json 1 true",
        "2 4 Mood_2026-11-24_12-00-00.json 2 false",
        "2 0 Mood_2026-11-25_12-00-00.json 2 true",
    ];
    assert_eq!(rows, expected);
    let checks = pool.table("reports/checks.csv");
    assert!(!checks.lines().any(|line| line.starts_with("L1,")), "{checks}");
}

fn outputs(server: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for folder in ["combined", "scored", "wide"] {
        for file in fs::read_dir(server.join(folder)).unwrap() {
            let path = file.unwrap().path();
            let mut text = fs::read_to_string(&path).unwrap();
            if folder == "combined" {
                text = without_first_seen(&text);
            }
            all.insert(format!("{folder}/{}", path.file_name().unwrap().to_string_lossy()), text);
        }
    }
    all
}

/// Which raw file brought a row first is the one thing that the files' dates do decide.
fn without_first_seen(text: &str) -> String {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = header.iter().position(|name| name == "_first_seen").unwrap();
    let rows = std::iter::once(header).chain(reader.records().map(Result::unwrap));
    rows.map(|row| {
        row.iter().enumerate().filter(|(place, _)| *place != at).map(|(_, cell)| cell).collect::<Vec<_>>().join("|")
            + "\n"
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, ..ProptestConfig::default() })]
    /// However entries are spread over files and whatever days those have, combine, score and wide give the same.
    #[test]
    fn the_order_of_arrival_changes_no_table(
        answers in prop::collection::vec((1_u32..5, 0_usize..3, 0_u32..4, prop_oneof!["[0-4]", Just("555".to_owned()), Just(String::new())]), 1..25),
        order in Just((0_usize..25).collect::<Vec<_>>()).prop_shuffle(),
        days in prop::collection::vec(1_u32..28, 25),
        policy in prop_oneof![Just("first"), Just("last"), Just("all")],
    ) {
        let sessions = ["before", "after", "elsewhere"];
        let entries: Vec<serde_json::Value> = (1..).zip(&answers)
            .map(|(id, (who, session, minute, cell))| mood(id, *who, sessions[*session], *minute, cell, "2"))
            .collect();
        let study = format!("duplicates = \"{policy}\"\n{STUDY}");
        let (straight, shuffled) = (Pool::new(&study), Pool::new(&study));
        straight.raw("Mood", "2026-11-23_10-00-00", &entries);
        let mut by_day: BTreeMap<u32, Vec<serde_json::Value>> = BTreeMap::new();
        for at in order.iter().filter(|at| **at < entries.len()) {
            by_day.entry(days[*at]).or_default().push(entries[*at].clone());
        }
        for (day, entries) in by_day {
            shuffled.raw("Mood", &format!("2026-10-{day:02}_10-00-00"), &entries);
        }
        straight.build();
        shuffled.build();
        prop_assert_eq!(outputs(&straight.server()), outputs(&shuffled.server()));
    }
}

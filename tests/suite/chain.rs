//! The whole chain as a lab meets it: built once, called again, fed, damaged, killed.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use mtdata::parts::ServerFault;
use predicates::prelude::*;
use predicates::str::contains;

use crate::rig::lab::{Lab, contents, mtdata, times};

#[test]
fn the_demo_ends_with_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let demo = || {
        let mut command = mtdata();
        command.current_dir(folder.path()).args(["demo", "--participants", "5", "--days", "10"]);
        command
    };
    demo().assert().success().stdout(contains("report: mtdata-demo/data/mindtrails/reports/index.html"));
    let page = fs::read_to_string(folder.path().join("mtdata-demo/data/mindtrails/reports/index.html")).unwrap();
    assert!(page.contains(">Missing questionnaires</h2>"));
    // Nothing in it asks the network.
    assert!(!page.contains("src=") && !page.contains("https://") && !page.contains("@import"));
    let before = contents(&folder.path().join("mtdata-demo/data/mindtrails"));
    demo().assert().success();
    assert_eq!(contents(&folder.path().join("mtdata-demo/data/mindtrails")), before);
}

#[test]
fn a_folder_that_is_no_demo_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
    mtdata().args(["demo"]).arg(folder.path()).assert().code(2).stderr(contains("is not empty and no demo"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_second_build_asks_and_touches_nothing() {
    let lab = Lab::new();
    let first = lab.build();
    assert!(first.count("stored") > 100 && first.count("deleted") > 50);
    let before = times(&lab.server_folder());
    let second = lab.build();
    assert_eq!((second.tasks("built"), second.tasks("failed"), second.count("stored")), (0, 0, 0));
    assert!(lab.demo.server.requests().iter().filter(|request| *request == "GET export").count() == 2);
    assert_eq!(times(&lab.server_folder()), before);
    lab.mtdata(&["build"]).assert().success().stdout("").stderr("");
}

#[test]
fn new_entries_run_only_what_they_touch_and_say_why() {
    let lab = Lab::new();
    lab.build();
    lab.demo.server.add("Affect", 9001, r#"{"id":9001,"participant":100,"session":"firstSession","posFeelings":50}"#);
    let run = lab.run(&["build", "reports/mindtrails", "--explain"], 0);
    let built = run.targets("built");
    let kinds: Vec<&str> = built.iter().map(|target| target.split('/').next().unwrap()).collect();
    assert_eq!(kinds, ["combine", "decode", "export", "reports", "score"]);
    assert!(
        built
            .iter()
            .filter(|target| !target.starts_with("reports/"))
            .all(|target| target.ends_with("/Affect") || target.contains("/Affect/"))
    );
    let line = run.stderr.lines().find(|line| line.starts_with("combine/mindtrails/Affect: ")).unwrap();
    let pattern = r"input active_data/Affect_.*\.csv changed \([0-9a-f]{8} -> [0-9a-f]{8}\), because export/mindtrails/Affect stored 1 entry$";
    assert!(predicates::str::is_match(pattern).unwrap().eval(line), "{line}");
    let id = run.last()["run"].as_str().unwrap();
    lab.mtdata(&["explain", "combine/mindtrails/Affect", "--run", id])
        .assert()
        .success()
        .stdout(contains("stored 1 entry").and(contains("active_data/Affect_")));
}

#[test]
fn what_was_lost_is_built_again_byte_for_byte() {
    let lab = Lab::new();
    lab.build();
    let server = lab.server_folder();
    let before = contents(&server);
    let active = fs::read_dir(server.join("active_data")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&active).unwrap();
    let run = lab.build();
    assert_eq!(run.tasks("built") + run.tasks("unchanged"), 1);
    for folder in ["combined", "scored", "reports"] {
        fs::remove_dir_all(server.join(folder)).unwrap();
    }
    let run = lab.build();
    let kinds: BTreeSet<String> =
        run.targets("built").iter().map(|t| t.split('/').next().unwrap().to_owned()).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["combine", "reports", "score"]);
    assert_eq!(contents(&server), before);
}

#[test]
fn mistakes_are_told_where_they_are_and_nothing_runs() {
    let lab = Lab::new();
    lab.mtdata(&["build", "reports/nowhere"]).assert().code(2).stderr(contains("unknown target `reports/nowhere`"));
    lab.mtdata(&["build", "reprots"]).assert().code(2).stderr(contains("did you mean `reports`"));
    lab.mtdata(&["build", "combine/mindtrails/AO"]).assert().code(2).stderr(contains("unknown target"));
    lab.replace("config/servers.toml", "delete_mode", "delte_mode");
    lab.mtdata(&["build"]).assert().code(2).stderr(
        contains("unknown key `delte_mode`")
            .and(contains("config/servers.toml:4:1"))
            .and(contains("did you mean `delete_mode`?")),
    );
    lab.replace("config/servers.toml", "delte_mode", "delete_mode");
    lab.replace("Pipeline.toml", "needs  = [\"decode\"]", "needs  = [\"decode\", \"score\"]");
    lab.mtdata(&["build"]).assert().code(2).stderr(
        contains("the tasks wait for each other: combine -> score -> combine").and(contains("Pipeline.toml:35:7")),
    );
    assert!(!lab.server_folder().join("raw_data").exists());
    assert!(
        !lab.demo.server.requests().iter().any(|request| request.starts_with("DELETE") || request.contains("export/"))
    );
}

#[test]
fn a_key_that_is_missing_or_open_to_others_stops_decoding_and_nothing_else() {
    let lab = Lab::new();
    lab.set_mode("keys/private_key.pem", 0o644);
    let run = lab.run(&["build"], 1);
    assert!(run.stderr.contains("can be read by others") && run.stderr.contains("help: chmod 600"), "{}", run.stderr);
    assert!(run.targets("failed").iter().all(|target| target.starts_with("decode/")));
    assert!(run.count("stored") > 100 && run.count("deleted") > 50);
    fs::rename(lab.root().join("keys/private_key.pem"), lab.root().join("keys/aside.pem")).unwrap();
    let run = lab.run(&["build"], 1);
    assert!(run.stderr.contains("cannot be found"), "{}", run.stderr);
    fs::rename(lab.root().join("keys/aside.pem"), lab.root().join("keys/private_key.pem")).unwrap();
    lab.set_mode("keys/private_key.pem", 0o600);
    assert_eq!(lab.build().tasks("failed"), 0);
    assert!(lab.server_folder().join("reports/index.html").exists());
}

#[test]
fn a_server_that_is_down_fails_its_exports_and_nothing_else() {
    let lab = Lab::new();
    lab.build();
    fs::remove_dir_all(lab.server_folder().join("combined")).unwrap();
    lab.demo.server.plan("GET", "export", ServerFault::LoginPage, 1);
    let run = lab.run(&["build"], 1);
    assert!(run.targets("failed").iter().all(|target| target.starts_with("export/")));
    assert!(!run.targets("failed").is_empty() && run.stderr.contains("is a web page, not data"));
    assert!(run.targets("built").iter().any(|target| target == "combine/mindtrails/OA"));
    assert!(lab.server_folder().join("combined/OA.csv").exists());
}

/// Killed at many moments: no half file under a final name, no entry gone that is not archived, and it completes.
#[test]
fn a_killed_build_loses_nothing() {
    let lab = Lab::new();
    let tables = ["BBSIQ", "RR", "Affect", "Credibility", "JsPsychTrial"];
    let all: Vec<(&str, Vec<i64>)> = tables.iter().map(|table| (*table, lab.demo.server.ids(table))).collect();
    for round in 0..12_u64 {
        let mut child = Process::new(assert_cmd::cargo::cargo_bin!("mtdata"))
            .current_dir(lab.root())
            .arg("build")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + round * 35));
        drop(child.kill());
        child.wait().unwrap();
        let archived = archived(&lab);
        for (table, ids) in &all {
            let left: BTreeSet<i64> = lab.demo.server.ids(table).into_iter().collect();
            for id in ids.iter().filter(|id| !left.contains(id)) {
                assert!(archived.contains(&((*table).to_owned(), *id)), "{table} {id} is nowhere, round {round}");
            }
        }
    }
    assert_eq!(lab.build().tasks("failed"), 0);
    assert!(lab.server_folder().join("reports/index.html").exists());
    assert!(!contents(&lab.server_folder()).keys().any(|path| path.to_string_lossy().contains(".mtdata-tmp-")));
    let fresh = Lab::new();
    fresh.build();
    for table in tables {
        let rows = |lab: &Lab| {
            let text = fs::read_to_string(lab.server_folder().join(format!("combined/{table}.csv"))).unwrap();
            csv::Reader::from_reader(text.as_bytes()).records().count()
        };
        assert_eq!(rows(&lab), rows(&fresh), "{table}");
    }
}

/// Every raw file is whole JSON; the table and id of all its entries.
pub fn archived(lab: &Lab) -> BTreeSet<(String, i64)> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(lab.server_folder().join("raw_data")).into_iter().flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with('.') || name == "benchMark.json" {
            continue;
        }
        let text = fs::read(lab.server_folder().join("raw_data").join(&name)).unwrap();
        let entries: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let table = name.split("_20").next().unwrap().to_owned();
        found.extend(entries.iter().map(|entry| (table.clone(), entry["id"].as_i64().unwrap())));
    }
    found
}

#[test]
fn two_builds_at_once_are_one() {
    let lab = Lab::new();
    lab.demo.server.plan("GET", "export", ServerFault::Delay(Duration::from_secs(3)), 1);
    let mut first =
        Process::new(assert_cmd::cargo::cargo_bin!("mtdata")).current_dir(lab.root()).arg("build").spawn().unwrap();
    let start = std::time::Instant::now();
    while lab.demo.server.requests().is_empty() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    lab.mtdata(&["build"]).assert().code(75).stderr(contains("another run is at work here"));
    lab.mtdata(&["build", "-q"]).assert().code(75).stderr("").stdout("");
    lab.mtdata(&["build", "--wait=60s"]).assert().success();
    assert!(first.wait().unwrap().success());
}

#[test]
fn a_dry_run_writes_nothing_and_asks_nobody() {
    let lab = Lab::new();
    lab.build();
    fs::remove_file(lab.server_folder().join("combined/OA.csv")).unwrap();
    let before = times(lab.root());
    let asked = lab.demo.server.requests().len();
    lab.mtdata(&["build", "-n"]).assert().success().stdout(
        contains("would ask  export/mindtrails/Affect")
            .and(contains("would run  combine/mindtrails/OA: output combined/OA.csv is missing"))
            .and(contains("may run    reports/mindtrails")),
    );
    assert_eq!(times(lab.root()), before);
    assert_eq!(lab.demo.server.requests().len(), asked);
}

#[test]
fn a_command_of_ones_own_is_a_task_like_the_others() {
    let lab = Lab::new();
    let task = "\n[task.rows]\ncommand = [\"sh\", \"-c\", \"wc -l < \\\"$1\\\" > \\\"$0\\\"; echo counted\", \"{out}\", \
                \"{pool}/{server}/combined/OA.csv\"]\neach = [\"server\"]\ninputs = [\"{pool}/{server}/combined/OA.csv\"]\n\
                outputs = [\"{pool}/{server}/reports/rows.txt\"]\nneeds = [\"combine\"]\n";
    let path = lab.root().join("Pipeline.toml");
    fs::write(&path, fs::read_to_string(&path).unwrap() + task).unwrap();
    let run = lab.run(&["build", "rows"], 0);
    assert!(run.targets("built").contains(&"rows/mindtrails".to_owned()));
    assert!(lab.server_folder().join("reports/rows.txt").exists());
    assert_eq!(lab.run(&["build", "rows"], 0).tasks("built"), 0);
    lab.replace("Pipeline.toml", "echo counted", "echo no use >&2; exit 7");
    let run = lab.run(&["build", "rows"], 1);
    assert!(run.stderr.contains("`sh` exited with 7") && run.stderr.contains("| no use"), "{}", run.stderr);
    // What it left before stays.
    assert!(lab.server_folder().join("reports/rows.txt").exists());
}

//! The commands that only look, and the short forms of the first generation.

use std::fs;

use predicates::prelude::*;
use predicates::str::{contains, is_match};

use crate::rig::lab::{Lab, Run, mtdata};

#[test]
fn every_target_is_listed_with_its_state() {
    let lab = Lab::new();
    lab.build();
    let listed = lab.mtdata(&["list"]).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.lines().all(|line| line.contains("up to date")), "{text}");
    // To list a target is not to name it: what is asked by the clock is not due.
    assert!(!text.contains("named on the command line"), "{text}");
    fs::remove_file(lab.server_folder().join("combined/OA.csv")).unwrap();
    lab.mtdata(&["list", "combine/mindtrails/OA"]).assert().success().stdout(contains("stale"));
    lab.mtdata(&["explain", "reports/mindtrails"]).assert().success().stdout(contains("may run"));
    lab.mtdata(&["explain", "combine/mindtrails/OA"]).assert().success().stdout(contains("combined/OA.csv is missing"));
    lab.mtdata(&["list", "nothing"]).assert().code(2);
}

#[test]
fn the_graph_is_drawn_in_three_ways() {
    let lab = Lab::new();
    lab.build();
    lab.mtdata(&["graph", "score/mindtrails/OA"])
        .assert()
        .success()
        .stdout(contains("digraph").and(contains("combine/mindtrails/OA")));
    lab.mtdata(&["graph", "--format", "mermaid", "score"])
        .assert()
        .success()
        .stdout(contains("flowchart LR").and(contains("-.->")));
    lab.mtdata(&["graph", "--format", "svg", "score"])
        .assert()
        .success()
        .stdout(contains("<svg").and(contains("</svg>")));
}

#[test]
fn past_runs_are_told() {
    let lab = Lab::new();
    let run = lab.build();
    let id = run.last()["run"].as_str().unwrap().to_owned();
    lab.mtdata(&["runs"]).assert().success().stdout(contains(&id).and(contains("entries stored")));
    lab.mtdata(&["runs", &id]).assert().success().stdout(contains("built").and(contains("export/mindtrails/Affect")));
    lab.mtdata(&["runs", "never"]).assert().code(2).stderr(contains("no run `never`"));
    // What a killed run leaves: its log ends anywhere.
    let runs = lab.root().join(".mtdata/runs");
    let log = fs::read(runs.join(format!("{id}.jsonl"))).unwrap();
    fs::write(runs.join("2000-killed.jsonl"), &log[..log.len() - 20]).unwrap();
    lab.mtdata(&["runs"]).assert().success().stdout(is_match(r"2000-killed +not finished").unwrap());
    lab.mtdata(&["runs", "2000"]).assert().success().stdout(contains("export/mindtrails/Affect"));
}

#[test]
fn the_first_generations_words_still_work() {
    let lab = Lab::new();
    let run = lab.run(&["export", ".", "."], 0);
    assert!(run.targets("built").contains(&"export/mindtrails/Affect".to_owned()));
    assert!(!run.targets("built").iter().any(|target| target.starts_with("export-static")));
    let run = lab.run(&["export", "mindtrails", "OA"], 0);
    assert_eq!(run.targets("built"), ["export-static/mindtrails/OA"]);
    let run = lab.run(&["decode", "mindtrails", "OA"], 0);
    assert!(run.targets("built").iter().any(|target| target.starts_with("decode/mindtrails/OA/")));
    lab.mtdata(&["report", "participant", "mindtrails"]).assert().success().stdout(contains("percent_missing"));
    lab.mtdata(&["report", "client", "--csv"]).assert().success().stdout(contains("participant,test_account"));
    lab.mtdata(&["report", "attrition", "--csv"]).assert().success().stdout(contains("preTest,"));
    lab.mtdata(&["export", "elsewhere"]).assert().code(2);
}

#[test]
fn a_report_as_json_is_one_array_with_numbers() {
    let lab = Lab::new();
    let output = lab.mtdata(&["report", "participant", "--json"]).assert().success().get_output().stdout.clone();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output).unwrap();
    assert!(!rows.is_empty());
    for row in &rows {
        assert_eq!(row["server"], "mindtrails");
        assert!(row["participant"].is_string() && row["due"].is_u64() && row["test_account"].is_boolean(), "{row}");
        assert!(row["percent_missing"].is_number() || row["percent_missing"].is_null(), "{row}");
    }
}

#[test]
fn a_report_fits_the_terminal_and_is_coloured_only_there() {
    let lab = Lab::new();
    lab.run(&["build", "reports"], 0);
    let mtdata = assert_cmd::cargo::cargo_bin("mtdata");
    let on_terminal = |columns: usize, colour: &str| {
        let line = format!("stty rows 30 cols {columns}; {colour} {} report participant", mtdata.display());
        let output = std::process::Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(lab.root())
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = on_terminal(60, "NO_COLOR=1");
    assert!(plain.contains("participant") && plain.contains("more columns"), "{plain}");
    let table = plain.lines().filter(|line| line.contains(['─', '═']) || line.contains("active"));
    let widths: Vec<usize> = table.map(|line| line.trim_end().chars().count()).collect();
    assert!(!widths.is_empty() && widths.iter().all(|width| *width <= 60), "{plain}");
    assert!(on_terminal(60, "").contains("\u{1b}["));
    let elsewhere = lab.mtdata(&["report", "participant"]).assert().success().get_output().stdout.clone();
    let elsewhere = String::from_utf8(elsewhere).unwrap();
    assert!(elsewhere.contains("days_since") && !elsewhere.contains('\u{1b}'), "{elsewhere}");
}

#[test]
fn a_trace_opens_as_json_with_spans() {
    let lab = Lab::new();
    lab.mtdata(&["build", "--trace", "trace.json"]).assert().success();
    let trace: serde_json::Value = serde_json::from_slice(&fs::read(lab.root().join("trace.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    assert!(events.len() > 20 && events.iter().all(|event| event["ph"] == "X" && event["dur"].is_number()));
}

#[test]
fn init_writes_a_project_that_is_read_and_overwrites_none() {
    let folder = tempfile::tempdir().unwrap();
    mtdata().current_dir(folder.path()).arg("init").assert().success().stdout(contains("mtdata check"));
    mtdata().current_dir(folder.path()).args(["build", "-n"]).assert().success();
    // Such a build does nothing, and who wonders why is told.
    mtdata().current_dir(folder.path()).arg("check").assert().stdout(contains("good  mindtrails: `ready = false`"));
    mtdata().current_dir(folder.path()).arg("init").assert().code(2).stderr(contains("is there already"));
    assert!(fs::read_to_string(folder.path().join(".gitignore")).unwrap().contains("keys/"));
    for (file, schema) in [("Pipeline.toml", "pipeline"), ("config/servers.toml", "servers")] {
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        let named = text.lines().next().unwrap().strip_prefix("#:schema ").unwrap();
        let named = folder.path().join(file).parent().unwrap().join(named);
        let output = mtdata().args(["schema", schema]).output().unwrap();
        assert_eq!(fs::read(named).unwrap(), output.stdout);
    }
    mtdata().args(["schema", "pipelin"]).assert().code(2).stderr(contains("did you mean `pipeline`?"));
}

#[test]
fn orphans_are_listed_and_removed_only_when_asked() {
    let lab = Lab::new();
    lab.build();
    lab.replace("Pipeline.toml", "[task.wide]", "[task.broad]");
    lab.replace("Pipeline.toml", "\"wide\"]", "\"reports\"]");
    lab.replace("Pipeline.toml", "default = [\"reports\", \"reports\"]", "default = [\"reports\"]");
    lab.mtdata(&["list"]).assert().success().stdout(contains("wide/mindtrails/OA").not());
    lab.replace(
        "Pipeline.toml",
        "[task.broad]\naction = \"wide\"",
        "[task.broad]\naction = \"wide\"\nscales = [\"RR\"]",
    );
    lab.mtdata(&["list"]).assert().success().stdout(contains("orphaned").and(contains("wide/OA.csv")));
    lab.build();
    assert!(lab.server_folder().join("wide/OA.csv").exists());
    lab.mtdata(&["build", "--prune"]).assert().success();
    assert!(!lab.server_folder().join("wide/OA.csv").exists());
    assert!(lab.server_folder().join("combined/OA.csv").exists());
}

#[test]
fn verify_reads_every_byte_and_says_what_differs() {
    let lab = Lab::new();
    lab.build();
    lab.mtdata(&["verify"]).assert().success().stdout(contains("0 differences"));
    let table = lab.server_folder().join("combined/OA.csv");
    let found = fs::metadata(&table).unwrap();
    let mut text = fs::read(&table).unwrap();
    let last = text.len() - 2;
    text[last] ^= 1;
    fs::write(&table, text).unwrap();
    fs::File::options().write(true).open(&table).unwrap().set_modified(found.modified().unwrap()).unwrap();
    lab.mtdata(&["verify", "reports/mindtrails"])
        .assert()
        .code(1)
        .stdout(contains("combined/OA.csv: made by combine/mindtrails/OA"));
}

#[test]
fn check_looks_at_keys_passwords_and_servers_and_writes_nothing() {
    let lab = Lab::new();
    let before = crate::rig::lab::times(lab.root());
    lab.mtdata(&["check"])
        .assert()
        .success()
        .stdout(contains("2048 bits, SHA256:").and(contains("password: is there")));
    lab.mtdata(&["check", "--online"]).assert().success().stdout(contains("entries wait to be exported"));
    assert_eq!(crate::rig::lab::times(lab.root()), before);
    lab.set_mode("keys/password", 0o644);
    lab.mtdata(&["check", "--online"]).assert().code(1).stdout(contains("chmod 600"));
}

#[test]
fn keys_are_made_private_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let generate = || {
        let mut command = mtdata();
        command.current_dir(folder.path()).args(["keys", "generate", "k/new.pem"]);
        command
    };
    generate().assert().success().stdout(contains("SHA256:"));
    let mode = fs::metadata(folder.path().join("k/new.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    generate().assert().code(2).stderr(contains("is there already"));
    mtdata().args(["keys", "generate", "x.pem", "--bits", "1024"]).assert().code(2);
    let lab = Lab::new();
    lab.mtdata(&["keys", "list"]).assert().success().stdout(contains("keys/private_laura.pem  2048 bits"));
}

#[test]
fn the_manual_and_completions_come_from_the_words_themselves() {
    mtdata().args(["completions", "bash"]).assert().success().stdout(contains("explain"));
    mtdata().arg("man").assert().success().stdout(contains(".TH mtdata"));
}

#[test]
fn another_word_on_second_entries_makes_every_wide_table_anew() {
    let lab = Lab::new();
    let wide = |run: &Run| -> Vec<String> {
        let mut targets = [run.targets("built"), run.targets("unchanged")].concat();
        targets.retain(|target| target.starts_with("wide/"));
        targets.sort();
        targets
    };
    let first = wide(&lab.build());
    assert!(first.len() > 3);
    lab.replace("config/scales/calm.toml", "duplicates = \"first\"", "duplicates = \"last\"");
    assert_eq!(wide(&lab.build()), first);
}

/// Runs a command with its stdout a pipe whose reader has left already.
fn unheard(lab: &Lab, arguments: &[&str]) -> std::process::Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("mtdata"));
    command.current_dir(lab.root()).args(arguments).stdout(writer).stderr(std::process::Stdio::piped());
    command.spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn a_reader_that_leaves_ends_quietly_what_it_asked_for() {
    let lab = Lab::new();
    let id = lab.build().last()["run"].as_str().unwrap().to_owned();
    let all: &[&[&str]] = &[
        &["list"],
        &["list", "--json"],
        &["explain", "reports/mindtrails"],
        &["explain", "reports/mindtrails", "--run", &id],
        &["explain-check", "S8"],
        &["graph"],
        &["graph", "--format", "svg"],
        &["status"],
        &["status", "--json"],
        &["check"],
        &["check", "--json"],
        &["verify"],
        &["verify", "--json"],
        &["recover"],
        &["recover", "--json"],
        &["runs"],
        &["runs", "--json"],
        &["runs", &id],
        &["runs", &id, "--json"],
        &["report", "questionnaire"],
        &["report", "scale", "--csv"],
        &["report", "participant", "--json"],
        &["build", "-n"],
        &["build", "-B", "--json"],
        &["keys", "list"],
        &["keys", "generate", "keys/new.pem"],
        &["schema", "pipeline"],
        &["init", "elsewhere"],
        &["completions", "zsh"],
        &["man"],
        &["--help"],
    ];
    for arguments in all {
        let output = unheard(&lab, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{arguments:?}");
    }
    // The build that nobody listened to was done nevertheless.
    lab.mtdata(&["verify"]).assert().success();
}

#[test]
fn output_that_a_full_disk_takes_no_more_of_is_told() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("mtdata"));
    let output = command.args(["schema", "pipeline"]).stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the output is not complete: No space left on device"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn check_finds_the_mistakes_of_setting_up() {
    let lab = Lab::new();
    let says = |code: i32, what: &str| {
        lab.mtdata(&["check"]).env("LAB_PASSPHRASE", "none is needed").assert().code(code).stdout(contains(what));
    };
    says(0, "good  alerts: nobody is told when something breaks");
    lab.replace("Pipeline.toml", "[data]\n", "[data]\nalerts = \"config/alerts.toml\"\n");
    let alerts = |text: &str| fs::write(lab.root().join("config/alerts.toml"), text).unwrap();
    alerts("[heartbeat]\nurl = \"https://monitor.example.edu/ping/abc\"\n");
    says(0, "only the heartbeat");
    let mail = "[mail]\nsmtp = \"smtp.example.edu:587\"\nuser = \"a\"\npassword = { file = \"keys/mail\" }\n\
                from = \"a@example.edu\"\nto = [\"b@example.edu\"]\n";
    alerts(mail);
    says(1, "BAD   alerts: no mail can be sent: ");
    fs::write(lab.root().join("keys/mail"), "secret").unwrap();
    lab.set_mode("keys/mail", 0o644);
    says(1, "chmod 600");
    lab.set_mode("keys/mail", 0o600);
    says(0, "good  alerts: mail to b@example.edu by smtp.example.edu:587; `mtdata alert test` tries it");
    let servers = |old: &str, new: &str| lab.replace("config/servers.toml", old, new);
    servers("[mindtrails]\n", "[mindtrails]\npassphrase = { env = \"LAB_PASSPHRASE\" }\n");
    says(0, "passphrase: no key needs it");
    fs::write(lab.root().join("in-the-way"), "").unwrap();
    servers("[mindtrails]\n", "[mindtrails]\npath = \"in-the-way/mindtrails\"\n");
    says(1, "BAD   mindtrails: path: in-the-way is a file where a folder has to be");
    servers("in-the-way/", "elsewhere/");
    says(0, "good  mindtrails: path: elsewhere/mindtrails can be written");
    servers("\"admin@example.edu\"", "\"\"");
    says(1, "BAD   mindtrails: user: is empty");
}

//! What is left for the person who looks at 3 a.m.: the log files.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::{Duration, SystemTime};

use mtdata::parts::ServerFault;
use predicates::prelude::*;
use predicates::str::contains;

use crate::rig::lab::{Lab, times};

const NAMES: [&str; 4] = ["Debug.log", "Daily.log", "Error.log", "Break_down.log"];

fn lines(folder: &Path, name: &str) -> Vec<String> {
    fs::read_to_string(folder.join(name)).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn each_log_holds_its_levels_and_what_is_critical_stands_in_the_last() {
    let lab = Lab::new();
    let logs = lab.root().join("data/logs");
    lab.build();
    let sizes = NAMES.map(|name| lines(&logs, name).len());
    assert!(sizes[0] > sizes[1] && sizes[1] > 0 && sizes[3] == 0, "{sizes:?}");
    lab.demo.server.plan("GET", "export", ServerFault::LoginPage, 1);
    let run = lab.run(&["build"], 1);
    let id = run.last()["run"].as_str().unwrap();
    let critical = lines(&logs, "Break_down.log");
    assert!(
        !critical.is_empty() && critical.iter().all(|line| line.contains(&format!(" ERROR {id} export/mindtrails")))
    );
    for name in &NAMES[..3] {
        let all = lines(&logs, name);
        assert!(critical.iter().all(|line| all.contains(line)), "{name}");
    }
    lab.mtdata(&["--log-format", "json", "build"]).assert().success();
    let last: serde_json::Value = serde_json::from_str(lines(&logs, "Daily.log").last().unwrap()).unwrap();
    assert_eq!((&last["level"], &last["message"]), (&"INFO".into(), &"run finished".into()));
}

#[test]
fn logs_of_yesterday_are_laid_aside_by_the_first_run_of_today() {
    let lab = Lab::new();
    let logs = lab.root().join("data/logs");
    lab.mtdata(&["build"]).env("TZ", "America/New_York").assert().success();
    let before = fs::read(logs.join("Daily.log")).unwrap();
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
    for name in NAMES {
        OpenOptions::new().append(true).open(logs.join(name)).unwrap().set_modified(yesterday).unwrap();
    }
    let day = chrono::DateTime::<chrono::Utc>::from(yesterday).with_timezone(&chrono_tz::America::New_York);
    lab.mtdata(&["build"]).env("TZ", "America/New_York").assert().success();
    assert_eq!(fs::read(logs.join(format!("Daily.log.{}", day.date_naive()))).unwrap(), before);
    assert!(lines(&logs, "Daily.log").len() < before.split(|byte| *byte == b'\n').count() - 1);
}

#[test]
fn old_logs_go_and_the_others_are_compressed_when_the_pipeline_says_so() {
    let lab = Lab::new();
    let logs = lab.root().join("data/logs");
    lab.build();
    let before = fs::read(logs.join("Daily.log")).unwrap();
    let pipeline = lab.root().join("Pipeline.toml");
    let text = fs::read_to_string(&pipeline).unwrap();
    fs::write(&pipeline, format!("{text}\n[logs]\nkeep_days = 30\ncompress = true\n")).unwrap();
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
    OpenOptions::new().append(true).open(logs.join("Daily.log")).unwrap().set_modified(yesterday).unwrap();
    let days_ago = |days: i64| (chrono::Local::now() - chrono::TimeDelta::days(days)).date_naive();
    for days in [31, 29] {
        fs::write(logs.join(format!("Daily.log.{}", days_ago(days))), "a line\n").unwrap();
    }
    lab.build();
    let packed = fs::File::open(logs.join(format!("Daily.log.{}.gz", days_ago(1)))).unwrap();
    let mut after = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(packed), &mut after).unwrap();
    assert_eq!(after, before);
    assert!(logs.join(format!("Daily.log.{}.gz", days_ago(29))).exists());
    assert!(!logs.join(format!("Daily.log.{}", days_ago(31))).exists());
    assert!(!logs.join(format!("Daily.log.{}.gz", days_ago(31))).exists());
}

/// What `status --json` says of the demo's server.
fn status(lab: &Lab) -> serde_json::Value {
    let output = lab.mtdata(&["status", "--json"]).output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()[0].clone()
}

#[test]
fn status_tells_what_is_so() {
    let lab = Lab::new();
    let nothing = status(&lab);
    assert!(nothing["last_good"].is_null() && nothing["entries"] == 0);
    let run = lab.build();
    let fine = status(&lab);
    assert_eq!(fine["entries"].as_u64(), Some(run.count("stored")));
    assert_eq!(fine["undecryptable"].as_u64(), Some(run.count("quarantined")));
    assert!(fine["free_disk"].as_u64().unwrap() > 0 && fine["failures"].as_array().unwrap().is_empty());
    assert!(fine["oldest_undeleted"].is_null() && fine["pending"] == 0);
    lab.demo.server.plan("GET", "export", ServerFault::LoginPage, 1);
    lab.run(&["build"], 1);
    let broken = status(&lab);
    assert_eq!(broken["last_good"], fine["last_good"]);
    assert!(broken["failure"].as_str().unwrap().contains("is a web page, not data"));
    assert!(!broken["failures"].as_array().unwrap().is_empty());
    let told = lab.mtdata(&["status"]).env("TZ", "Asia/Kolkata").assert().success().stdout(contains("! since "));
    let told = String::from_utf8(told.get_output().stdout.clone()).unwrap();
    // Once of the server and once of all its tables, and by the same clock.
    let lines: Vec<&str> = told.lines().filter(|line| line.contains("is a web page, not data")).collect();
    assert!(lines.len() == 2 && lines[1].contains(" more: "), "{told}");
    let hour = |minutes_ago: i64| {
        let moment = chrono::Utc::now() - chrono::TimeDelta::minutes(minutes_ago);
        moment.with_timezone(&chrono_tz::Asia::Kolkata).format("%Y-%m-%d %H:").to_string()
    };
    let hours = [hour(0), hour(5)];
    assert!(lines.iter().all(|line| hours.iter().any(|hour| line.contains(hour))), "{told}");
    lab.build();
    let again = status(&lab);
    assert!(again["failing_since"].is_null() && again["last_good"].as_str() > fine["last_good"].as_str());
    assert!(again["failures"].as_array().unwrap().is_empty(), "{again}");
}

#[test]
fn what_the_server_keeps_against_our_will_is_counted() {
    let lab = Lab::new();
    lab.build();
    lab.demo.server.add("Affect", 9001, r#"{"id":9001,"participant":100,"session":"firstSession"}"#);
    lab.demo.server.plan("DELETE", "export/Affect/9001", ServerFault::Status(404), 1);
    // Whether that is a failure is another test's matter.
    lab.mtdata(&["build"]).output().unwrap();
    let kept = status(&lab);
    assert!(kept["undeleted"] == 1 && !kept["oldest_undeleted"].is_null(), "{kept}");
    lab.build();
    assert_eq!(status(&lab)["undeleted"], 0);
}

#[test]
fn the_page_moves_only_when_something_happens() {
    let lab = Lab::new();
    lab.build();
    let page = lab.root().join("data/status.html");
    let read = || (fs::read_to_string(&page).unwrap(), fs::metadata(&page).unwrap().modified().unwrap());
    let fine = read();
    assert!(fine.0.contains("Exports are fine") && !fine.0.contains("https://"));
    let runs = || -> Vec<String> {
        let said = lab.mtdata(&["runs", "--json"]).output().unwrap().stdout;
        let runs: serde_json::Value = serde_json::from_slice(&said).unwrap();
        runs.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect()
    };
    let newest = runs().into_iter().max().unwrap();
    let footer = fine.0.split_once("<footer>").unwrap().1.to_owned();
    assert!(footer.contains(&newest) && footer.contains(env!("CARGO_PKG_VERSION")), "{newest}: {footer}");
    assert!(footer.contains("Last good export of mindtrails: 20"), "{footer}");
    lab.build();
    assert_eq!(read(), fine);
    lab.demo.server.plan("GET", "export", ServerFault::LoginPage, 2);
    lab.run(&["build"], 1);
    let broken = read();
    assert!(broken.0.contains("Exports fail since") && broken.0.contains("is a web page, not data"));
    lab.run(&["build"], 1);
    assert_eq!(read(), broken);
    lab.build();
    let well = read().0;
    assert_eq!(well.split_once("<footer>").unwrap().0, fine.0.split_once("<footer>").unwrap().0);
    assert!(!well.contains(&newest) && well.contains(&runs().into_iter().max().unwrap()));
}

#[test]
fn a_log_that_cannot_be_written_is_told_and_stops_nothing() {
    let lab = Lab::new();
    fs::create_dir(lab.root().join("data")).ok();
    fs::write(lab.root().join("data/logs"), "a file where the folder should be").unwrap();
    lab.mtdata(&["build"]).assert().success().stderr(contains("no log is written"));
    assert!(lab.server_folder().join("reports/index.html").exists());
}

/// A group that this process may give files to, and that is not its own; none for somebody in one group only.
fn another_group() -> Option<(String, u32)> {
    let said = |word: &str| {
        let output = std::process::Command::new("id").arg(word).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    if said("-u") == "0" {
        let groups = fs::read_to_string("/etc/group").unwrap();
        let fields = groups.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|f| f[0] == "daemon")?;
        return Some((fields[0].to_owned(), fields[2].parse().unwrap()));
    }
    let own = said("-gn");
    let (names, numbers) = (said("-Gn"), said("-G"));
    let found = names.split(' ').zip(numbers.split(' ')).find(|(name, _)| *name != own)?;
    Some((found.0.to_owned(), found.1.parse().unwrap()))
}

#[test]
fn the_group_of_a_server_gets_what_is_derived_and_no_answers() {
    use std::os::unix::fs::MetadataExt;
    let Some((name, id)) = another_group() else { return };
    let lab = Lab::new();
    lab.build();
    lab.replace("config/servers.toml", "[mindtrails]\n", &format!("[mindtrails]\ngroup = \"{name}\"\n"));
    assert_eq!(lab.build().stderr, "");
    let look = || {
        for folder in ["combined", "scored", "wide", "reports"] {
            for (path, found) in crate::rig::lab::metadata(&lab.server_folder().join(folder)) {
                let mode = if found.is_dir() { 0o750 } else { 0o640 };
                assert_eq!((found.gid(), found.mode() & 0o777), (id, mode), "{}", path.display());
            }
        }
        for folder in ["raw_data", "active_data"] {
            for (path, found) in crate::rig::lab::metadata(&lab.server_folder().join(folder)) {
                assert!(found.gid() != id && found.mode() & 0o077 == 0, "{}", path.display());
            }
        }
    };
    look();
    let found = fs::metadata(lab.server_folder()).unwrap();
    assert_eq!((found.gid(), found.mode() & 0o057), (id, 0o050));
    // Deleted and made again by one run, the tables are the group's from the beginning.
    fs::remove_dir_all(lab.server_folder().join("scored")).unwrap();
    lab.demo.server.add("Affect", 9001, r#"{"id":9001,"participant":100,"session":"firstSession"}"#);
    lab.build();
    look();
    let before = times(lab.root());
    lab.mtdata(&["check"]).assert().stdout(contains("mindtrails: group"));
    assert_eq!(times(lab.root()), before);
}

#[test]
fn a_group_that_does_not_exist_is_told_and_stops_nothing() {
    let lab = Lab::new();
    lab.replace("config/servers.toml", "[mindtrails]\n", "[mindtrails]\ngroup = \"no-such-group\"\n");
    let run = lab.build();
    assert!(run.stderr.contains("has no group `no-such-group`"), "{}", run.stderr);
    lab.mtdata(&["check"])
        .assert()
        .code(1)
        .stdout(contains("BAD   mindtrails: group").and(contains("groupadd no-such-group")));
}

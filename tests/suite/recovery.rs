//! Every layer of the pool deleted, cut and altered, alone and together: what comes back is byte for byte what it was,
//! or the loss is said.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mtdata::parts::ServerFault;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use crate::rig::lab::{Lab, contents};

/// What was done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Deleted,
    Cut,
    Altered,
}

const HARMS: [Harm; 3] = [Harm::Deleted, Harm::Cut, Harm::Altered];

impl Harm {
    /// Does it to a file; an altered one keeps its size and its times.
    fn to(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        match self {
            Self::Deleted => return fs::remove_file(path).unwrap(),
            Self::Cut => bytes.truncate(bytes.len() / 2),
            Self::Altered => {
                // A letter of a value, so that JSON stays JSON.
                let at = bytes.len() / 2 + bytes[bytes.len() / 2..].iter().position(u8::is_ascii_digit).unwrap();
                bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
            }
        }
        fs::write(path, bytes).unwrap();
        if self == Self::Altered {
            fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
        }
    }
}

/// Tables, reports, raw files and records; neither the pages of recoveries nor what may be lost without a word.
fn pool(lab: &Lab) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = contents(&lab.server_folder());
    all.retain(|path, _| {
        let text = path.to_string_lossy();
        !["/.archive/", "/.plain/", "/reports/recovery-", "_recovered_"].iter().any(|part| text.contains(part))
    });
    all
}

/// Files of a folder of the server whose names begin so, sorted.
fn files(lab: &Lab, folder: &str, beginning: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(lab.server_folder().join(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(beginning));
    paths.sort();
    assert!(!paths.is_empty(), "{folder}/{beginning}*");
    paths
}

/// Recovers and gives what was found of the only server.
fn recover(lab: &Lab, arguments: &[&str], code: i32) -> Value {
    let arguments = [&["recover", "--json"], arguments].concat();
    let output = lab.mtdata(&arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    let all: Value = serde_json::from_str(&out).unwrap();
    all["servers"][0].clone()
}

fn page(lab: &Lab, found: &Value) -> String {
    fs::read_to_string(lab.root().join(found["report"].as_str().unwrap())).unwrap()
}

fn count(found: &Value, part: &str) -> usize {
    found["found"][part].as_array().unwrap().len()
}

#[test]
fn a_server_that_did_not_answer_is_no_matter_of_the_archive() {
    let lab = Lab::new();
    lab.build();
    lab.demo.server.plan("GET", "export", ServerFault::LoginPage, 1);
    lab.run(&["build"], 1);
    lab.mtdata(&["recover"]).assert().code(0).stdout(contains("export/").not());
}

#[test]
fn what_is_made_comes_back_as_it_was_whatever_was_done_to_it() {
    let lab = Lab::new();
    // One of the two keys, so that something is in quarantine.
    lab.replace("config/servers.toml", "\"keys/private_key.pem\", ", "");
    lab.build();
    let before = pool(&lab);
    let requests = lab.demo.server.requests().len();
    let found = recover(&lab, &[], 0);
    assert_eq!((found["differences"].as_u64(), page(&lab, &found).contains("Everything is what was")), (Some(0), true));
    let layers = [
        ("active_data", "OA_"),
        ("quarantine", ""),
        ("combined", "OA.csv"),
        ("scored", "OA.csv"),
        ("wide", "OA.csv"),
        ("reports", "index.html"),
        ("reports", "checks.csv"),
        (".plain", ""),
    ];
    for harm in HARMS {
        for (folder, beginning) in layers {
            let hurt = files(&lab, folder, beginning).into_iter().find(|path| path.is_file()).unwrap();
            harm.to(&hurt);
            let memory = folder == ".plain";
            let found = recover(&lab, &[], i32::from(!memory));
            assert_eq!(count(&found, "tables"), usize::from(!memory), "{harm:?} {}: {found}", hurt.display());
            if !memory {
                assert_eq!(found["found"]["tables"][0]["now"], "as_recorded", "{harm:?} {}: {found}", hurt.display());
            }
            assert_eq!(pool(&lab), before, "{harm:?} {}", hurt.display());
        }
        // All of them at once.
        for (folder, beginning) in layers {
            for path in files(&lab, folder, beginning).iter().filter(|path| path.is_file()) {
                harm.to(path);
            }
        }
        recover(&lab, &["mindtrails"], 1);
        assert_eq!(pool(&lab), before, "{harm:?} all");
    }
    for folder in ["active_data", "quarantine", "combined", "scored", "wide", ".plain", ".archive"] {
        fs::remove_dir_all(lab.server_folder().join(folder)).unwrap();
    }
    recover(&lab, &[], 1);
    assert_eq!(pool(&lab), before);
    let found = recover(&lab, &[], 0);
    assert_eq!(found["differences"], 0, "{found}");
    assert_eq!(lab.demo.server.requests().len(), requests, "a server was asked");
}

#[test]
fn with_no_state_at_all_everything_is_made_again_from_raw_files() {
    let lab = Lab::new();
    lab.build();
    let before = pool(&lab);
    let raw: Vec<PathBuf> = files(&lab, "raw_data", "");
    fs::remove_dir_all(lab.root().join(".mtdata")).unwrap();
    for entry in fs::read_dir(lab.server_folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("raw_data") && !path.ends_with("study") {
            fs::remove_dir_all(path).unwrap();
        }
    }
    let found = recover(&lab, &[], 1);
    // Only the record of what is archived is known to have been there: the ledger of deletions says so.
    assert!(count(&found, "lost") + count(&found, "raw") + count(&found, "tables") == 0, "{found}");
    assert!(page(&lab, &found).contains("there was no state"));
    assert_eq!(pool(&lab), before);
    assert_eq!(files(&lab, "raw_data", ""), raw);
    recover(&lab, &[], 0);
    for harm in HARMS {
        harm.to(&lab.root().join(".mtdata/state"));
        fs::remove_file(lab.server_folder().join("combined/OA.csv")).unwrap();
        let output = lab.mtdata(&["recover"]).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{harm:?}");
        assert_eq!(pool(&lab), before, "{harm:?}");
        recover(&lab, &[], 0);
    }
}

#[test]
fn a_raw_file_that_is_lost_cut_or_altered_is_told_with_what_is_lost_and_can_be_put_back() {
    let lab = Lab::new();
    lab.build();
    let before = pool(&lab);
    for harm in HARMS {
        let hurt = files(&lab, "raw_data", "OA_").remove(0);
        let name = hurt.file_name().unwrap().to_string_lossy().into_owned();
        harm.to(&hurt);
        let found = recover(&lab, &[], 1);
        let faults: Vec<&str> =
            found["found"]["raw"].as_array().unwrap().iter().map(|raw| raw["what"].as_str().unwrap()).collect();
        let expected = match harm {
            Harm::Deleted => vec!["missing"],
            Harm::Cut => vec!["changed", "damaged"],
            Harm::Altered => vec!["changed"],
        };
        assert_eq!(faults, expected, "{found}");
        assert!(found["found"]["raw"].as_array().unwrap().iter().all(|raw| raw["file"] == name.as_str()), "{found}");
        let oa =
            found["found"]["scales"].as_array().unwrap().iter().find(|scale| scale["scale"] == "OA").unwrap().clone();
        let (salvaged, lost) = (oa["salvaged"].as_u64().unwrap(), count(&found, "lost"));
        let whole = 17;
        match harm {
            Harm::Deleted => assert_eq!((salvaged, lost), (0, whole)),
            Harm::Cut => assert!(salvaged > 5 && usize::try_from(salvaged).unwrap() + lost == whole, "{found}"),
            Harm::Altered => assert_eq!((salvaged, lost), (0, 1)),
        }
        // The tables, or the copy of the table as it was, still have what is lost; only an answer may be another.
        let kept = |lost: &Value| lost["kept_in"].is_string() || lost["other_version"] == true;
        assert!(found["found"]["lost"].as_array().unwrap().iter().all(kept), "{found}");
        let told = page(&lab, &found);
        assert!(told.contains(&name) && told.contains("Restore them from a backup"), "{told}");
        // Again: the same is found, and nothing moves.
        let after = contents(lab.root());
        let again = recover(&lab, &[], 1);
        assert_eq!(
            (&again["found"]["raw"], &again["found"]["lost"]),
            (&found["found"]["raw"], &found["found"]["lost"])
        );
        for (path, bytes) in contents(&lab.server_folder()) {
            let text = path.to_string_lossy().into_owned();
            assert!(after.get(&path) == Some(&bytes) || text.contains("/reports/recovery-"), "{harm:?} {text}");
        }
        // And it comes to the same when it is put back.
        fs::write(&hurt, &before[&hurt]).unwrap();
        let found = recover(&lab, &[], 0);
        assert_eq!(count(&found, "lost") + count(&found, "raw"), 0, "{found}");
        let after = pool(&lab);
        for (path, bytes) in &before {
            assert!(after.get(path) == Some(bytes), "{harm:?} {}", path.display());
        }
        assert_eq!(after.len(), before.len(), "{harm:?}");
    }
}

#[test]
fn what_stood_only_in_a_raw_file_and_its_table_is_lost_and_said_to_be() {
    let lab = Lab::new();
    lab.build();
    for folder in ["raw_data", "active_data"] {
        for path in files(&lab, folder, "RR_") {
            fs::remove_file(path).unwrap();
        }
    }
    let found = recover(&lab, &["mindtrails", "RR"], 1);
    assert_eq!(count(&found, "lost"), 13, "{found}");
    for lost in found["found"]["lost"].as_array().unwrap() {
        assert!(lost["kept_in"].is_null() && lost["deleted"] == true, "{lost}");
    }
    assert!(page(&lab, &found).contains("gone from the server, too"));
    // Neither the state nor the archive's own record is needed to know it.
    fs::remove_dir_all(lab.root().join(".mtdata")).unwrap();
    fs::remove_dir_all(lab.server_folder().join(".archive")).unwrap();
    let found = recover(&lab, &[], 1);
    assert_eq!(count(&found, "lost"), 13, "{found}");
    lab.mtdata(&["recover", "mindtrails", "Credibilty"])
        .assert()
        .code(2)
        .stderr(contains("did you mean `Credibility`"));
    lab.mtdata(&["recover", "mindtrial"]).assert().code(2).stderr(contains("did you mean `mindtrails`"));
}

#[test]
fn marks_come_back_and_a_ledger_that_is_hurt_is_told() {
    let lab = Lab::new();
    lab.build();
    let before = pool(&lab);
    for harm in HARMS {
        harm.to(&lab.server_folder().join("raw_data/benchMark.json"));
        let found = recover(&lab, &[], 1);
        assert!(found["found"]["records"][0].as_str().unwrap().starts_with("benchMark.json"), "{harm:?} {found}");
        assert_eq!(pool(&lab), before, "{harm:?}");
    }
    for harm in HARMS {
        harm.to(&lab.server_folder().join("deletions.jsonl"));
        let found = recover(&lab, &[], 1);
        assert!(found["found"]["records"][0].as_str().unwrap().starts_with("deletions.jsonl"), "{harm:?} {found}");
        let ledger = lab.server_folder().join("deletions.jsonl");
        fs::write(&ledger, &before[&ledger]).unwrap();
        recover(&lab, &[], i32::from(harm != Harm::Deleted));
        assert_eq!(pool(&lab), before, "{harm:?}");
    }
    fs::write(lab.server_folder().join("raw_data/notes.txt"), "mine").unwrap();
    let found = recover(&lab, &[], 1);
    assert_eq!((&found["found"]["raw"][0]["what"], count(&found, "raw")), (&Value::from("foreign"), 1));
    assert!(lab.server_folder().join("raw_data/notes.txt").exists());
}

#[test]
fn a_key_that_is_missing_is_told_and_what_it_opened_stays() {
    let lab = Lab::new();
    lab.build();
    let before = pool(&lab);
    let (key, aside) = (lab.root().join("keys/private_laura.pem"), lab.root().join("keys/aside.pem"));
    fs::rename(&key, &aside).unwrap();
    fs::remove_dir_all(lab.server_folder().join("combined")).unwrap();
    let found = recover(&lab, &[], 1);
    assert!(
        count(&found, "failed") > 0 && page(&lab, &found).contains("keys/private_laura.pem cannot be found"),
        "{found}"
    );
    for (path, bytes) in before.iter().filter(|(path, _)| path.to_string_lossy().contains("/active_data/")) {
        assert_eq!(&fs::read(path).unwrap(), bytes);
    }
    fs::rename(&aside, &key).unwrap();
    recover(&lab, &[], 1);
    assert_eq!(pool(&lab), before);
    // Taken out of servers.toml: the values it opened are in quarantine, and counted.
    lab.replace("config/servers.toml", "\"keys/private_key.pem\", ", "");
    let found = recover(&lab, &[], 0);
    assert!(count(&found, "closed") > 0 && page(&lab, &found).contains("## In quarantine"), "{found}");
}

#[test]
fn people_read_what_was_found_and_another_run_is_waited_for() {
    let lab = Lab::new();
    lab.build();
    lab.mtdata(&["recover"]).assert().success().stdout(
        contains("mindtrails: 15 raw files")
            .and(contains("everything is what was recorded of it"))
            .and(contains("reports/recovery-")),
    );
    lab.mtdata(&["recover", "-q"]).assert().success().stdout("");
    let lock = fs::File::options().write(true).open(lab.root().join(".mtdata/lock")).unwrap();
    lock.lock().unwrap();
    lab.mtdata(&["recover"]).assert().code(75).stderr(contains("another run is at work"));
    lab.mtdata(&["recover", "--wait=soon"]).assert().code(2).stderr(contains("--wait=soon"));
}

#[test]
fn verify_knows_a_raw_file_that_a_build_has_taken_already_and_no_target_that_is_none() {
    let lab = Lab::new();
    lab.build();
    let hurt = files(&lab, "raw_data", "RR_").remove(0);
    let name = hurt.file_name().unwrap().to_string_lossy().into_owned();
    let verify = |target: &str, code: i32| {
        let output = lab.mtdata(&["verify", target, "--json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["differences"].as_array().unwrap().clone()
    };
    assert!(verify("combine/mindtrails/RR", 0).is_empty());
    Harm::Altered.to(&hurt);
    let found = verify("combine/mindtrails/RR", 1);
    assert!(found.len() == 1 && found[0]["role"] == "read" && found[0]["path"].as_str().unwrap().ends_with(&name));
    assert!(verify("combine/mindtrails/OA", 0).is_empty());
    lab.mtdata(&["build", "reports"]).assert().success();
    let found = verify("decode/mindtrails/RR", 1);
    assert!(found.len() == 1 && found[0]["role"] == "kept" && found[0]["found"] != found[0]["recorded"], "{found:?}");
    // Gone altogether: the decoding has no target any more, and a record.
    fs::remove_file(&hurt).unwrap();
    assert!(verify("decode", 1).iter().any(|found| found["found"] == "none"));
    for target in ["combine/mindtrails/Credibilty", "decode/mindtrails/OA/1999-01-01", "nothing"] {
        lab.mtdata(&["verify", target]).assert().code(2).stderr(contains("unknown target"));
    }
    lab.mtdata(&["verify", "data/mindtrails/combined/OA.csv"]).assert().success();
}

#[test]
fn marks_that_are_gone_are_made_again_by_the_next_export_and_told_once() {
    let lab = Lab::new();
    lab.build();
    let marks = lab.server_folder().join("raw_data/benchMark.json");
    let before = fs::read(&marks).unwrap();
    for harm in [Harm::Deleted, Harm::Cut] {
        harm.to(&marks);
        let told = |run: &crate::rig::lab::Run| {
            run.events
                .iter()
                .filter(|event| event["code"] == "benchmark_recomputed" && event["critical"] == true)
                .count()
        };
        assert_eq!(told(&lab.build()), 1, "{harm:?}");
        assert_eq!(fs::read(&marks).unwrap(), before, "{harm:?}");
        assert_eq!(told(&lab.build()), 0, "{harm:?}");
    }
    // What a recovery, which asks nobody, could not know is put right by the next listing.
    let text = String::from_utf8(before.clone()).unwrap().replacen("\"deleteable\": true", "\"deleteable\": false", 1);
    fs::write(&marks, text).unwrap();
    lab.build();
    assert_eq!(fs::read(&marks).unwrap(), before);
}

#[test]
fn a_recovery_that_is_killed_is_finished_by_the_next_one() {
    let lab = Lab::new();
    lab.build();
    let before = pool(&lab);
    for delay in [20, 60, 120, 250, 500] {
        for folder in ["active_data", "combined", ".archive"] {
            fs::remove_dir_all(lab.server_folder().join(folder)).unwrap();
        }
        fs::remove_file(lab.server_folder().join("raw_data/benchMark.json")).unwrap();
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("mtdata"));
        let child = command.arg("recover").current_dir(lab.root()).stdout(std::process::Stdio::null());
        let mut child = child.stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        lab.mtdata(&["recover", "-q"]).assert().code(predicates::ord::le(1));
        assert_eq!(pool(&lab), before, "killed after {delay} ms");
        recover(&lab, &[], 0);
    }
}

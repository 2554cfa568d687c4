//! Killed between any two steps or at any moment, with a full disk, a folder that may no longer be written, a clock that
//! steps back: every entry that the server ever accepted is on the server or in a raw file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mtdata::parts::{ResetMoment, ServerFault};
use serde_json::value::RawValue;

use crate::rig::lab::{Dice, Run};
use crate::rig::site::{Site, entry, failures, warnings};

const TABLES: [&str; 3] = ["OA", "RR", "Affect"];

/// Entries that the server accepted, by table and id.
type Accepted = BTreeMap<(String, i64), String>;

/// The texts of all archived entries; every raw file is whole JSON.
fn texts(site: &Site) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (name, text) in site.raw() {
        let entries: Vec<&RawValue> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        for entry in entries {
            *found.entry(entry.get().to_owned()).or_insert(0) += 1;
        }
    }
    found
}

/// Table and id of all that is on the server.
fn left(site: &Site) -> BTreeSet<(String, i64)> {
    let ids = |table: &&str| site.server.ids(table).into_iter().map(|id| (table.to_string(), id)).collect::<Vec<_>>();
    TABLES.iter().flat_map(ids).collect()
}

/// Accepted entries that are neither on the server nor in a raw file. No run is at work when this is called.
fn lost(site: &Site, accepted: &Accepted) -> Vec<String> {
    let (left, archived) = (left(site), texts(site));
    let nowhere = accepted.iter().filter(|(place, text)| !left.contains(place) && !archived.contains_key(*text));
    nowhere.map(|(_, text)| text.clone()).collect()
}

fn add(site: &Site, accepted: &mut Accepted, table: &str, id: i64) {
    let text = entry(id, &format!("{table} {id}"));
    accepted.insert((table.to_owned(), id), text.clone());
    site.server.add(table, id, &text);
}

/// The names of all places between two steps, from the source itself.
fn fault_points() -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut names = BTreeSet::new();
    for folder in ["pool", "tasks/export"] {
        for file in fs::read_dir(source.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                let text = fs::read_to_string(path).unwrap();
                names.extend(
                    text.split("fault::point(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()),
                );
            }
        }
    }
    names.into_iter().collect()
}

#[test]
fn each_step_may_be_the_last() {
    let names = fault_points();
    assert!(names.len() >= 14, "{names:?}");
    for (name, pass) in names.iter().map(|name| (name, 1)).chain([(&"delete-sent".to_owned(), 3)]) {
        let site = Site::new();
        let mut accepted = Accepted::new();
        (1..=5).for_each(|id| add(&site, &mut accepted, "OA", id));
        let output = site.mtdata(&["build"]).env("MTDATA_FAULT", format!("{name}:abort:{pass}")).output().unwrap();
        assert_eq!(output.status.code(), None, "{name} is not passed");
        assert_eq!(lost(&site, &accepted), [""; 0], "{name}");
        add(&site, &mut accepted, "OA", 6);
        site.build(0);
        assert_eq!(lost(&site, &accepted), [""; 0], "{name}");
        assert_eq!(site.server.ids("OA"), [0; 0], "{name}");
        // Nothing twice, nothing half, and the books are closed.
        assert!(texts(&site).values().all(|times| *times == 1), "{name}: {:?}", texts(&site));
        let ledger = site.ledger();
        let confirmed: BTreeSet<i64> =
            ledger.iter().filter(|(step, _)| step == "confirmed").map(|(_, id)| *id).collect();
        // Killed before the intent was recorded, the entries are deleted by the second run, else perhaps by the first.
        assert!(!confirmed.is_empty() && confirmed.contains(&6), "{name}: {ledger:?}");
        let names: Vec<_> =
            fs::read_dir(site.pool().join("raw_data")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name.to_string_lossy().starts_with('.')), "{name}: {names:?}");
        let again = site.build(0);
        assert_eq!((again.count("stored"), again.count("deleted"), again.tasks("failed")), (0, 0, 0), "{name}");
    }
}

/// `MTDATA_EXPORT_KILLS` asks for more than the usual number.
const KILLS: u64 = 60;

/// Entries that were not yet seen in a raw file. A raw file is read when it is new: it never changes, which is looked at
/// in the end.
#[derive(Default)]
struct Watch {
    files: BTreeSet<std::ffi::OsString>,
    archived: BTreeSet<(String, i64)>,
}

impl Watch {
    /// Entries that are nowhere; `accepted` is what the server had accepted before this is called.
    fn lost(&mut self, site: &Site, accepted: &Accepted) -> Vec<String> {
        let left = left(site);
        for file in fs::read_dir(site.pool().join("raw_data")).unwrap().map(Result::unwrap) {
            let (name, path) = (file.file_name(), file.path());
            if name.to_string_lossy().starts_with('.') || name == "benchMark.json" || !self.files.insert(name.clone()) {
                continue;
            }
            let table = name.to_string_lossy().split('_').next().unwrap().to_owned();
            let entries: Vec<Box<RawValue>> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            for entry in entries {
                let id = serde_json::from_str::<serde_json::Value>(entry.get()).unwrap()["id"].as_i64().unwrap();
                if accepted.get(&(table.clone(), id)).is_some_and(|text| text == entry.get()) {
                    self.archived.insert((table.clone(), id));
                }
            }
        }
        let nowhere = accepted.iter().filter(|(place, _)| !left.contains(place) && !self.archived.contains(place));
        nowhere.map(|(_, text)| text.clone()).collect()
    }
}

/// Whether the ledger's last line is one between intent and confirmation.
fn is_open(site: &Site) -> bool {
    let ledger = fs::read(site.pool().join("deletions.jsonl")).unwrap_or_default();
    let end = String::from_utf8_lossy(&ledger[ledger.len().saturating_sub(300)..]).into_owned();
    end.lines().last().is_some_and(|line| line.contains("\"intended\"") || line.contains("\"sent\""))
}

/// What the server does to deletions now and then.
const MOODS: [ServerFault; 4] =
    [ServerFault::DoneBut(500), ServerFault::Lie, ServerFault::Status(404), ServerFault::Reset(ResetMoment::Before)];

#[test]
fn killed_at_any_moment_while_entries_arrive() {
    let site = Arc::new(Site::new());
    let accepted = Arc::new(Mutex::new(Accepted::new()));
    let (stop, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let participants = std::thread::spawn({
        let (site, accepted, stop, newest) =
            (Arc::clone(&site), Arc::clone(&accepted), Arc::clone(&stop), Arc::clone(&newest));
        move || {
            while !stop.load(Ordering::Relaxed) {
                let id = newest.fetch_add(1, Ordering::Relaxed) + 1;
                let table = TABLES[usize::try_from(id).unwrap() % TABLES.len()];
                add(&site, &mut accepted.lock().unwrap(), table, id);
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    let kills = std::env::var("MTDATA_EXPORT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let (mut dice, mut watch) = (Dice(11), Watch::default());
    let (mut hit, mut open, mut whole) = (0, 0, 0);
    for round in 0..kills {
        if round % 20 == 0 {
            // How long a run takes now, whatever the load; it may meet the server's moods.
            let start = Instant::now();
            site.mtdata(&["build", "-q"]).output().unwrap();
            whole = u64::try_from(start.elapsed().as_micros()).unwrap();
        }
        // The server has its moods, too.
        if dice.below(3) == 0 {
            let mood = MOODS[usize::try_from(dice.below(4)).unwrap()].clone();
            site.server.plan("DELETE", "", mood, 2);
        }
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mtdata"));
        command.current_dir(site.root()).args(["build", "-q"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut victim = command.spawn().unwrap();
        std::thread::sleep(Duration::from_micros(dice.below(whole)));
        hit += u64::from(victim.try_wait().unwrap().is_none());
        victim.kill().unwrap();
        victim.wait().unwrap();
        let so_far = accepted.lock().unwrap().clone();
        assert_eq!(watch.lost(&site, &so_far), [""; 0], "round {round}");
        open += u64::from(is_open(&site));
    }
    stop.store(true, Ordering::Relaxed);
    participants.join().unwrap();
    site.server.heal();
    for _ in 0..3 {
        site.mtdata(&["build", "-q"]).output().unwrap();
    }
    site.build(0);
    let accepted = accepted.lock().unwrap();
    assert!(TABLES.iter().all(|table| site.server.ids(table).is_empty()));
    let archived = texts(&site);
    assert!(accepted.values().all(|text| archived.get(text) == Some(&1)), "an entry is archived twice or not at all");
    assert_eq!(archived.len(), accepted.len());
    assert!(hit * 3 > kills, "only {hit} of {kills} runs were still at work when they were killed");
    println!(
        "{kills} kills, {hit} of them in the middle of a run, {open} between intent and confirmation; {} entries \
         accepted, none lost",
        accepted.len()
    );
}

#[test]
fn what_cannot_be_read_back_deletes_nothing() {
    let site = Site::new();
    (1..=3).for_each(|id| site.server.add("OA", id, &entry(id, "a text long enough to be hit in the middle")));
    let output = site.mtdata(&["build"]).env("MTDATA_FAULT", "archive-durable:flip").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("read back differently from what was written; it was put aside in"), "{stderr}");
    assert!(stderr.contains("nothing was deleted on the server"), "{stderr}");
    assert_eq!((site.deletes(), site.raw().len(), site.ledger().len()), (0, 0, 0));
    assert!(fs::read_dir(site.pool().join("quarantine/answers")).unwrap().count() > 0);
    assert_eq!(site.build(0).count("deleted"), 3);
}

#[test]
fn an_altered_raw_file_of_the_same_size_is_no_proof() {
    let site = Site::new();
    site.configure("delete_mode = false\n");
    (1..=3).for_each(|id| site.server.add("OA", id, &entry(id, "answer")));
    assert_eq!(site.build(0).count("stored"), 3);
    let name = site.raw().keys().next().unwrap().clone();
    let path = site.pool().join("raw_data").join(&name);
    let text = fs::read_to_string(&path).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    fs::write(&path, text.replacen("answer", "anBwer", 1)).unwrap();
    site.configure("");
    let run = site.build(0);
    let told = warnings(&run);
    assert!(told.iter().any(|(code, what)| code == "raw_damaged" && what.contains(&name)), "{told:?}");
    // Archived again, and deleted on the strength of that alone.
    assert_eq!((run.count("stored"), run.count("deleted")), (3, 3));
    assert_eq!(site.raw().values().filter(|text| text.matches("\"answer\"").count() == 3).count(), 1);
}

#[test]
fn a_raw_file_that_vanished_is_told_and_archived_again_while_the_server_has_it() {
    let site = Site::new();
    site.configure("delete_mode = false\n");
    site.server.add("OA", 1, &entry(1, "x"));
    site.build(0);
    let name = site.raw().keys().next().unwrap().clone();
    fs::remove_file(site.pool().join("raw_data").join(&name)).unwrap();
    let run = site.build(0);
    let told = warnings(&run);
    assert!(told.iter().any(|(code, what)| code == "raw_missing" && what.contains(&name)), "{told:?}");
    assert_eq!((run.count("stored"), site.raw().len()), (1, 1));
}

/// The names that the next seconds would give are all taken, as by answers that came in the same second.
#[test]
fn answers_of_one_second_never_share_a_file() {
    let site = Site::new();
    let raw = site.pool().join("raw_data");
    fs::create_dir_all(&raw).unwrap();
    let now = chrono::Utc::now().with_timezone(&chrono_tz::America::New_York);
    for second in 0..120 {
        let name = (now + chrono::Duration::seconds(second)).format("OA_%Y-%m-%d_%H-%M-%S.json").to_string();
        fs::write(raw.join(name), format!("[{{\"id\":{}}}]", 1000 + second)).unwrap();
    }
    let before = site.raw();
    site.server.add("OA", 1, &entry(1, "x"));
    site.build(0);
    site.server.add("OA", 2, &entry(2, "y"));
    site.build(0);
    let after = site.raw();
    assert!(before.iter().all(|(name, text)| after.get(name) == Some(text)));
    let new: Vec<&String> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    assert!(new.len() == 2 && new.iter().all(|name| name.ends_with("-1.json") || name.ends_with("-2.json")), "{new:?}");
}

/// What stands half in the ledger would be told as damage for ever.
#[test]
fn a_disk_that_fills_while_deletions_are_recorded_leaves_no_half_line() {
    let site = Site::new();
    (1..=300).for_each(|id| site.server.add("OA", id, &entry(id, "x")));
    // The raw file fits into 32 KiB, the intents do not. The signal is ignored: such a write fails as on a full disk.
    let limited = "trap '' XFSZ; ulimit -f 32; exec \"$0\" build --json";
    let mut shell = Command::new("bash");
    shell.args(["-c", limited]).arg(assert_cmd::cargo::cargo_bin!("mtdata")).current_dir(site.root());
    let output = shell.output().unwrap();
    let run = Run::read(&output.stdout, &output.stderr);
    assert_eq!(output.status.code(), Some(1), "{}", run.stderr);
    assert!(failures(&run).contains("deletions.jsonl"), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((site.raw().len(), site.server.ids("OA").len(), site.deletes()), (1, 300, 0));
    let whole = |text: String| text.ends_with('\n') || text.is_empty();
    assert!(whole(fs::read_to_string(site.pool().join("deletions.jsonl")).unwrap()));

    assert_eq!(site.build(0).count("deleted"), 300);
    let recovered = site.mtdata(&["recover"]).output().unwrap();
    let told = String::from_utf8_lossy(&recovered.stdout).into_owned();
    assert!(!told.contains("deletions.jsonl") && recovered.status.success(), "{told}");
    for line in fs::read_to_string(site.pool().join("deletions.jsonl")).unwrap().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

/// Files of a clock that was wrong are in the future when it is put right.
#[test]
fn a_clock_that_was_put_back_loses_nothing() {
    let site = Site::new();
    let raw = site.pool().join("raw_data");
    fs::create_dir_all(&raw).unwrap();
    fs::write(raw.join("TaskLog_2099-01-01_00-00-00.json"), "[{\"id\":1}]").unwrap();
    fs::write(raw.join("OA_2099-01-01_00-00-00.json"), "[{\"id\":1}]").unwrap();
    fs::create_dir_all(site.pool().join(".archive")).unwrap();
    let notes = "{\"scale\":\"TaskLog\",\"full\":\"2099-01-01T00:00:00Z\",\"shortfall\":0,\"vanished\":0}";
    fs::write(site.pool().join(".archive/notes.jsonl"), notes).unwrap();
    for id in 2..5 {
        site.server.add("OA", id, &entry(id, "x"));
        site.server.add_dated(
            "TaskLog",
            id,
            (chrono::Utc::now() - chrono::Duration::days(9)).fixed_offset(),
            &entry(id, "x"),
        );
    }
    let run = site.build(0);
    assert_eq!((run.count("stored"), run.count("deleted")), (6, 3));
}

/// A copy of the binary in the site's folder, run by a user who has no more rights than the folders give.
fn as_somebody(site: &Site, arguments: &[&str]) -> Command {
    let own = site.root().join("mtdata-copy");
    if !own.exists() {
        fs::copy(assert_cmd::cargo::cargo_bin!("mtdata"), &own).unwrap();
    }
    let mut command = Command::new(&own);
    command.current_dir(site.root()).args(arguments).env("NO_COLOR", "1").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if rustix::process::geteuid().is_root() {
        let nobody = 65534;
        give_all(site.root(), nobody);
        command.uid(nobody).gid(nobody);
    }
    command
}

fn give_all(path: &Path, user: u32) {
    std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give_all(&entry.unwrap().path(), user);
        }
    }
}

fn allow(path: PathBuf, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_pool_that_cannot_be_written_fails_and_deletes_nothing() {
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "x"));
    assert!(as_somebody(&site, &["build"]).output().unwrap().status.success());
    site.server.add("OA", 2, &entry(2, "x"));
    let deletes = site.deletes();
    allow(site.pool().join("raw_data"), 0o500);
    let output = as_somebody(&site, &["build"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("raw_data") && stderr.contains("Permission denied"), "{stderr}");
    assert_eq!((site.deletes(), site.server.ids("OA")), (deletes, vec![2]));
    allow(site.pool().join("raw_data"), 0o700);
    // The ledger is as needed as the archive.
    allow(site.pool().join("deletions.jsonl"), 0o400);
    let output = as_somebody(&site, &["build"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((site.deletes(), site.server.ids("OA")), (deletes, vec![2]));
    allow(site.pool().join("deletions.jsonl"), 0o600);
    for (place, mode) in [("data", 0o500), ("data/.lock", 0o400), (".mtdata", 0o500)] {
        let before = fs::metadata(site.root().join(place)).unwrap().permissions();
        allow(site.root().join(place), mode);
        let output = as_somebody(&site, &["build"]).output().unwrap();
        // Where the run needs nothing of what is closed it goes on; else it says what is.
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || stderr.contains("Permission denied"), "{place}: {stderr}");
        allow(site.root().join(place), before.mode());
    }
    assert!(as_somebody(&site, &["build"]).output().unwrap().status.success());
    assert_eq!(site.server.ids("OA"), [0; 0]);
    assert_eq!(site.archived().len(), 2);
}

#[test]
fn permission_that_is_lost_in_the_middle_stops_the_deletion() {
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "x"));
    assert!(as_somebody(&site, &["build"]).output().unwrap().status.success());
    for (closed, mode) in [("raw_data", 0o500), ("deletions.jsonl", 0o400), (".archive", 0o500)] {
        let open = fs::metadata(site.pool().join(closed)).unwrap().permissions().mode();
        let id = i64::try_from(site.archived().len()).unwrap() + 1;
        site.server.add("OA", id, &entry(id, closed));
        let (deletes, asked) = (site.deletes(), site.server.requests().len());
        site.server.plan("GET", "export/OA", ServerFault::Delay(Duration::from_secs(2)), 1);
        let child = as_somebody(&site, &["build"]).spawn().unwrap();
        let start = Instant::now();
        while !site.server.requests()[asked..].iter().any(|request| request == "GET export/OA") {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
        allow(site.pool().join(closed), mode);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{closed}: {stderr}");
        assert!(stderr.contains("Permission denied") && stderr.contains("nothing was lost"), "{closed}: {stderr}");
        assert_eq!((site.deletes(), site.server.ids("OA")), (deletes, vec![id]), "{closed}");
        allow(site.pool().join(closed), open);
        assert!(as_somebody(&site, &["build"]).output().unwrap().status.success());
        assert_eq!(site.server.ids("OA"), [0; 0], "{closed}");
    }
    assert_eq!(site.archived().len(), 4);
}

#[test]
fn two_projects_on_one_pool_do_not_export_at_once() {
    let (site, other) = (Site::new(), Site::new());
    site.server.add("OA", 1, &entry(1, "x"));
    let pool = site.root().join("data");
    let text = fs::read_to_string(other.root().join("Pipeline.toml")).unwrap();
    let elsewhere = Site::new();
    other.write("Pipeline.toml", &text.replace("pool = \"data\"", &format!("pool = \"{}\"", pool.display())));
    // A pool of its own, but the server's folder is that of the first.
    elsewhere.configure(&format!("path = \"{}\"\n", site.pool().display()));
    site.build(0);
    site.server.plan("GET", "export", ServerFault::Delay(Duration::from_secs(4)), 1);
    let asked = site.server.requests().len();
    let mut first = Command::new(assert_cmd::cargo::cargo_bin!("mtdata"))
        .current_dir(site.root())
        .args(["build", "-q"])
        .spawn()
        .unwrap();
    while site.server.requests().len() == asked {
        std::thread::sleep(Duration::from_millis(5));
    }
    for project in [&other, &elsewhere] {
        let output = project.mtdata(&["build"]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(75), "{stderr}");
        assert!(stderr.contains("another run is at work here"), "{stderr}");
        assert_eq!(project.server.requests(), [""; 0]);
    }
    assert!(first.wait().unwrap().success());
    assert_eq!(elsewhere.mtdata(&["build", "-q"]).output().unwrap().status.code(), Some(0));
}

/// What a call of the system touched: its number in the trace, and its line.
fn first_of<'t>(trace: &[&'t str], from: usize, what: &str, is: impl Fn(&str) -> bool) -> (usize, &'t str) {
    let found = trace.iter().enumerate().skip(from).find(|(_, line)| is(line));
    let (place, line) = found.unwrap_or_else(|| panic!("no {what} after line {from}:\n{}", trace[from..].join("\n")));
    (place, line)
}

/// Calls in the order in which they ended, and requests in that in which they began: threads interrupt each other.
fn in_order(text: &str) -> String {
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut whole = Vec::new();
    for line in text.lines() {
        let (process, call) = line.split_once(' ').unwrap_or_default();
        if let Some(start) = call.strip_suffix("<unfinished ...>").filter(|start| !start.contains("DELETE /api/")) {
            begun.insert(process, start);
        } else if let Some((_, rest)) = call.split_once(" resumed>").filter(|_| call.trim_start().starts_with("<...")) {
            whole.push(format!("{process} {}{rest}", begun.remove(process).unwrap_or_default()));
        } else {
            whole.push(line.to_owned());
        }
    }
    whole.join("\n")
}

fn traced(site: &Site) -> String {
    let file = site.root().join("trace");
    let calls = "trace=openat,read,pread64,write,writev,fsync,fdatasync,linkat,rename,renameat2,sendto,sendmsg";
    let status = Command::new("strace")
        .args(["-f", "-y", "-s", "300", "-e", calls, "-o"])
        .arg(&file)
        .arg(assert_cmd::cargo::cargo_bin!("mtdata"))
        .args(["build", "-q"])
        .current_dir(site.root())
        .status()
        .expect("strace is installed");
    assert!(status.success() || status.code() == Some(1), "{status}");
    in_order(&fs::read_to_string(file).unwrap())
}

/// A kill cannot show a missing fsync; the order of the calls can.
#[test]
#[ignore = "needs strace; .ci/reliability runs it"]
fn a_deletion_is_sent_only_after_everything_is_durable() {
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "the very text"));
    let text = traced(&site);
    let trace: Vec<&str> = text.lines().collect();
    let in_raw = |line: &str| line.contains("/raw_data");
    let (at, _) =
        first_of(&trace, 0, "write of the body", |l| l.contains("write(") && in_raw(l) && l.contains("the very text"));
    let (at, _) = first_of(&trace, at, "fsync of the body", |l| l.contains("fsync(") && in_raw(l));
    let (at, _) =
        first_of(&trace, at, "name", |l| (l.contains("linkat(") || l.contains("rename")) && l.contains("raw_data/OA_"));
    let (at, _) = first_of(&trace, at, "fsync of the folder", |l| l.contains("fsync(") && l.contains("/raw_data>"));
    let (at, _) = first_of(&trace, at, "reading back", |l| {
        l.contains("read(") && l.contains("raw_data/OA_") && l.contains("the very text")
    });
    let (at, _) =
        first_of(&trace, at, "fsync of the server's folder", |l| l.contains("fsync(") && l.contains("/data/calm>"));
    let (at, _) = first_of(&trace, at, "intent", |l| {
        l.contains("write(") && l.contains("deletions.jsonl") && l.contains("intended")
    });
    let (at, _) = first_of(&trace, at, "fsync of the intent", |l| l.contains("sync(") && l.contains("deletions.jsonl"));
    let (sent, _) = first_of(&trace, at, "DELETE", |l| l.contains("DELETE /api/export/OA/1"));
    let deletes: Vec<usize> = (0..trace.len()).filter(|at| trace[*at].contains("DELETE /api/")).collect();
    assert_eq!(deletes, [sent]);
    let (at, _) = first_of(&trace, sent, "another look", |l| l.contains("GET /api/export/OA"));
    first_of(&trace, at, "confirmation", |l| {
        l.contains("write(") && l.contains("deletions.jsonl") && l.contains("confirmed")
    });
}

/// What a killed run named but did not sync is synced before anything is deleted on the strength of it.
#[test]
#[ignore = "needs strace; .ci/reliability runs it"]
fn what_a_killed_run_left_is_made_durable_before_it_counts() {
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "the very text"));
    let killed = site.mtdata(&["build", "-q"]).env("MTDATA_FAULT", "archive-named:abort").output().unwrap();
    assert_eq!(killed.status.code(), None);
    let text = traced(&site);
    let trace: Vec<&str> = text.lines().collect();
    let (at, _) = first_of(&trace, 0, "fsync of the file", |l| l.contains("fsync(") && l.contains("raw_data/OA_"));
    let (at, _) = first_of(&trace, at, "reading back", |l| {
        l.contains("read(") && l.contains("raw_data/OA_") && l.contains("the very text")
    });
    let (at, _) = first_of(&trace, at, "fsync of the folder", |l| l.contains("fsync(") && l.contains("/raw_data>"));
    let (sent, _) = first_of(&trace, at, "DELETE", |l| l.contains("DELETE /api/export/OA/1"));
    assert!(!trace[..sent].iter().any(|line| line.contains("linkat(")), "archived twice");
}

/// A disk that is full at every stage of the export.
#[test]
#[ignore = "mounts a small file system; .ci/reliability runs it"]
fn a_full_disk_stops_the_export_and_loses_nothing() {
    let site = Site::new();
    let mut accepted = Accepted::new();
    for id in 1..=300 {
        for table in TABLES {
            add(&site, &mut accepted, table, id);
        }
    }
    // The mount is seen by the script alone, so that it copies out what the pool holds at the end.
    let script = "mkdir -p data && mount -t tmpfs -o size=40k tmpfs data || exit 99\n\
        for size in 40 60 80 100 120 140 160 180 200 240 300; do\n\
        mount -o remount,size=${size}k data || exit 99\n\
        \"$MTDATA\" build >>out 2>&1; echo \"size $size: $?\" >>codes\n\
        done\n\
        mount -o remount,size=64m data; \"$MTDATA\" build >>out 2>&1; echo \"size enough: $?\" >>codes\n\
        mkdir kept && cp -a data/calm kept/";
    let mut command = Command::new("unshare");
    command.args(if rustix::process::geteuid().is_root() { &["-m"][..] } else { &["-rm"][..] });
    command.args(["sh", "-c", script]).current_dir(site.root());
    command.env("MTDATA", assert_cmd::cargo::cargo_bin!("mtdata")).env("NO_COLOR", "1");
    let status = command.status().unwrap();
    let (out, codes) = (
        fs::read_to_string(site.root().join("out")).unwrap_or_default(),
        fs::read_to_string(site.root().join("codes")).unwrap_or_default(),
    );
    assert!(status.success(), "{status}: {codes}\n{out}");
    assert!(out.contains("No space left on device") && codes.contains("size enough: 0"), "{codes}\n{out}");
    fs::remove_dir_all(site.root().join("data")).unwrap();
    fs::rename(site.root().join("kept"), site.root().join("data")).unwrap();
    assert_eq!(lost(&site, &accepted), [""; 0], "{codes}");
    assert!(TABLES.iter().all(|table| site.server.ids(table).is_empty()), "{codes}");
    println!("{codes}");
}

/// The clock itself steps: to yesterday, and back again.
#[test]
#[ignore = "needs faketime; .ci/reliability runs it"]
fn a_clock_that_steps_loses_nothing() {
    let site = Site::new();
    let mut accepted = Accepted::new();
    for (id, offset) in (1..).zip(["+0", "-1d", "+400d", "-1d", "+0", "-3h"]) {
        add(&site, &mut accepted, "OA", id);
        site.server.add("TaskLog", id, &entry(id, "log"));
        let output = Command::new("faketime")
            .args(["-f", offset])
            .arg(assert_cmd::cargo::cargo_bin!("mtdata"))
            .args(["build", "-q"])
            .current_dir(site.root())
            .output()
            .expect("faketime is installed");
        assert!(output.status.success(), "{offset}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(site.server.ids("OA"), [0; 0], "{offset}");
        assert_eq!(lost(&site, &accepted), [""; 0], "{offset}");
    }
    let logs: BTreeSet<_> = site.archived().into_iter().filter(|(table, _)| table == "TaskLog").collect();
    assert_eq!(logs.len(), 6);
    assert_eq!(failures(&site.build(0)), "");
}

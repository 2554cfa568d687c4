//! Exporting against `curl --parallel` on the same server, and the memory that a huge answer takes.
//!
//! `cargo bench --bench export` prints ratios of alternating rounds; it needs curl. `-- download`, `-- delete`, `-- memory`
//! and `-- hashes` measure one of them. The server stands in this process and answers both sides alike.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use mtdata::parts::{DemoServer, DemoTable, Identities, Identity, ServerFault, Synthetic};

const ROUNDS: usize = 7;
const PASSWORD: &str = "a-password-for-loopback";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn table(deleteable: bool, entries: i64) -> DemoTable {
    let moment = Utc::now().fixed_offset();
    let entry = |id: i64| {
        let answers: String = (1..=12).fold(String::new(), |mut text, item| {
            // Writing to a String cannot fail.
            let _ = write!(text, "\"item{item}\":{},", (id + item) % 5);
            text
        });
        let head = format!("\"id\":{id},\"participant\":{},\"session\":\"firstSession\"", id % 300);
        let date = "\"date\":\"Tue, 25 Aug 2015 08:54:35 -0500\"";
        (id, moment, format!("{{{head},{answers}{date},\"tag\":null,\"timeOnPage\":12.345}}").into_bytes())
    };
    DemoTable { deleteable, honours_after: true, entries: (1..=entries).map(entry).collect() }
}

fn serve(tables: usize, deleteable: bool, entries: i64) -> Outcome<DemoServer> {
    let tables = (0..tables).map(|number| (format!("Scale{number:02}"), table(deleteable, entries))).collect();
    Ok(DemoServer::start(Synthetic { tables, schedule: b"[]".to_vec() }, "admin", PASSWORD, 0)?)
}

fn write_project(root: &Path, server: &DemoServer, delete_mode: bool) -> Outcome<()> {
    fs::write(
        root.join("Pipeline.toml"),
        "default = [\"export\"]\n[data]\npool = \"data\"\nservers = \"servers.toml\"\n[groups]\nnetwork = 8\n\
         [task.export]\naction = \"export\"\neach = [\"server\", \"scale\"]\nscales = \"all\"\ngroup = \"network\"\n",
    )?;
    fs::write(
        root.join("servers.toml"),
        format!(
            "[calm]\nready = true\ndelete_mode = {delete_mode}\nurl = \"{}\"\nuser = \"admin\"\n\
             password = {{ file = \"password\" }}\ntimezone = \"America/New_York\"\n",
            server.url()
        ),
    )?;
    fs::write(root.join("password"), PASSWORD)?;
    Ok(fs::set_permissions(root.join("password"), fs::Permissions::from_mode(0o600))?)
}

fn mtdata(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mtdata"));
    command.current_dir(root).args(["build", "-q"]).stdin(Stdio::null());
    command
}

fn timed(command: &mut Command) -> Outcome<Duration> {
    let start = Instant::now();
    let status = command.status()?;
    let took = start.elapsed();
    if status.success() { Ok(took) } else { Err(format!("{command:?}: {status}").into()) }
}

/// What curl does with the bodies.
#[derive(Clone, Copy)]
enum Bodies {
    Dropped,
    /// A file each, neither durable nor checked.
    Stored,
}

/// curl for many addresses of one kind, with connections used again.
fn curl(
    root: &Path,
    parallel: usize,
    method: &str,
    bodies: Bodies,
    urls: impl Iterator<Item = String>,
) -> Outcome<Command> {
    let lines: String = urls.enumerate().fold(String::new(), |mut text, (number, url)| {
        let output = match bodies {
            Bodies::Dropped => "/dev/null".to_owned(),
            Bodies::Stored => format!("body{number}"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "url = \"{url}\"\noutput = \"{output}\"");
        text
    });
    fs::write(root.join("urls"), lines)?;
    let mut command = Command::new("curl");
    command.current_dir(root).args([
        "--parallel",
        "--parallel-max",
        &parallel.to_string(),
        "--no-progress-meter",
        "--fail",
    ]);
    command.args(["--request", method, "--user", &format!("admin:{PASSWORD}"), "--config", "urls"]);
    Ok(command)
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn seconds(all: &[Duration]) -> f64 {
    middle(all.iter().map(Duration::as_secs_f64).collect())
}

/// 60 tables of 1,000 entries.
fn download() -> Outcome<()> {
    let server = serve(60, false, 1000)?;
    // A pool of its own for each round, removed at the end: ext4 searches long for the inodes of new files where many were
    // removed within the last minute, and no lab does that.
    let roots = (0..=ROUNDS).map(|_| tempfile::tempdir()).collect::<Result<Vec<_>, _>>()?;
    let urls = || (0..60).map(|number| format!("{}export/Scale{number:02}", server.url()));
    let (mut ours, mut dropped, mut stored) = (Vec::new(), Vec::new(), Vec::new());
    for root in &roots {
        write_project(root.path(), &server, false)?;
        dropped.push(timed(&mut curl(root.path(), 50, "GET", Bodies::Dropped, urls())?)?);
        stored.push(timed(&mut curl(root.path(), 50, "GET", Bodies::Stored, urls())?)?);
        ours.push(timed(&mut mtdata(root.path()))?);
    }
    // The first round warms up.
    let (ours, dropped, stored) = (seconds(&ours[1..]), seconds(&dropped[1..]), seconds(&stored[1..]));
    println!(
        "download: mtdata {ours:.3} s; curl into files {stored:.3} s, ratio {:.2}; curl that drops what comes {dropped:.3} s, \
         ratio {:.2} (limit 3)",
        ours / stored,
        ours / dropped
    );
    Ok(())
}

/// From the first intent that the ledger holds to the last answer: what the DELETEs took, archiving beside them included.
fn deleting(root: &Path) -> Outcome<Duration> {
    let ledger = fs::read_to_string(root.join("data/calm/deletions.jsonl"))?;
    let at = |line: &str| -> Option<DateTime<Utc>> {
        serde_json::from_str::<serde_json::Value>(line).ok()?["at"].as_str()?.parse().ok()
    };
    let first = ledger.lines().find(|line| line.contains("\"intended\"")).and_then(at);
    let last = ledger.lines().filter(|line| line.contains("\"sent\"")).filter_map(at).max();
    Ok((last.ok_or("nothing was sent")? - first.ok_or("nothing was intended")?).to_std()?)
}

/// 10,000 entries of 10 tables: all of an export, with archive, ledger and confirmation, against the deletions alone.
fn delete() -> Outcome<()> {
    let mut ours = Vec::new();
    let (mut phases, mut curls) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let root = tempfile::tempdir()?;
        let server = serve(10, true, 1000)?;
        write_project(root.path(), &server, true)?;
        ours.push(timed(&mut mtdata(root.path()))?);
        phases.push(deleting(root.path())?);
        let deleted = server.requests().iter().filter(|request| request.starts_with("DELETE")).count();
        assert_eq!((deleted, server.ids("Scale00").len()), (10_000, 0));
        let server = serve(10, true, 1000)?;
        let urls = (0..10_000).map(|n| format!("{}export/Scale{:02}/{}", server.url(), n / 1000, n % 1000 + 1));
        // As many connections as mtdata has, and curl's own number.
        let parallel = if round % 2 == 0 { 8 } else { 50 };
        let took = timed(&mut curl(root.path(), parallel, "DELETE", Bodies::Dropped, urls)?)?;
        assert_eq!(server.ids("Scale00").len(), 0);
        curls.push((parallel, took));
    }
    let of =
        |parallel| seconds(&curls.iter().filter(|(p, _)| *p == parallel).map(|(_, took)| *took).collect::<Vec<_>>());
    let (ours, best) = (seconds(&ours), of(8).min(of(50)));
    println!(
        "delete: mtdata {:.0} a second, {:.0} from the first intent to the last answer, curl {:.0} with 8 connections and \
         {:.0} with 50, ratio {:.2} of the whole export, {:.2} of the deleting (limit 0.80)",
        10_000.0 / ours,
        10_000.0 / seconds(&phases),
        10_000.0 / of(8),
        10_000.0 / of(50),
        best / ours,
        best / seconds(&phases)
    );
    Ok(())
}

/// In KiB, the most that the process ever held.
fn peak(child: &mut Child) -> Outcome<u64> {
    let mut most = 0;
    while child.try_wait()?.is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(most);
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(most)
}

/// An answer of 1 GiB in entries of 4 KiB, when all of it is new and when all of it is archived already.
fn memory() -> Outcome<()> {
    const ENTRIES: u64 = 1 << 18;
    let server = serve(1, false, 1)?;
    let root = tempfile::tempdir()?;
    write_project(root.path(), &server, false)?;
    let limit = 64.0 + (40 * ENTRIES) as f64 / f64::from(1 << 20);
    for what in ["new", "held"] {
        drop(fs::remove_file(root.path().join("data/calm/.archive/notes.jsonl")));
        server.plan("GET", "export/Scale00", ServerFault::Endless { entries: ENTRIES, size: 4096 }, 1);
        let start = Instant::now();
        let mut child = mtdata(root.path()).spawn()?;
        let peak = peak(&mut child)? as f64 / 1024.0;
        assert!(child.wait()?.success());
        println!(
            "memory: 1 GiB in {ENTRIES} entries, all {what}: peak {peak:.0} MiB (limit {limit:.0}), {:.1} s",
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// The hashes of a download's entries, together and one by one.
fn hashes() {
    let entries = table(false, 60_000).entries;
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let one_by_one: Vec<Identity> = entries.iter().map(|(id, _, bytes)| Identity::of(Some(*id), bytes)).collect();
        alone.push(start.elapsed());
        let start = Instant::now();
        let mut identities = Identities::with_capacity(entries.len());
        for (id, _, bytes) in &entries {
            identities.add(Some(*id), bytes);
        }
        assert_eq!(identities.finish(), one_by_one);
        together.push(start.elapsed());
    }
    let (together, alone) = (seconds(&together), seconds(&alone));
    println!(
        "hashes: 60,000 entries of {} bytes together {:.1} ms, one by one {:.1} ms, ratio {:.2}",
        entries[999].2.len(),
        together * 1000.0,
        alone * 1000.0,
        together / alone
    );
}

fn main() -> Outcome<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    if is_wanted("download") {
        download()?;
    }
    if is_wanted("delete") {
        delete()?;
    }
    if is_wanted("memory") {
        memory()?;
    }
    if is_wanted("hashes") {
        hashes();
    }
    Ok(())
}

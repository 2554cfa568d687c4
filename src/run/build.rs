//! One run from beginning to end: the locks, the state, the schedule, and what is told afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::Project;
use crate::disk::atomic;
use crate::pages;
use crate::pool::paths::ServerFolder;
use crate::run::events::{Event, EventWriter, RunOutcome, run_id};
use crate::run::home::{home, runs_folder};
use crate::run::lock::{Lock, Refused};
use crate::run::logs;
use crate::run::request::Request;
use crate::run::schedule::Scheduler;
use crate::run::signals::Signals;
use crate::run::summary::{Refusal, Summary};
use crate::run::teller::Teller;
use crate::run::{alarm, facts, history, prune, sharing};
use crate::state::Store;
use crate::task::TaskSet;

/// In bytes; a state from this size on is read with huge pages. That of 10,000 raw files has some seven megabytes.
const LARGE_STATE: u64 = 1 << 20;

/// Brings the requested targets up to date.
///
/// # Errors
/// [`Refusal`]: nothing was run.
pub fn build(project: &Project, tasks: &TaskSet, request: &Request) -> Result<Summary, Refusal> {
    let result = hold(project, request.wait).and_then(|lock| {
        let summary = carry_out(project, tasks, request, &lock)?;
        lock.release();
        Ok(summary)
    });
    if let Err(Refusal::Io(path, error)) = &result {
        alarm::no_run(project, path, error);
    }
    result
}

/// Takes the locks of a run.
///
/// # Errors
/// [`Refusal`]: nothing may be written.
pub fn hold(project: &Project, wait: Duration) -> Result<Lock, Refusal> {
    let (home, pool) = (home(project), project.pool());
    let make = |folder: &Path, mode| atomic::create_folder(folder, mode).map_err(|e| Refusal::Io(folder.to_owned(), e));
    make(&runs_folder(project), atomic::PRIVATE)?;
    make(&pool, atomic::SHARED)?;
    let locks = [home.join("lock"), pool.join(".lock")];
    let folders = project.servers.values().map(|server| server.path.as_path());
    Lock::take(&locks, folders, wait).map_err(|refused| match refused {
        Refused::Held(holder) => Refusal::Locked(holder),
        Refused::Elsewhere(path, holder) => Refusal::Io(path.clone(), elsewhere(&path, &holder)),
        Refused::Io(path, error) => Refusal::Io(path, error),
    })
}

/// As [`build`], under locks that the caller has taken and gives back.
///
/// # Errors
/// [`Refusal`]: nothing was run.
pub fn carry_out(project: &Project, tasks: &TaskSet, request: &Request, lock: &Lock) -> Result<Summary, Refusal> {
    let start = Instant::now();
    let (runs, pool, state) = (runs_folder(project), project.pool(), home(project).join("state"));
    let failed = |error| Refusal::Io(state.clone(), error);
    if lock.after_kill {
        sweep(project);
    }
    if fs::metadata(&state).is_ok_and(|state| state.len() >= LARGE_STATE) {
        pages::usual();
    }
    let (store, mut facts) = std::thread::scope(|scope| {
        let store = scope.spawn(|| Store::read(&state));
        let facts = facts::look(project);
        (store.join(), facts)
    });
    let mut store = store.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(failed)?;
    if request.pool_only {
        facts::close_to_the_network(&mut facts);
        store.distrust();
    }
    store.open_for_writing(&state).map_err(failed)?;
    let signals = Signals::watch().map_err(|error| Refusal::Io(PathBuf::from("signal handlers"), error))?;
    let id = run_id();
    let events = EventWriter::new(&id, &runs, request.json).map_err(|error| Refusal::Io(runs.clone(), error))?;
    let mut teller = Teller::new(events, request);
    let log = logs::start(&pool, &project.pipeline.logs, request.log_json);
    let span = tracing::info_span!("run", run = %id).entered();
    if let Err(error) = &log {
        teller.note(&format!("no log is written, {}: {error}", pool.join("logs").display()));
    }
    if store.is_damaged() {
        teller.note(
            "the state in .mtdata was damaged and is cut to its sound part; what it no longer knows is built again",
        );
    }
    let targets = request.targets.iter().map(|target| target.text.clone()).collect();
    for finding in &request.findings {
        tracing::error!("{finding}");
    }
    teller.event(&Event::RunStarted { targets, version: env!("CARGO_PKG_VERSION"), pid: std::process::id() });
    let mut scheduler = Scheduler::new(project, tasks, request, &id, facts, store, teller, start);
    let mut summary = scheduler.run(&signals);
    if request.prune && summary.outcome == RunOutcome::Ok {
        prune::remove(project, &mut scheduler);
    }
    for trouble in sharing::share(project) {
        scheduler.teller.note(&trouble);
    }
    summary.took = start.elapsed();
    alarm::tell(project, &mut scheduler, &mut summary);
    scheduler.finish(&mut summary).map_err(failed)?;
    drop(span);
    if let Some(trouble) = log.as_ref().ok().and_then(logs::Guard::trouble) {
        scheduler.teller.note(&format!("lines of the log are lost: {trouble}"));
    }
    if let Some(path) = &request.trace {
        scheduler.trace.write(path).map_err(|error| Refusal::Io(path.clone(), error))?;
    }
    history::sweep(&runs, project.pipeline.logs.keep_runs);
    scheduler.retire();
    Ok(summary)
}

/// Why a pool that another host uses, too, is left alone.
fn elsewhere(path: &Path, holder: &str) -> std::io::Error {
    std::io::Error::other(format!(
        "this folder is on a network file system and a run of another host ({holder}) has not ended; several hosts on \
         one pool are not supported, since such a file system does not keep them apart reliably. If that run is no \
         longer at work, remove {}",
        path.display()
    ))
}

/// Removes the temporary files of a run that was killed.
fn sweep(project: &Project) {
    for server in project.servers.values() {
        let folder = ServerFolder::new(&server.path);
        let folders = [
            folder.path().to_owned(),
            folder.raw(),
            folder.active(),
            folder.quarantine(),
            folder.answers(),
            folder.combined(),
            folder.scored(),
            folder.wide(),
            folder.reports(),
            folder.study(),
            folder.plain(),
            folder.index(),
        ];
        for entry in folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(atomic::TEMPORARY_PREFIX) {
                // What stays is hidden and never read.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

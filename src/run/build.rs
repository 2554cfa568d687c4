//! One run from beginning to end: the locks, the state, the schedule, and what is told afterwards.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::config::Project;
use crate::logging;
use crate::pool::atomic;
use crate::pool::paths::ServerFolder;
use crate::run::events::{Event, EventWriter, RunOutcome, run_id};
use crate::run::home::{home, runs_folder};
use crate::run::lock::{Lock, Refused};
use crate::run::request::Request;
use crate::run::schedule::Scheduler;
use crate::run::signals::Signals;
use crate::run::summary::{Refusal, Summary};
use crate::run::teller::Teller;
use crate::run::{alarm, facts, history, prune};
use crate::state::Store;
use crate::tasks::Tasks;

/// Brings the requested targets up to date.
///
/// # Errors
/// [`Refusal`]: nothing was run.
pub fn build(project: &Project, tasks: &Tasks, request: &Request) -> Result<Summary, Refusal> {
    let result = carry_out(project, tasks, request);
    if let Err(Refusal::Io(path, error)) = &result {
        alarm::no_run(project, path, error);
    }
    result
}

fn carry_out(project: &Project, tasks: &Tasks, request: &Request) -> Result<Summary, Refusal> {
    let start = Instant::now();
    let (home, runs, pool) = (home(project), runs_folder(project), project.pool());
    let make = |folder: &Path, mode| atomic::create_folder(folder, mode).map_err(|e| Refusal::Io(folder.to_owned(), e));
    make(&runs, atomic::PRIVATE)?;
    make(&pool, atomic::SHARED)?;
    let locks = [home.join("lock"), pool.join(".lock")];
    let lock = Lock::take(&locks, request.wait).map_err(|refused| match refused {
        Refused::Held(holder) => Refusal::Locked(holder),
        Refused::Io(path, error) => Refusal::Io(path, error),
    })?;
    let state = home.join("state");
    let failed = |error| Refusal::Io(state.clone(), error);
    if lock.after_kill {
        sweep(project);
    }
    let (store, facts) = std::thread::scope(|scope| {
        let store = scope.spawn(|| Store::read(&state));
        let facts = facts::look(project);
        (store.join(), facts)
    });
    let mut store = store.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(failed)?;
    store.open_for_writing(&state).map_err(failed)?;
    let signals = Signals::watch().map_err(|error| Refusal::Io(PathBuf::from("signal handlers"), error))?;
    let id = run_id();
    let events = EventWriter::new(&id, &runs, request.json).map_err(|error| Refusal::Io(runs.clone(), error))?;
    let mut teller = Teller::new(events, request);
    let log = logging::start(&pool, &project.pipeline.logs, request.log_json);
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
    teller.event(&Event::RunStarted { targets, version: env!("CARGO_PKG_VERSION"), pid: std::process::id() });
    let mut scheduler = Scheduler::new(project, tasks, request, &id, facts, store, teller, start);
    let mut summary = scheduler.run(&signals);
    if request.prune && summary.outcome == RunOutcome::Ok {
        prune::remove(project, &mut scheduler);
    }
    summary.took = start.elapsed();
    alarm::tell(project, &mut scheduler, &mut summary);
    scheduler.finish(&mut summary).map_err(failed)?;
    drop(span);
    if let Some(trouble) = log.as_ref().ok().and_then(logging::Guard::trouble) {
        scheduler.teller.note(&format!("lines of the log are lost: {trouble}"));
    }
    if let Some(path) = &request.trace {
        scheduler.trace.write(path).map_err(|error| Refusal::Io(path.clone(), error))?;
    }
    history::sweep(&runs, project.pipeline.logs.keep_runs);
    lock.release();
    scheduler.retire();
    Ok(summary)
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

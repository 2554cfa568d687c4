//! A recovery: the raw archive is audited, its records are mended, and the ordinary graph makes again what was lost.
//!
//! It holds the locks of a run from the first look to the last page, asks no server, and changes no raw file. What it
//! finds lost stays told: the records of what was archived are only ever added to, so every later recovery says it too.

pub mod page;
mod server_recovery;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::Project;
use crate::config::pipeline::Action;
use crate::config::servers::Server;
use crate::disk::content::Content;
use crate::plan::Target;
use crate::pool::audit::{Audit, Witness};
use crate::pool::history::History;
use crate::pool::ledger;
use crate::pool::paths::{ServerFolder, raw_name};
use crate::recovery::page::Recovery;
use crate::recovery::server_recovery::ServerRecovery;
use crate::run::build::{carry_out, hold};
use crate::run::facts::{self, project_path};
use crate::run::home::{home, read_state};
use crate::run::preview::preview;
use crate::run::request::{Loudness, Request};
use crate::run::summary::{Refusal, Summary};
use crate::run::verification::differences;
use crate::state::Store;
use crate::study::name::{ScaleName, ServerName};
use crate::task::TaskSet;

/// What a recovery is about.
#[derive(Debug)]
pub struct Scope {
    pub servers: Vec<ServerName>,
    /// Of one scale, its raw files, tables and what stands on them; else of all.
    pub scale: Option<ScaleName>,
    pub wait: Duration,
    pub loudness: Loudness,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    pub summary: Summary,
    /// Each with the page that tells it.
    pub servers: Vec<(Recovery, PathBuf)>,
}

/// Every scale that a server's folder has any trace of.
pub fn known_scales(project: &Project, server: &Server) -> io::Result<BTreeSet<ScaleName>> {
    let folder = ServerFolder::new(&server.path);
    let mut scales: BTreeSet<ScaleName> = facts::look_at(project, server).scales.into_keys().collect();
    scales.extend(History::scales(&folder)?);
    scales.extend(ledger::scales(&folder)?);
    Ok(scales)
}

/// Audits, mends, makes again, and writes a page for each server.
///
/// # Errors
/// [`Refusal`]: nothing was made.
pub fn recover(project: &Project, tasks: &TaskSet, scope: &Scope) -> Result<Outcome, Refusal> {
    let lock = hold(project, scope.wait)?;
    let state = home(project).join("state");
    let of_state = |error| Refusal::Io(state.clone(), error);
    let store = read_state(project).map_err(of_state)?;
    let mut found = Vec::new();
    for server in scope.servers.iter().filter_map(|name| project.servers.get(name)) {
        let failed = |error| Refusal::Io(server.path.clone(), error);
        let audit =
            Audit::of(&ServerFolder::new(&server.path), scope.scale.as_ref(), &witness(project, server, &store));
        let ledger = recorded_ledger(project, server, &store);
        found.push(ServerRecovery::new(server, scope.scale.as_ref(), audit.map_err(failed)?, ledger).map_err(failed)?);
    }
    let targets = targets(project, scope);
    let before = preview(project, tasks, &targets, false, false).map_err(of_state)?;
    let (lost_tables, _) = differences(project, &before, &targets, false);
    forget_combined(project, &found, store).map_err(of_state)?;
    let findings = found.iter().flat_map(ServerRecovery::log_lines).collect();
    let request = Request { targets, pool_only: true, loudness: scope.loudness, findings, ..Request::default() };
    let summary = carry_out(project, tasks, &request, &lock)?;
    let after = read_state(project).map_err(of_state)?;
    let mut servers = Vec::new();
    for one in found {
        let failed = |error| Refusal::Io(one.server.path.clone(), error);
        let recovery = one.told(project, &before, &lost_tables, &after).map_err(failed)?;
        let page = recovery.write(&ServerFolder::new(&one.server.path).reports()).map_err(failed)?;
        servers.push((recovery, page));
    }
    lock.release();
    Ok(Outcome { summary, servers })
}

/// Everything that is made for these servers, or of this scale and what stands on it.
fn targets(project: &Project, scope: &Scope) -> Vec<Target> {
    let tasks = project.pipeline.tasks.iter().filter(|task| task.each.server && task.action != Action::Export);
    let texts = tasks.flat_map(|task| {
        scope.servers.iter().map(move |server| match &scope.scale {
            Some(scale) if task.each.scale => format!("{}/{server}/{scale}", task.name),
            _ => format!("{}/{server}", task.name),
        })
    });
    texts.filter_map(|text| Target::parse(&text)).collect()
}

/// The hashes of raw files as decodings recorded them.
fn witness(project: &Project, server: &Server, store: &Store) -> Witness {
    let raw = project_path(&project.pipeline.root, &ServerFolder::new(&server.path).raw());
    let mut seen = Witness::new();
    for (path, content) in store.manifests().flat_map(|(_, manifest)| &manifest.inputs) {
        let name = store.names.text(*path).strip_prefix(&raw).and_then(|rest| rest.strip_prefix('/'));
        if let Some(name) = name.filter(|name| raw_name(name).is_some() && !content.is_absent()) {
            seen.insert(name.to_owned(), *content.bytes());
        }
    }
    seen
}

/// The ledger of deletions as the last report read it.
fn recorded_ledger(project: &Project, server: &Server, store: &Store) -> Option<Content> {
    let path = project_path(&project.pipeline.root, &ServerFolder::new(&server.path).deletions());
    let path = store.names.find(&path)?;
    let newest = store.manifests().filter(|(_, manifest)| manifest.inputs.iter().any(|(input, _)| *input == path));
    let (_, newest) = newest.max_by_key(|(_, manifest)| manifest.finished)?;
    newest.inputs.iter().find(|(input, content)| *input == path && !content.is_absent()).map(|(_, content)| *content)
}

/// Which raw file an entry was first seen in is no input of a combined table: where that record was mended, the table is
/// made again.
fn forget_combined(project: &Project, found: &[ServerRecovery<'_>], mut store: Store) -> io::Result<()> {
    let combines = project.pipeline.tasks.iter().filter(|task| task.action == Action::Combine);
    let mended: Vec<String> = combines
        .flat_map(|task| {
            let of_server = move |one: &ServerRecovery<'_>| {
                let (name, server) = (task.name.clone(), one.server.name.clone());
                one.mended.iter().map(|scale| format!("{name}/{server}/{scale}")).collect::<Vec<_>>()
            };
            found.iter().flat_map(of_server)
        })
        .collect();
    if mended.is_empty() {
        return Ok(());
    }
    store.open_for_writing(&home(project).join("state"))?;
    for target in mended {
        if let Some(target) = store.names.find(&target) {
            store.forget(target)?;
        }
    }
    store.close()
}

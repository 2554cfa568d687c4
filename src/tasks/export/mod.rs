//! Export: ask, archive durably, and only then delete what is proven to be safe.

mod connection;
mod context;
mod deletion;
mod schedule;
mod trip;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use crate::cancel::Cancel;
use crate::client::server::StudyServer;
use crate::code::Code;
use crate::config::Project;
use crate::config::secret;
use crate::config::servers::{Server, Servers};
use crate::failure::Failure;
use crate::pool::benchmark::{self, Mark};
use crate::pool::index::Index;
use crate::pool::ledger;
use crate::pool::paths::{ServerFolder, raw_name};
use crate::retry::RetryPolicy;
use crate::study::listing::{Listed, Listing};
use crate::study::name::{ScaleName, ServerName};
use crate::task::{Axes, Declaration, Done, Facts, Lister, Task, Voice, Warning, Work};
use crate::tasks::export::connection::ServerConnection;
use crate::tasks::export::context::{Collected, RequestContext};
use crate::tasks::export::trip::Trip;

/// The exports of all servers.
pub struct ExportTask {
    servers: Arc<Servers>,
    connections: BTreeMap<ServerName, ServerConnection>,
}

impl ExportTask {
    pub fn new(project: &Project) -> Self {
        let connections =
            project.servers.iter().map(|(name, server)| (name.clone(), ServerConnection::to(server))).collect();
        Self { servers: Arc::clone(&project.servers), connections }
    }

    fn server(&self, name: &ServerName) -> Result<(&Server, &ServerConnection, &StudyServer), Failure> {
        let unknown = || Failure::new(Code::Internal, format!("there is no server {name}"));
        let server = self.servers.get(name).ok_or_else(unknown)?;
        let connection = self.connections.get(name).ok_or_else(unknown)?;
        let client = connection.client.get_or_init(|| {
            let password = match &server.password {
                Some(secret) => secret::reveal(secret)?,
                None => String::new().into(),
            };
            StudyServer::new(&server.url, server.user.clone(), password, server.max_answer)
        });
        Ok((server, connection, client.as_ref().map_err(Clone::clone)?))
    }

    fn listed(&self, name: &ServerName, context: RequestContext<'_>) -> Result<Vec<Listed>, Failure> {
        let (server, connection, client) = self.server(name)?;
        let Listing { tables, strange } = client.listing(context.policy, context.cancel)?;
        for message in strange {
            context.voice.warn(Warning::new(Code::StrangeTable, message));
        }
        let folder = ServerFolder::new(&server.path);
        ledger::reopen(&folder).map_err(|error| Failure::read(&folder.deletions(), error))?;
        if benchmark::is_lost(&folder) {
            recompute_marks(&folder, &tables, context.voice)?;
        }
        refresh_marks(&folder, &tables).map_err(|error| Failure::write(&benchmark::path(&folder), error))?;
        // Where something is exported, that goes on beside it.
        if !schedule::is_kept(&folder) && tables.iter().all(|table| table.size == 0) {
            connection.keep_schedule(server, client, context);
        }
        let waits = |scale: &ScaleName| ledger::is_open(&folder, scale) || connection.notes.of(scale).pending > 0;
        for table in tables.iter().filter(|table| table.size == 0 && waits(&table.name)) {
            let mut trip = Trip::new(server, connection, client, &table.name, &folder, context);
            if let Err(failure) = trip.close_open_intents() {
                let message = format!("deletions of {} could not be looked after: {failure}", table.name);
                context.voice.warn(Warning::new(Code::DeletionsOpen, message));
            }
        }
        Ok(tables)
    }

    fn export(&self, work: &Work<'_>, name: &ServerName, scale: &ScaleName) -> Result<Done, Failure> {
        let (server, connection, client) = self.server(name)?;
        let context = RequestContext { policy: work.policy, cancel: work.cancel, voice: work.voice };
        connection.keep_schedule(server, client, context);
        let folder = ServerFolder::new(&server.path);
        let mut trip = Trip::new(server, connection, client, scale, &folder, context);
        if let Some(facts) = work.facts.servers.get(name).and_then(|seen| seen.scales.get(scale)) {
            trip.deleteable = facts.deleteable.unwrap_or_default();
            trip.listed = facts.listed;
        }
        let under_way = connection.marks.join();
        let unfinished = trip.go();
        let marked = under_way.leave(&folder).map_err(|error| Failure::write(&benchmark::path(&folder), error));
        let unfinished = unfinished.and_then(|unfinished| marked.map(|()| unfinished));
        let unfinished = unfinished.map_err(|failure| failure.after(trip.counts.clone()))?;
        Ok(Done { counts: trip.counts, written: trip.written, unfinished, ..Done::default() })
    }
}

/// Beside the listing this sees to what belongs to a server as a whole: marks that were lost, deletions that a killed run
/// left without an end, the first copy of the schedule.
impl Lister for ExportTask {
    fn list(
        &self,
        name: &ServerName,
        policy: RetryPolicy,
        cancel: &Cancel,
    ) -> (Result<Vec<Listed>, Failure>, Vec<Warning>) {
        let collected = Collected::default();
        let context = RequestContext { policy, cancel, voice: &collected };
        let listing = self.listed(name, context);
        (listing, collected.0.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self, name: &ServerName, policy: RetryPolicy, cancel: &Cancel) -> Result<Vec<Listed>, Failure> {
        self.server(name).and_then(|(_, _, client)| Ok(client.listing(policy, cancel)?.tables))
    }
}

impl Task for ExportTask {
    fn revision(&self) -> u32 {
        1
    }

    fn declare(&self, _: &Axes, _: &Facts) -> Declaration {
        Declaration::default()
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        match (&work.axes.server, &work.axes.scale) {
            (Some(server), Some(scale)) => self.export(work, server, scale),
            _ => Err(Failure::new(Code::Internal, "an export without server and scale")),
        }
    }
}

/// What the server now says of tables that may not be fetched in this run: a recovery had no listing to ask.
fn refresh_marks(folder: &ServerFolder, tables: &[Listed]) -> std::io::Result<()> {
    let old = benchmark::read(folder);
    let fresh = |table: &Listed| {
        let mark = old.get(&table.name).filter(|mark| mark.deleteable != table.deleteable)?;
        Some((table.name.clone(), Mark { deleteable: table.deleteable, ..*mark }))
    };
    let changed: BTreeMap<ScaleName, Mark> = tables.iter().filter_map(fresh).collect();
    if changed.is_empty() { Ok(()) } else { benchmark::put_all(folder, &changed) }
}

/// benchMark.json is gone although raw files are there: made again from them, and told.
fn recompute_marks(folder: &ServerFolder, tables: &[Listed], voice: &dyn Voice) -> Result<(), Failure> {
    let raw = folder.raw();
    let failed = |error: std::io::Error| Failure::read(&raw, error);
    let mut scales: BTreeSet<ScaleName> = BTreeSet::new();
    for entry in std::fs::read_dir(&raw).map_err(failed)?.flatten() {
        let file = entry.file_name();
        let scale = file.to_str().and_then(raw_name).and_then(|dated| ScaleName::new(dated.scale).ok());
        scales.extend(scale);
    }
    let mut marks = BTreeMap::new();
    for scale in scales {
        let current = Index::open(folder, &scale).map_err(failed)?.highest();
        let deleteable = tables.iter().any(|table| table.name == scale && table.deleteable);
        marks.insert(scale, Mark { current, deleteable });
    }
    let path = benchmark::path(folder);
    benchmark::put_all(folder, &marks).map_err(|error| Failure::write(&path, error))?;
    let message = format!("{} was missing and is made again from {} tables' raw files", path.display(), marks.len());
    voice.warn(Warning::new(Code::BenchmarkRecomputed, message));
    Ok(())
}

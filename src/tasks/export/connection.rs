//! The way to one server: what all exports of it share in a run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::client::server::StudyServer;
use crate::config::servers::Server;
use crate::disk::joined_sync::JoinedSync;
use crate::failure::Failure;
use crate::pool::benchmark;
use crate::pool::ledger;
use crate::pool::notes::Notebook;
use crate::pool::paths::ServerFolder;
use crate::tasks::export::context::RequestContext;
use crate::tasks::export::schedule;

/// The way to one server.
pub(super) struct ServerConnection {
    pub client: OnceLock<Result<StudyServer, Failure>>,
    pub marks: benchmark::Waiting,
    /// The folder of raw files.
    pub raw: JoinedSync,
    pub notes: Notebook,
    /// One writer of deletions.jsonl at a time.
    pub ledger: Mutex<Option<ledger::Ledger>>,
    /// The schedule is asked for once in a run, by the first who can.
    schedule: AtomicBool,
}

impl ServerConnection {
    pub fn to(server: &Server) -> Self {
        let folder = ServerFolder::new(&server.path);
        Self {
            client: OnceLock::new(),
            marks: benchmark::Waiting::default(),
            raw: JoinedSync::new(folder.raw()),
            notes: Notebook::new(&folder),
            ledger: Mutex::new(None),
            schedule: AtomicBool::new(false),
        }
    }

    pub fn keep_schedule(&self, server: &Server, client: &StudyServer, context: RequestContext<'_>) {
        if !self.schedule.swap(true, Ordering::Relaxed) {
            schedule::keep(server, client, context);
        }
    }
}

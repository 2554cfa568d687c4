//! The joint between the floors: what the planner and the runner know of a task, and what a task knows of them.
//!
//! A [`Task`] first *declares*, purely from what was seen, which files an instance reads and writes; the planner
//! decides from that whether it has to run. Only then does the runner call [`Task::run`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::NaiveDate;
use serde::Serialize;

use crate::study::name::{ScaleName, ServerName};

/// A path as the state, the events and the messages write it: `/` between segments, relative to the folder of
/// Pipeline.toml where it lies below it, absolute elsewhere.
pub type ProjectPath = Arc<str>;

/// Which server, scale and date one instance of a task is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Axes {
    pub server: Option<ServerName>,
    pub scale: Option<ScaleName>,
    pub date: Option<NaiveDate>,
}

/// What one instance reads, writes and depends on beside its inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declaration {
    /// Files it reads that no needed instance makes. The planner adds the outputs of the needed ones.
    pub inputs: Vec<ProjectPath>,
    pub outputs: Vec<Output>,
    /// Everything else its result depends on, by name: key fingerprints, a definition's digest, a command line.
    /// Values are shown by `explain`, so never a secret.
    pub parameters: Vec<(&'static str, String)>,
}

/// A file an instance makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub path: ProjectPath,
    /// False for files that exist only when there is something to put in them (a quarantine table).
    pub required: bool,
}

impl Output {
    #[must_use]
    pub fn required(path: impl Into<ProjectPath>) -> Self {
        Self { path: path.into(), required: true }
    }

    #[must_use]
    pub fn optional(path: impl Into<ProjectPath>) -> Self {
        Self { path: path.into(), required: false }
    }
}

/// What was seen of all servers and their pool folders; the planner's only knowledge of the world beside the state.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub servers: BTreeMap<ServerName, ServerFacts>,
}

/// What was seen of one server.
#[derive(Debug, Clone, Default)]
pub struct ServerFacts {
    /// The server's folder in the pool.
    pub folder: PathBuf,
    /// The same folder as paths of the state name it.
    pub path: String,
    /// False when the server must not be asked over the network (`ready = false`).
    pub ready: bool,
    /// True once this run has the server's own listing; the scales then carry `listed`.
    pub listing_seen: bool,
    pub scales: BTreeMap<ScaleName, ScaleFacts>,
}

/// What was seen of one scale.
#[derive(Debug, Clone, Default)]
pub struct ScaleFacts {
    /// The listing's size in this run: `None` when the listing does not name the scale or there is none.
    pub listed: Option<u64>,
    /// From this run's listing, else as last seen (benchMark.json), else unknown.
    pub deleteable: Option<bool>,
    pub dates: BTreeMap<NaiveDate, DateFacts>,
}

/// The files of one scale and day.
#[derive(Debug, Clone, Default)]
pub struct DateFacts {
    /// Names of raw files in `raw_data/`, sorted.
    pub raw: Vec<Box<str>>,
    /// Names of active tables in `active_data/` for this day (old and new forms).
    pub active: Vec<Box<str>>,
}

/// One kind of work. Implementations hold what configuration gives them (keys, definitions), never what a run sees.
pub trait Task: Send + Sync {
    /// Raised by whoever changes what the task computes: every older output becomes stale.
    fn revision(&self) -> u32;

    /// Pure: the same axes and facts give the same declaration.
    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration;

    /// Does the work. Outputs are written through [`crate::pool::atomic`], so that a failure leaves the old ones.
    ///
    /// # Errors
    /// A [`Failure`] that says what happened, where, and what to do.
    fn run(&self, work: &Work<'_>) -> Result<Done, Failure>;
}

/// Everything a running instance may use.
pub struct Work<'a> {
    pub target: &'a str,
    pub axes: &'a Axes,
    /// The folder of Pipeline.toml.
    pub root: &'a Path,
    /// Declared inputs, then the outputs of needed instances, in the graph's order. Optional ones may not exist.
    pub inputs: &'a [ProjectPath],
    pub outputs: &'a [Output],
    pub facts: &'a Facts,
    pub patience: Patience,
    pub cancel: &'a Cancel,
    pub voice: &'a dyn Voice,
}

impl Work<'_> {
    /// Where a project path lies on disk.
    #[must_use]
    pub fn locate(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Inputs whose folder has this name: `active_data`, `quarantine`, `combined`, `scored`.
    pub fn inputs_in<'s>(&'s self, folder: &'s str) -> impl Iterator<Item = PathBuf> + 's {
        self.inputs.iter().filter(move |path| path.rsplit('/').nth(1) == Some(folder)).map(|path| self.locate(path))
    }
}

/// How long and how often to try what may fail for a moment.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Further attempts after the first, for transient failures only.
    pub retries: u32,
    /// Of one attempt.
    pub timeout: Duration,
}

/// How a running task is heard: warnings become events and log lines, progress moves the bars.
pub trait Voice: Sync {
    fn warn(&self, warning: Warning);
    /// `done` of `total` units (bytes, entries) of the running instance.
    fn progress(&self, done: u64, total: u64);
}

/// Something a person should know though the task went on.
#[derive(Debug, Clone, Serialize)]
pub struct Warning {
    /// Stable word for machines: `shortfall`, `undecryptable`, `raw_salvaged`, `schema_drift`...
    pub code: &'static str,
    pub message: String,
    /// Critical ones are mailed at once.
    pub critical: bool,
}

/// Set once by Ctrl-C or SIGTERM; long loops look at it between entries.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`FailureKind::Interrupted`] once cancelled, for use with `?` between two steps.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_cancelled() {
            return Err(Failure::new(FailureKind::Interrupted, "interrupted; the next run resumes here"));
        }
        Ok(())
    }
}

/// What an instance did.
#[derive(Debug, Default)]
pub struct Done {
    pub counts: Counts,
    /// Outputs whose hash the writer already knows; the runner hashes the others itself.
    pub written: Vec<Written>,
    /// True when the work leaves something undone that the next run must look at again.
    pub unfinished: bool,
    /// What a command printed, its last lines; kept in the run's log.
    pub printed: Vec<String>,
}

/// A file under its final name, as its writer knows it.
#[derive(Debug, Clone)]
pub struct Written {
    pub path: PathBuf,
    pub hash: blake3::Hash,
    pub size: u64,
    /// False when the file already held these bytes and was left untouched.
    pub changed: bool,
}

/// The numbers of a run's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    Listed,
    Received,
    New,
    Stored,
    Deleted,
    DeletePending,
    AlreadyHeld,
    EntriesRead,
    RsaDecrypted,
    RsaReused,
    RsaFailed,
    RowsOut,
    Quarantined,
    Duplicates,
    BytesIn,
    BytesOut,
}

/// How many of what, of one instance or one run; only what applies is present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Counts(BTreeMap<Count, u64>);

impl Counts {
    /// Adds, and makes the count present even when it is zero.
    pub fn add(&mut self, count: Count, number: u64) {
        *self.0.entry(count).or_default() += number;
    }

    #[must_use]
    pub fn get(&self, count: Count) -> u64 {
        self.0.get(&count).copied().unwrap_or_default()
    }

    pub fn merge(&mut self, other: &Self) {
        for (&count, &number) in &other.0 {
            self.add(count, number);
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Count, u64)> + '_ {
        self.0.iter().map(|(&count, &number)| (count, number))
    }
}

/// What kind of trouble: decides whether to retry, how loud to be, and which page of the runbook helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No connection: name, route, refused, reset.
    Unreachable,
    /// The certificate or the handshake.
    Tls,
    /// 401, 403 or a redirect to a login.
    Refused,
    /// A body that is not JSON: refused credentials or a wrong URL.
    NotJson,
    /// JSON, but not what the interface promises.
    WrongShape,
    /// Fewer bytes or entries than announced.
    Truncated,
    /// 5xx or 429 after all retries.
    ServerError,
    Timeout,
    /// A DELETE that failed or was not confirmed.
    Deletion,
    /// Entries on the server that should be gone.
    ShouldBeGone,
    /// A private key that is missing, refused, or opens nothing.
    Key,
    /// Reading a file of the pool.
    Read,
    /// Writing to the pool: disk full, permission, a file that reads back differently.
    Write,
    /// Data that no rule covers.
    Data,
    /// A user's command that did not exit 0 or left an output out.
    Command,
    Interrupted,
    /// A mistake of mtdata itself.
    Internal,
}

impl FailureKind {
    /// Critical troubles are mailed at once (contract, 8), unless the task's `alert` says otherwise. Who stops a run knows
    /// about it.
    #[must_use]
    pub fn is_critical(self) -> bool {
        self != Self::Interrupted
    }
}

/// Why an instance failed: what happened and where, and what to do about it.
#[derive(Debug, Clone)]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
    pub advice: Option<String>,
    /// The last lines a command printed.
    pub tail: Vec<String>,
    /// What was done before it failed.
    pub counts: Counts,
}

impl Failure {
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), advice: None, tail: Vec::new(), counts: Counts::default() }
    }

    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Keeps the numbers of what was done before.
    #[must_use]
    pub fn after(mut self, counts: Counts) -> Self {
        self.counts = counts;
        self
    }

    /// A failed read of `path`.
    #[must_use]
    pub fn read(path: &Path, error: &std::io::Error) -> Self {
        Self::new(FailureKind::Read, format!("cannot read {}: {error}", path.display()))
    }

    /// A failed write of `path`.
    #[must_use]
    pub fn write(path: &Path, error: &std::io::Error) -> Self {
        Self::new(FailureKind::Write, format!("cannot write {}: {error}", path.display()))
            .advise("free space or mend the permissions; nothing was lost, the next run tries again")
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

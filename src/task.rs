//! The joint between the floors: what the planner and the runner know of a task, and what a task knows of them.
//!
//! A [`Task`] first *declares*, purely from what was seen, which files an instance reads and writes; the planner
//! decides from that whether it has to run. Only then does the runner call [`Task::run`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use serde::Serialize;

use crate::cancel::Cancel;
use crate::code::{Code, Urgency};
use crate::counts::Counts;
use crate::disk::atomic::Written;
use crate::failure::Failure;
use crate::retry::RetryPolicy;
use crate::study::listing::Listed;
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
    pub fn required(path: impl Into<ProjectPath>) -> Self {
        Self { path: path.into(), required: true }
    }

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

    /// Does the work. Outputs are written through [`crate::disk::atomic`], so that a failure leaves the old ones.
    ///
    /// # Errors
    /// A [`Failure`] that says what happened, where, and what to do.
    fn run(&self, work: &Work<'_>) -> Result<Done, Failure>;
}

/// Asks the servers what they hold.
pub trait Lister: Send + Sync {
    /// A server's listing, with what has to be said beside it.
    ///
    /// # Errors
    /// The failure of every export of this server.
    fn list(
        &self,
        server: &ServerName,
        policy: RetryPolicy,
        cancel: &Cancel,
    ) -> (Result<Vec<Listed>, Failure>, Vec<Warning>);

    /// A server's listing, of which nothing is kept.
    ///
    /// # Errors
    /// Why it was not to be had.
    fn ask(&self, server: &ServerName, policy: RetryPolicy, cancel: &Cancel) -> Result<Vec<Listed>, Failure>;
}

/// The tasks of a pipeline, in its order, and who asks the servers for them.
pub struct TaskSet {
    pub all: Vec<Box<dyn Task>>,
    pub lister: Arc<dyn Lister>,
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
    pub policy: RetryPolicy,
    pub cancel: &'a Cancel,
    pub voice: &'a dyn Voice,
}

impl Work<'_> {
    /// Where a project path lies on disk.
    pub fn locate(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Inputs whose folder has this name: `active_data`, `quarantine`, `combined`, `scored`.
    pub fn inputs_in<'s>(&'s self, folder: &'s str) -> impl Iterator<Item = PathBuf> + 's {
        self.inputs.iter().filter(move |path| path.rsplit('/').nth(1) == Some(folder)).map(|path| self.locate(path))
    }
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
    pub code: Code,
    pub message: String,
    /// Critical ones are mailed at once.
    pub critical: bool,
}

impl Warning {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), critical: code.urgency() == Urgency::Critical }
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

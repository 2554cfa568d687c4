//! What a build is asked to do, before anything is looked at.

use std::path::PathBuf;
use std::time::Duration;

use crate::plan::Target;

/// How much people want to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loudness {
    Quiet,
    #[default]
    Normal,
    Verbose,
}

/// What a build is asked to do.
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own on the command line
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub targets: Vec<Target>,
    /// False when the targets are Pipeline.toml's `default`.
    pub explicit: bool,
    /// The targets are alternatives: that one of them selects something is enough.
    pub any: bool,
    pub forced: bool,
    pub jobs: Option<usize>,
    pub fail_fast: bool,
    pub loudness: Loudness,
    pub explain: bool,
    pub json: bool,
    pub trace: Option<PathBuf>,
    /// How long to wait for another run's end.
    pub wait: Duration,
    pub prune: bool,
    /// Lines of the log files as JSON or text, against Pipeline.toml's `[logs]`.
    pub log_json: Option<bool>,
    /// A recovery: no server is asked, and every byte of the pool is read, whatever earlier runs saw of it.
    pub pool_only: bool,
    /// What was found before the run, for its log.
    pub findings: Vec<String>,
}

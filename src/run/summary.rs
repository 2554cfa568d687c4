//! How a run ended, or why it did not begin.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::alert::Trouble;
use crate::counts::Counts;
use crate::run::events::{Outcome, RunOutcome};
use crate::run::signals::Stop;

/// How a run ended, in numbers.
#[derive(Debug, Clone)]
pub struct Summary {
    pub run: String,
    pub outcome: RunOutcome,
    pub stop: Option<Stop>,
    pub tasks: BTreeMap<Outcome, u64>,
    pub counts: Counts,
    pub warnings: u64,
    pub troubles: Vec<Trouble>,
    /// Targets that turned out to select nothing, with the nearest that exist.
    pub unknown: Vec<String>,
    pub took: Duration,
}

/// Why a run did not begin.
#[derive(Debug)]
pub enum Refusal {
    Locked(String),
    Io(PathBuf, io::Error),
}

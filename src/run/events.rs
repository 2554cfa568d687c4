//! What a run tells, one JSON object a line (contract, 7), to stdout under `--json` and to the run's own log.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{SecondsFormat, Utc};
use serde::Serialize;

use crate::code::Code;
use crate::counts::Counts;
use crate::output;
use crate::plan::reason::ReasonRecord;
use crate::task::Warning;

/// How an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Built,
    /// Ran, and its outputs are byte for byte what they were.
    Unchanged,
    UpToDate,
    Failed,
    Blocked,
    Interrupted,
}

impl Outcome {
    /// Failed, or could not run for a failure elsewhere.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Blocked | Self::Interrupted)
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Unchanged => "unchanged",
            Self::UpToDate => "up_to_date",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Interrupted => "interrupted",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    Ok,
    Failed,
    Interrupted,
}

/// A file and its hash, as events name them.
#[derive(Debug, Clone, Serialize)]
pub struct FileRecord {
    pub path: String,
    /// `null` for a file that is not there.
    pub hash: Option<String>,
}

/// One event.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    RunStarted {
        targets: Vec<String>,
        version: &'static str,
        pid: u32,
    },
    TaskStarted {
        target: String,
        reason: String,
    },
    TaskFinished(Box<Finished>),
    Warning {
        target: String,
        #[serde(flatten)]
        warning: Warning,
    },
    /// What people were told of this run, or would have been.
    Alert {
        subjects: Vec<String>,
        sent: usize,
        waiting: usize,
    },
    RunFinished {
        outcome: RunOutcome,
        tasks: BTreeMap<Outcome, u64>,
        counts: Counts,
        duration_ms: u64,
    },
}

/// `task_finished`.
#[derive(Debug, Clone, Serialize)]
pub struct Finished {
    pub target: String,
    pub outcome: Outcome,
    pub reason: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ReasonRecord>,
    pub duration_ms: u64,
    pub inputs: Vec<FileRecord>,
    pub outputs: Vec<FileRecord>,
    pub counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureRecord>,
    /// What a command printed, its last lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub printed: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct FailureRecord {
    pub kind: Code,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<String>,
}

#[derive(Serialize)]
struct Line<'e> {
    v: u32,
    ts: String,
    run: &'e str,
    #[serde(flatten)]
    event: &'e Event,
}

/// Writes events where they are wanted.
#[derive(Debug)]
pub struct EventWriter {
    run: String,
    log: File,
    stdout: bool,
}

impl EventWriter {
    pub fn new(run: &str, folder: &Path, stdout: bool) -> io::Result<Self> {
        let path = folder.join(format!("{run}.jsonl"));
        let log = OpenOptions::new().create_new(true).append(true).mode(0o600).open(path)?;
        Ok(Self { run: run.to_owned(), log, stdout })
    }

    /// # Errors
    /// When the log cannot be written; a closed stdout is no error.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        let ts = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut line = serde_json::to_string(&Line { v: 1, ts, run: &self.run, event })?;
        line.push('\n');
        if self.stdout {
            // A reader that left must not stop a build.
            output::text(&line);
        }
        self.log.write_all(line.as_bytes())
    }
}

/// A new run's name: sorts by time, and two of one moment differ.
pub fn run_id() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    format!("{}-{:x}-{number:x}", Utc::now().format("%Y%m%dT%H%M%S%3fZ"), std::process::id())
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs_of_one_moment_have_names_of_their_own() {
        let names: std::collections::HashSet<String> = (0..100).map(|_| super::run_id()).collect();
        assert_eq!(names.len(), 100);
    }
}

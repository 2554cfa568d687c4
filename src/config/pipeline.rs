//! Pipeline.toml: which tasks there are, over which axes, and how they hang together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::error::Source;
use crate::study::disclosure_control::DisclosureControl;
use crate::study::name::{ScaleName, ServerName};

/// Pipeline.toml, read and checked as a whole: names resolve, no cycles, no two tasks for one output.
#[derive(Debug, Clone)]
pub struct Pipeline {
    pub source: Source,
    /// The folder of Pipeline.toml; every relative path starts here.
    pub root: PathBuf,
    pub default: Vec<String>,
    pub data: DataPaths,
    pub logs: LogSettings,
    /// How many tasks of a group run at once.
    pub groups: BTreeMap<String, usize>,
    /// In the order of the file.
    pub tasks: Vec<TaskSpec>,
}

/// `[data]`: as written, relative to the root.
#[derive(Debug, Clone)]
pub struct DataPaths {
    pub pool: PathBuf,
    pub servers: PathBuf,
    pub scales: PathBuf,
    pub alerts: Option<PathBuf>,
    pub corrections: Option<PathBuf>,
    pub participants: Option<PathBuf>,
}

/// `[logs]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    pub json: bool,
    pub keep_days: u32,
    pub compress: bool,
    pub keep_runs: u32,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { json: false, keep_days: 366, compress: false, keep_runs: 90 }
    }
}

/// One `[task.NAME]`.
#[derive(Debug, Clone)]
pub struct TaskSpec {
    pub name: String,
    /// Of the table's header, for messages.
    pub span: Range<usize>,
    pub action: Action,
    pub each: EachAxes,
    /// Which scales its instances are made for; `None`: all that are known.
    pub scales: Option<ScaleChoice>,
    /// `None`: every ready server.
    pub servers: Option<Vec<ServerName>>,
    /// Indexes into [`Pipeline::tasks`].
    pub needs: Vec<usize>,
    /// Indexes into [`Pipeline::tasks`].
    pub after: Vec<usize>,
    pub group: Option<String>,
    pub retries: u32,
    pub timeout: Duration,
    pub every: Option<Duration>,
    pub partial: bool,
    pub alert: AlertLevel,
}

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Export,
    Decode,
    Combine,
    Score,
    Wide,
    Report(DisclosureControl),
    Command(CommandSpec),
}

impl Action {
    /// The word in `action = "..."`; `command` for a user's own.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Decode => "decode",
            Self::Combine => "combine",
            Self::Score => "score",
            Self::Wide => "wide",
            Self::Report(_) => "report",
            Self::Command(_) => "command",
        }
    }
}

/// A user's own command: templates with `{pool}`, `{server}`, `{scale}`, `{date}`, `{out}`, `{inputs}`, `{outputs}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandSpec {
    pub command: Vec<String>,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub env: BTreeMap<String, String>,
}

/// The axes of `each`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EachAxes {
    pub server: bool,
    pub scale: bool,
    pub date: bool,
}

/// `scales = ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScaleChoice {
    /// `"."`: tables the server says are deleteable.
    Deleteable,
    /// `"static"`: every other.
    Static,
    All,
    Named(Vec<ScaleName>),
}

/// How loud a failure of the task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AlertLevel {
    #[default]
    Critical,
    Warning,
    None,
}

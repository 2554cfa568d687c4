//! Why an instance has to run: each change named, with its old and new value.

use std::time::Duration;

use serde::Serialize;

use crate::state::Content;
use crate::state::{Name, Names};

/// One reason to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Never succeeded before, or the state was lost.
    New,
    /// `-B`.
    Forced,
    /// An export without `every`.
    Asked,
    /// Written on the command line.
    Named,
    /// The last good answer is older than `every`.
    Due {
        every: Duration,
    },
    /// The last run left something undone.
    Unfinished,
    /// The last attempt failed.
    FailedBefore {
        run: Name,
    },
    Revision {
        old: u32,
        new: u32,
    },
    Parameter {
        name: Name,
        old: Option<Name>,
        new: Option<Name>,
    },
    InputAdded {
        path: Name,
        new: Content,
    },
    InputRemoved {
        path: Name,
        old: Content,
    },
    InputChanged {
        path: Name,
        old: Content,
        new: Content,
    },
    OutputMissing {
        path: Name,
    },
    OutputChanged {
        path: Name,
        old: Content,
        new: Content,
    },
    /// It makes other files than before.
    OutputsDiffer,
}

impl Reason {
    /// The file it is about.
    pub fn path(&self) -> Option<Name> {
        match self {
            Self::InputAdded { path, .. }
            | Self::InputRemoved { path, .. }
            | Self::InputChanged { path, .. }
            | Self::OutputMissing { path }
            | Self::OutputChanged { path, .. } => Some(*path),
            _ => None,
        }
    }

    /// One line for people. Paths lose the server's folder in front, which the target names already.
    pub fn line(&self, names: &Names) -> String {
        let text = |name: &Name| names.text(*name).to_string();
        let short = |name: &Name| tail(names.text(*name)).to_owned();
        match self {
            Self::New => "never built before".to_owned(),
            Self::Forced => "forced".to_owned(),
            Self::Asked => "asked on each build".to_owned(),
            Self::Named => "named on the command line".to_owned(),
            Self::Due { every } => {
                format!("the last good answer is older than {}", humantime::format_duration(*every))
            }
            Self::Unfinished => "the last run left something undone".to_owned(),
            Self::FailedBefore { run } => format!("failed in run {}", text(run)),
            Self::Revision { old, new } => format!("its logic changed (revision {old} -> {new})"),
            Self::Parameter { name, old: Some(old), new: Some(new) } => {
                format!("{} changed ({} -> {})", text(name), text(old), text(new))
            }
            Self::Parameter { name, new: Some(new), .. } => format!("{} is new ({})", text(name), text(new)),
            Self::Parameter { name, .. } => format!("{} is no longer there", text(name)),
            Self::InputAdded { path, new } => format!("input {} is new ({})", short(path), new.short()),
            Self::InputRemoved { path, .. } => format!("input {} is no longer there", short(path)),
            Self::InputChanged { path, old, new } if new.is_absent() => {
                format!("input {} is missing (was {})", short(path), old.short())
            }
            Self::InputChanged { path, old, new } => {
                format!("input {} changed ({} -> {})", short(path), old.short(), new.short())
            }
            Self::OutputMissing { path } => format!("output {} is missing", short(path)),
            Self::OutputChanged { path, old, new } => {
                format!("output {} is not what it left ({} -> {})", short(path), old.short(), new.short())
            }
            Self::OutputsDiffer => "it makes other files than before".to_owned(),
        }
    }
}

/// The last two segments of a path.
pub fn tail(path: &str) -> &str {
    let cut = path.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    &path[cut..]
}

/// A reason as `--json` and the run log write it.
#[derive(Debug, Clone, Serialize)]
pub struct ReasonRecord {
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

impl ReasonRecord {
    pub fn new(reason: &Reason, names: &Names) -> Self {
        let (old, new) = match reason {
            Reason::InputAdded { new, .. } => (None, Some(new.hex())),
            Reason::InputRemoved { old, .. } => (Some(old.hex()), None),
            Reason::InputChanged { old, new, .. } | Reason::OutputChanged { old, new, .. } => {
                (Some(old.hex()), (!new.is_absent()).then(|| new.hex()))
            }
            _ => (None, None),
        };
        let path = reason.path().map(|path| names.text(path).to_string());
        Self { text: reason.line(names), path, old, new }
    }
}

//! The files people write: Pipeline.toml and what it names. Read strictly; every mistake says file, line and column.

pub mod alerts;
pub mod error;
pub mod pipeline;
pub mod servers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::alerts::Alerts;
use crate::config::error::Problems;
use crate::config::pipeline::Pipeline;
use crate::config::servers::Servers;
use crate::study::scale::Studies;

/// Everything people wrote, read and checked as a whole. Tasks are made from it.
#[derive(Debug, Clone)]
pub struct Project {
    pub pipeline: Pipeline,
    pub servers: Arc<Servers>,
    pub alerts: Option<Alerts>,
    /// By the name that `study = "..."` in servers.toml uses.
    pub studies: Arc<Studies>,
}

impl Project {
    /// The pool's folder, absolute.
    #[must_use]
    pub fn pool(&self) -> PathBuf {
        self.pipeline.root.join(&self.pipeline.data.pool)
    }

    /// Reads `file`, or the Pipeline.toml of `start` or its nearest parent that has one, and all it names.
    ///
    /// # Errors
    /// Every mistake of every file at once.
    pub fn load(file: Option<&Path>, start: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let wanted = file.map_or_else(|| start.join("Pipeline.toml"), |file| start.join(file));
        problems.add(&wanted, None, "cannot be read yet", None);
        Err(problems)
    }
}

//! `.mtdata`, where a project keeps what its runs leave for the next ones.

use std::io;
use std::path::PathBuf;

use crate::config::Project;
use crate::state::Store;

/// Where a project keeps its state.
pub fn home(project: &Project) -> PathBuf {
    project.pipeline.root.join(".mtdata")
}

/// Where the logs of past runs are.
pub fn runs_folder(project: &Project) -> PathBuf {
    home(project).join("runs")
}

/// Reads the state without a lock; for commands that only look.
pub fn read_state(project: &Project) -> io::Result<Store> {
    Store::read(&home(project).join("state"))
}

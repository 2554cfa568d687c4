//! What each task does, behind the trait of [`crate::task`].

pub mod command;

use crate::config::Project;
use crate::config::pipeline::{Action, TaskSpec};
use crate::study::listing::Listed;
use crate::study::name::ServerName;
use crate::task::{Cancel, Failure, FailureKind, Patience, Task, Warning};

/// The tasks of a pipeline, in its order.
pub struct Tasks {
    pub all: Vec<Box<dyn Task>>,
}

impl Tasks {
    #[must_use]
    pub fn new(project: &Project) -> Self {
        Self { all: project.pipeline.tasks.iter().map(|spec| make(project, spec)).collect() }
    }

    /// Asks a server for its listing, with what has to be said beside it.
    ///
    /// # Errors
    /// The failure of every export of this server.
    pub fn list(&self, server: &ServerName, _: Patience, _: &Cancel) -> (Result<Vec<Listed>, Failure>, Vec<Warning>) {
        (Err(Failure::new(FailureKind::Internal, format!("{server} cannot be asked yet"))), Vec::new())
    }
}

fn make(project: &Project, spec: &TaskSpec) -> Box<dyn Task> {
    match &spec.action {
        Action::Command(command) => Box::new(command::Command::new(project, command.clone())),
        _ => Box::new(command::Command::new(project, crate::config::pipeline::CommandSpec::default())),
    }
}

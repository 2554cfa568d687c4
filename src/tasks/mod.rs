//! What each task does, behind the trait of [`crate::task`].

pub mod combine;
pub mod command;
pub mod decode;
pub mod export;
pub mod kept;
pub mod report;
pub mod score;
pub mod wide;

use std::sync::Arc;

use crate::cancel::Cancel;
use crate::config::Project;
use crate::config::pipeline::{Action, TaskSpec};
use crate::failure::Failure;
use crate::retry::RetryPolicy;
use crate::study::listing::Listed;
use crate::study::name::ServerName;
use crate::task::{Axes, Declaration, Done, Facts, Task, Warning, Work};

/// The tasks of a pipeline, in its order.
pub struct Tasks {
    pub all: Vec<Box<dyn Task>>,
    exporter: Arc<export::Export>,
}

impl Tasks {
    pub fn new(project: &Project) -> Self {
        let exporter = Arc::new(export::Export::new(project));
        let make = |spec: &TaskSpec| make(project, spec, &exporter);
        Self { all: project.pipeline.tasks.iter().map(make).collect(), exporter }
    }

    /// Asks a server for its listing, with what has to be said beside it.
    ///
    /// # Errors
    /// The failure of every export of this server.
    pub fn list(
        &self,
        server: &ServerName,
        policy: RetryPolicy,
        cancel: &Cancel,
    ) -> (Result<Vec<Listed>, Failure>, Vec<Warning>) {
        self.exporter.list(server, policy, cancel)
    }

    /// Asks a server for its listing and keeps nothing.
    pub fn ask(&self, server: &ServerName, policy: RetryPolicy, cancel: &Cancel) -> Result<Vec<Listed>, Failure> {
        self.exporter.ask(server, policy, cancel)
    }
}

fn make(project: &Project, spec: &TaskSpec, exporter: &Arc<export::Export>) -> Box<dyn Task> {
    match &spec.action {
        Action::Export => Box::new(Shared(Arc::clone(exporter))),
        Action::Combine => Box::new(combine::Combine::new(project)),
        Action::Score => Box::new(score::Score::new(project)),
        Action::Wide => Box::new(wide::Wide::new(project)),
        Action::Decode => Box::new(decode::Decode::new(project)),
        Action::Command(command) => Box::new(command::Command::new(project, command.clone())),
        Action::Report(discretion) => Box::new(report::Report::new(project, *discretion)),
    }
}

/// Several tasks of a pipeline that share their connections.
struct Shared(Arc<export::Export>);

impl Task for Shared {
    fn revision(&self) -> u32 {
        self.0.revision()
    }

    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration {
        self.0.declare(axes, facts)
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        self.0.run(work)
    }
}

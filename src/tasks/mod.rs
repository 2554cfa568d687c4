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

use crate::config::Project;
use crate::config::pipeline::{Action, TaskSpec};
use crate::failure::Failure;
use crate::task::{Axes, Declaration, Done, Facts, Task, TaskSet, Work};

/// Makes the tasks of a project's pipeline.
pub fn of(project: &Project) -> TaskSet {
    let exporter = Arc::new(export::Export::new(project));
    let all = project.pipeline.tasks.iter().map(|spec| make(project, spec, &exporter)).collect();
    TaskSet { all, lister: exporter }
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

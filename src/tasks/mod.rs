//! What each task does, behind the trait of [`crate::task`].

pub mod combine;
pub mod command;
pub mod decode;
pub mod export;
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
    let exporter = Arc::new(export::ExportTask::new(project));
    let all = project.pipeline.tasks.iter().map(|spec| make(project, spec, &exporter)).collect();
    TaskSet { all, lister: exporter }
}

fn make(project: &Project, spec: &TaskSpec, exporter: &Arc<export::ExportTask>) -> Box<dyn Task> {
    match &spec.action {
        Action::Export => Box::new(SharedExport(Arc::clone(exporter))),
        Action::Combine => Box::new(combine::CombineTask::new(project)),
        Action::Score => Box::new(score::ScoreTask::new(project)),
        Action::Wide => Box::new(wide::WideTask::new(project)),
        Action::Decode => Box::new(decode::DecodeTask::new(project)),
        Action::Command(command) => Box::new(command::CommandTask::new(project, command.clone())),
        Action::Report(disclosure) => Box::new(report::ReportTask::new(project, *disclosure)),
    }
}

/// Several tasks of a pipeline that share their connections.
struct SharedExport(Arc<export::ExportTask>);

impl Task for SharedExport {
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

//! Wide: a row per participant, a column per item, score and session, as statistics programs like it.

mod columns;
mod rows;

use std::sync::Arc;

use crate::code::Code;
use crate::config::Project;
use crate::config::servers::{Servers, study_of};
use crate::counts::Counts;
use crate::disk::atomic::{self, SHARED};
use crate::failure::Failure;
use crate::study::name::ServerName;
use crate::study::scale::{Scale, Studies, Study};
use crate::table::selection::{Policy, has_answers, select};
use crate::task::{Axes, Declaration, Done, Facts, Output, Task, Work};
use crate::tasks::combine::definition;
use crate::tasks::wide::columns::Occasions;
use crate::tasks::wide::rows::Making;

/// The widening of all servers' questionnaires.
pub struct WideTask {
    servers: Arc<Servers>,
    studies: Arc<Studies>,
}

impl WideTask {
    pub fn new(project: &Project) -> Self {
        Self { servers: Arc::clone(&project.servers), studies: Arc::clone(&project.studies) }
    }

    fn study(&self, server: &ServerName) -> Option<&Study> {
        study_of(&self.servers, &self.studies, server)
    }

    fn definition(&self, axes: &Axes) -> Option<&Scale> {
        definition(&self.servers, &self.studies, axes.server.as_ref()?, axes.scale.as_ref()?)
    }

    /// Of what the columns' order and the choice among entries hang on.
    fn frame(&self, server: &ServerName) -> String {
        let study = self.study(server);
        study.map_or_else(|| "none".to_owned(), |study| format!("{}, {}", study.duplicates.word(), study.frame_digest))
    }
}

impl Task for WideTask {
    fn revision(&self) -> u32 {
        2
    }

    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration {
        let (Some(name), Some(scale)) = (&axes.server, &axes.scale) else { return Declaration::default() };
        let Some(server) = facts.servers.get(name) else { return Declaration::default() };
        let dated = server.scales.get(scale).is_some_and(|seen| !seen.dates.is_empty());
        let defined = self.definition(axes);
        if !dated || !has_answers(defined) {
            return Declaration::default();
        }
        Declaration {
            inputs: Vec::new(),
            outputs: vec![Output::required(format!("{}/wide/{scale}.csv", server.path))],
            parameters: vec![
                ("definition", defined.map_or_else(|| "none".to_owned(), |scale| scale.digest.clone())),
                ("study", self.frame(name)),
            ],
        }
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        let (Some(server), Some(name)) = (&work.axes.server, &work.axes.scale) else {
            return Err(Failure::new(Code::Internal, "a widening without server and scale"));
        };
        let Some(combined) = work.inputs_in("combined").next() else {
            return Err(Failure::new(Code::Internal, "a widening without combined table"));
        };
        let path = work.outputs.first().map(|output| work.locate(&output.path)).unwrap_or_default();
        let folder = path.parent().unwrap_or(work.root).to_owned();
        atomic::create_folder(&folder, SHARED).map_err(|error| Failure::write(&folder, error))?;
        let scale = self.definition(work.axes);
        let study = self.study(server);
        let policy = Policy::new(scale, study.map(|study| study.duplicates).unwrap_or_default());
        let selected = select(&combined, &policy, &folder, work.cancel)?;
        let occasions = Occasions::new(study, name, &policy, &selected);
        let scored = work.inputs_in("scored").find(|path| path.exists());
        let table =
            Making { combined: &combined, scored, scale, policy: &policy, selected: &selected, occasions: &occasions };
        let mut counts = Counts::default();
        let written = table.write(name.as_str(), &path, work, &mut counts)?;
        Ok(Done { counts, written: vec![written], ..Done::default() })
    }
}

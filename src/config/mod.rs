//! The files people write: Pipeline.toml and what it names. Read strictly; every mistake says file, line and column.

pub mod alerts;
mod alerts_file;
pub mod error;
pub mod pipeline;
mod pipeline_file;
pub mod scales;
pub mod secret;
pub mod section;
pub mod servers;
mod servers_file;

use std::cell::RefCell;
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
        let Some(path) = find(file, start) else {
            let here = start.join("Pipeline.toml");
            let hint = "`mtdata init` writes one here; `mtdata -f FILE` names another".to_owned();
            problems.add(&here, None, "is neither here nor in a folder above", Some(hint));
            return Err(problems);
        };
        let root = path.parent().unwrap_or(start).to_owned();
        let Some(source) = problems.read(&path) else { return Err(problems) };
        let problems = RefCell::new(problems);
        let Some(pipeline) = pipeline_file::read(&source, &root, &problems) else { return Err(problems.into_inner()) };
        let data = &pipeline.data;
        let open = |path: &Path| problems.borrow_mut().read(&root.join(path));
        let servers =
            open(&data.servers).map(|source| servers_file::read(&source, &root, &root.join(&data.pool), &problems));
        let alerts = data.alerts.as_deref().and_then(open);
        let alerts = alerts.map(|source| alerts_file::read(&source, &root, &problems));
        let studies = scales::load(&root.join(&pipeline.data.scales), &problems);
        let servers = servers.unwrap_or_default();
        check_servers(&pipeline, &servers, &problems);
        check_studies(&pipeline, &servers, &studies, &problems);
        let project = Self { pipeline, servers: Arc::new(servers), alerts, studies: Arc::new(studies) };
        problems.into_inner().into_result(project)
    }
}

/// The pipeline's file: the named one, or the nearest upwards.
fn find(file: Option<&Path>, start: &Path) -> Option<PathBuf> {
    if let Some(file) = file {
        return Some(start.join(file));
    }
    start.ancestors().map(|folder| folder.join("Pipeline.toml")).find(|path| path.is_file())
}

/// A server's study has to be one of the definitions.
fn check_studies(pipeline: &Pipeline, servers: &Servers, studies: &Studies, problems: &RefCell<Problems>) {
    let path = pipeline.root.join(&pipeline.data.servers);
    for server in servers.values() {
        let Some(study) = server.study.as_ref().filter(|study| !studies.contains_key(*study)) else { continue };
        let near = section::nearest(study, studies.keys().map(String::as_str));
        let folder = pipeline.data.scales.display();
        let message = format!("server `{}` is of the study `{study}`, which {folder} does not define", server.name);
        problems.borrow_mut().add(&path, None, message, near.map(|near| format!("did you mean `{near}`?")));
    }
}

fn check_servers(pipeline: &Pipeline, servers: &Servers, problems: &RefCell<Problems>) {
    for task in &pipeline.tasks {
        for name in task.servers.iter().flatten().filter(|name| !servers.contains_key(*name)) {
            let near = section::nearest(name.as_str(), servers.keys().map(crate::study::name::ServerName::as_str));
            let message = format!("task `{}` names the server `{name}`, which servers.toml does not have", task.name);
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            problems.borrow_mut().add(&pipeline.source.path, Some(task.span.clone()), message, hint);
        }
    }
}

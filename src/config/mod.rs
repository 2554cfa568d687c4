//! The files people write: Pipeline.toml and what it names. Read strictly; every mistake says file, line and column.

pub mod alerts;
mod alerts_file;
pub mod error;
pub mod first_generation;
pub mod mask;
mod people_file;
pub mod pipeline;
mod pipeline_file;
pub mod scales;
pub mod schema;
pub mod secret;
pub mod section;
pub mod servers;
mod servers_file;
mod task_file;
mod task_graph;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::alerts::Alerts;
use crate::config::error::{Problems, Source};
use crate::config::pipeline::Pipeline;
use crate::config::pipeline_file::Read;
use crate::config::servers::Servers;
use crate::study::name::ServerName;
use crate::study::people::{Corrections, Overrides};
use crate::study::scale::Studies;

/// Everything people wrote, read and checked as a whole. Tasks are made from it.
#[derive(Debug, Clone)]
pub struct Project {
    pub pipeline: Pipeline,
    pub servers: Arc<Servers>,
    pub alerts: Option<Alerts>,
    /// By the name that `study = "..."` in servers.toml uses.
    pub studies: Arc<Studies>,
    /// What the team says of accounts.
    pub accounts: Arc<Overrides>,
    /// What the team mends in combined tables.
    pub corrections: Arc<Corrections>,
}

impl Project {
    /// The pool's folder, absolute.
    pub fn pool(&self) -> PathBuf {
        self.pipeline.root.join(&self.pipeline.data.pool)
    }

    /// Reads `file`, or the Pipeline.toml of `start` or its nearest parent that has one, and all it names.
    ///
    /// # Errors
    /// Every mistake of every file at once.
    pub fn load(file: Option<&Path>, start: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::below(start);
        let Some(path) = find(file, start) else {
            let here = start.join("Pipeline.toml");
            let hint = "`mtdata init` writes one here; `mtdata -f FILE` names another".to_owned();
            problems.add(&here, None, "is neither here nor in a folder above", Some(hint));
            return Err(problems);
        };
        let root = path.parent().unwrap_or(start).to_owned();
        problems.root.clone_from(&root);
        let Some(source) = problems.read(&path) else { return Err(problems) };
        let problems = RefCell::new(problems);
        let Some(read) = pipeline_file::read(&source, &root, &problems) else {
            return Err(problems.into_inner().ordered());
        };
        let pipeline = &read.pipeline;
        let servers = named_file(&read, "servers", &pipeline.data.servers, &problems)
            .map(|source| servers_file::read(&source, &root, &root.join(&pipeline.data.pool), &problems));
        let alerts = pipeline.data.alerts.as_ref().and_then(|path| named_file(&read, "alerts", path, &problems));
        let alerts = alerts.map(|source| alerts_file::read(&source, &root, &problems));
        let studies = studies(&read, &problems);
        let said = |key, path: &Option<PathBuf>| path.as_ref().and_then(|path| named_file(&read, key, path, &problems));
        let accounts = said("participants", &pipeline.data.participants);
        let accounts = accounts.map(|source| people_file::accounts(&source, &problems)).unwrap_or_default();
        let corrections = said("corrections", &pipeline.data.corrections);
        let corrections = corrections.map(|source| people_file::corrections(&source, &problems)).unwrap_or_default();
        if let Some(servers) = &servers {
            check_servers(&read, &servers.servers, &problems);
            check_studies(pipeline, servers, &studies, &problems);
        }
        let servers = servers.unwrap_or_default().servers;
        let project = Self {
            pipeline: read.pipeline,
            servers: Arc::new(servers),
            alerts,
            studies: Arc::new(studies),
            accounts: Arc::new(accounts),
            corrections: Arc::new(corrections),
        };
        problems.into_inner().into_result(project)
    }
}

/// The pipeline's file: the named one, or the nearest upwards from `start`.
pub fn find(file: Option<&Path>, start: &Path) -> Option<PathBuf> {
    if let Some(file) = file {
        return Some(start.join(file));
    }
    start.ancestors().map(|folder| folder.join("Pipeline.toml")).find(|path| path.is_file())
}

/// A file that `[data]` names; a missing one is shown where it is named.
fn named_file(read: &Read, key: &'static str, path: &Path, problems: &RefCell<Problems>) -> Option<Source> {
    let full = read.pipeline.root.join(path);
    let Some(place) = read.files.get(key).filter(|_| !full.is_file()) else {
        return problems.borrow_mut().read(&full);
    };
    let message = format!("there is no file {}", path.display());
    problems.borrow_mut().add(&read.pipeline.source.path, Some(place.clone()), message, None);
    None
}

/// All definitions. A folder that is named and missing is a mistake; the default one may be missing.
fn studies(read: &Read, problems: &RefCell<Problems>) -> Studies {
    let data = &read.pipeline.data;
    let folder = read.pipeline.root.join(&data.scales);
    if let Some(place) = read.files.get("scales").filter(|_| !folder.is_dir()) {
        let message = format!("there is no folder {}", data.scales.display());
        problems.borrow_mut().add(&read.pipeline.source.path, Some(place.clone()), message, None);
    }
    scales::load(&folder, problems)
}

/// A server's study has to be one of the definitions.
fn check_studies(pipeline: &Pipeline, read: &servers_file::Read, studies: &Studies, problems: &RefCell<Problems>) {
    let path = pipeline.root.join(&pipeline.data.servers);
    for (study, place) in read.studies.iter().filter(|(study, _)| !studies.contains_key(study)) {
        let known = || studies.keys().map(String::as_str);
        let folder = pipeline.data.scales.display();
        let hint = section::meant(study, known()).or_else(|| {
            let all: Vec<&str> = known().collect();
            (!all.is_empty()).then(|| format!("defined are: {}", all.join(", ")))
        });
        let message = format!("there is no study `{study}` in {folder}");
        problems.borrow_mut().add(&path, Some(place.clone()), message, hint);
    }
}

/// Servers that tasks name have to be there.
fn check_servers(read: &Read, servers: &Servers, problems: &RefCell<Problems>) {
    for (name, place) in read.servers.iter().filter(|(name, _)| !servers.contains_key(name)) {
        let file = read.pipeline.data.servers.display();
        let hint = section::meant(name.as_str(), servers.keys().map(ServerName::as_str));
        let message = format!("there is no server `{name}` in {file}");
        problems.borrow_mut().add(&read.pipeline.source.path, Some(place.clone()), message, hint);
    }
}

#[cfg(test)]
mod tests;

//! Pipeline.toml's text made a [`Pipeline`]: every mistake is found in one reading.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::config::error::{Problems, Source};
use crate::config::pipeline::{DataPaths, LogSettings, Pipeline, TaskSpec};
use crate::config::section::{Section, meant, parse};
use crate::config::task_file::{Named, Unlinked, task};
use crate::config::task_graph;
use crate::study::name::ServerName;

/// The file as read, and the places of what other files have to answer for.
pub struct Read {
    pub pipeline: Pipeline,
    /// Where `[data]` names a file, by key.
    pub files: BTreeMap<&'static str, Range<usize>>,
    /// Every server that a task's `servers` names.
    pub servers: Vec<(ServerName, Range<usize>)>,
}

/// Reads the file's text. `None`: not even its form could be read.
pub fn read(source: &Source, root: &Path, problems: &RefCell<Problems>) -> Option<Read> {
    let document = parse(source, problems)?;
    let top = Section::new(&source.path, document.get_ref(), document.span(), problems);
    let (data, files) = data(&top);
    let logs = logs(&top);
    let groups = groups(&top);
    let default = top.texts("default").unwrap_or_default();
    let unlinked = tasks(&top, &groups);
    let servers = unlinked.iter().flat_map(|task| task.servers.iter().cloned()).collect();
    let tasks = task_graph::link(&top, unlinked, &data.pool);
    check_default(&top, &default, &tasks);
    top.end();
    let default = default.into_iter().map(|(target, _)| target).collect();
    let pipeline = Pipeline { source: source.clone(), root: root.to_owned(), default, data, logs, groups, tasks };
    Some(Read { pipeline, files, servers })
}

fn data(top: &Section<'_, '_>) -> (DataPaths, BTreeMap<&'static str, Range<usize>>) {
    let section = top.section("data");
    let mut places = BTreeMap::new();
    let mut path = |key: &'static str| -> Option<PathBuf> {
        let (path, span) = section.as_ref()?.path(key)?;
        places.insert(key, span);
        Some(path)
    };
    let paths = DataPaths {
        pool: path("pool").unwrap_or_else(|| "data".into()),
        servers: path("servers").unwrap_or_else(|| "config/servers.toml".into()),
        scales: path("scales").unwrap_or_else(|| "config/scales".into()),
        alerts: path("alerts"),
        corrections: path("corrections"),
        participants: path("participants"),
    };
    if let Some(section) = section {
        section.end();
    }
    (paths, places)
}

fn logs(top: &Section<'_, '_>) -> LogSettings {
    let mut settings = LogSettings::default();
    let Some(section) = top.section("logs") else { return settings };
    let days = |key| section.whole(key, 1, 36_500).and_then(|days| u32::try_from(days).ok());
    if let Some(json) = section.word("format", &[("text", false), ("json", true)]) {
        settings.json = json;
    }
    settings.keep_days = days("keep_days").unwrap_or(settings.keep_days);
    settings.keep_runs = days("keep_runs").unwrap_or(settings.keep_runs);
    settings.compress = section.boolean("compress").unwrap_or(settings.compress);
    section.end();
    settings
}

fn groups(top: &Section<'_, '_>) -> BTreeMap<String, usize> {
    let mut groups = BTreeMap::from([("network".to_owned(), 8)]);
    let Some(section) = top.section("groups") else { return groups };
    for (name, _, value) in section.entries() {
        if let Some(size) = section.whole_value(name, value, 1, 1024).and_then(|size| usize::try_from(size).ok()) {
            groups.insert(name.to_owned(), size);
        }
    }
    groups
}

fn tasks(top: &Section<'_, '_>, groups: &BTreeMap<String, usize>) -> Vec<Unlinked> {
    let Some(section) = top.section("task") else {
        if top.get("task").is_none() {
            let hint = "`mtdata init` writes a pipeline to begin with".to_owned();
            top.problem(0..0, "there is no [task.NAME]", Some(hint));
        }
        return Vec::new();
    };
    let mut tasks: Vec<Unlinked> = Vec::new();
    for (name, span, value) in section.in_order() {
        if ServerName::new(name).is_err() {
            let hint = Some("letters, digits, `_`, `-` and `.`, since names stand in targets".to_owned());
            section.problem(span.clone(), format!("`{name}` cannot be a task's name"), hint);
        }
        if let Some(other) = tasks.iter().find(|other| other.spec.name.eq_ignore_ascii_case(name)) {
            let message = format!("the tasks `{}` and `{name}` differ only in case", other.spec.name);
            section.problem(span.clone(), message, Some("rename one of them".to_owned()));
        }
        if let Some(below) = section.below(name, value) {
            tasks.extend(task(name, span, below, groups));
        }
    }
    tasks
}

/// Every default begins with a task, unless it is a file's path.
fn check_default(top: &Section<'_, '_>, default: &[Named], tasks: &[TaskSpec]) {
    let known = || tasks.iter().map(|task| task.name.as_str());
    for (target, span) in default {
        let mut segments = target.split('/');
        let task = segments.next().unwrap_or_default();
        let file = segments.next_back().is_some_and(|name| name.contains('.'));
        if !file && !task.contains(['*', '?']) && !known().any(|name| name == task) {
            top.problem(span.clone(), format!("there is no task `{task}`"), meant(task, known()));
        }
    }
}

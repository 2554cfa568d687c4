//! Tasks times axes: which instances there are, given what was seen of servers, scales and dates.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::config::pipeline::{Action, Pipeline, ScaleChoice, TaskSpec};
use crate::study::name::{ScaleName, ServerName};
use crate::task::{Axes, Facts, ScaleFacts};

/// An instance without its date. Joins between tasks are made on these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Index into [`Pipeline::tasks`].
    pub task: usize,
    pub server: Option<ServerName>,
    pub scale: Option<ScaleName>,
}

impl Key {
    /// Whether the two agree on the axes that both have.
    pub fn joins(&self, other: &Self) -> bool {
        fn agree<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
            a.is_none() || b.is_none() || a == b
        }
        agree(self.server.as_ref(), other.server.as_ref()) && agree(self.scale.as_ref(), other.scale.as_ref())
    }

    pub fn axes(&self) -> Axes {
        Axes { server: self.server.clone(), scale: self.scale.clone(), date: None }
    }
}

/// The name of an instance: `decode/mindtrails/OA/2026-11-23`.
pub fn target_name(task: &TaskSpec, axes: &Axes) -> String {
    let mut text = task.name.clone();
    if let Some(server) = &axes.server {
        text.push('/');
        text.push_str(server.as_str());
    }
    if let Some(scale) = &axes.scale {
        text.push('/');
        text.push_str(scale.as_str());
    }
    if let Some(date) = axes.date {
        // Writing to a String cannot fail.
        let _ = write!(text, "/{date}");
    }
    text
}

/// All keys of a task over these servers, in order.
pub fn keys_of(pipeline: &Pipeline, task: usize, facts: &Facts, servers: &BTreeSet<&ServerName>) -> Vec<Key> {
    let spec = &pipeline.tasks[task];
    if !spec.each.server {
        return vec![Key { task, server: None, scale: None }];
    }
    let mut keys = Vec::new();
    for (server, seen) in &facts.servers {
        let listed = spec.servers.as_ref().is_none_or(|only| only.contains(server));
        // Never asked over the network: it has no export at all.
        let askable = spec.action != Action::Export || seen.ready;
        if !listed || !askable || !servers.contains(server) {
            continue;
        }
        if spec.each.scale {
            let scales = seen.scales.iter().filter(|(scale, facts)| chosen(spec, scale, facts));
            keys.extend(scales.map(|(scale, _)| Key {
                task,
                server: Some(server.clone()),
                scale: Some(scale.clone()),
            }));
        } else {
            keys.push(Key { task, server: Some(server.clone()), scale: None });
        }
    }
    keys
}

fn chosen(spec: &TaskSpec, scale: &ScaleName, facts: &ScaleFacts) -> bool {
    match &spec.scales {
        None | Some(ScaleChoice::All) => true,
        Some(ScaleChoice::Deleteable) => facts.deleteable == Some(true),
        Some(ScaleChoice::Static) => facts.deleteable == Some(false),
        Some(ScaleChoice::Named(names)) => names.contains(scale),
    }
}

/// When in a run the instances of a task can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// At once: no server, and nothing before it that has one.
    First,
    /// After the server's listing.
    Export,
    /// After the server's exports, when its dates are known.
    Server,
    /// When all servers' instances are known.
    Last,
}

/// The phase of each task of the pipeline.
///
/// # Panics
/// Never: the pipeline has been checked for cycles.
pub fn phases(pipeline: &Pipeline) -> Vec<Phase> {
    let mut phases = vec![None; pipeline.tasks.len()];
    for task in 0..pipeline.tasks.len() {
        phase_of(pipeline, task, &mut phases);
    }
    phases.into_iter().map(|phase| phase.expect("every task was visited")).collect()
}

fn phase_of(pipeline: &Pipeline, task: usize, phases: &mut Vec<Option<Phase>>) -> Phase {
    if let Some(phase) = phases[task] {
        return phase;
    }
    let spec = &pipeline.tasks[task];
    let before = spec.needs.iter().chain(&spec.after).map(|&other| phase_of(pipeline, other, phases)).max();
    let phase = match (spec.each.server, before) {
        (_, Some(Phase::Last)) | (false, Some(Phase::Export | Phase::Server)) => Phase::Last,
        (false, _) => Phase::First,
        (true, _) if spec.action == Action::Export => Phase::Export,
        (true, _) => Phase::Server,
    };
    phases[task] = Some(phase);
    phase
}

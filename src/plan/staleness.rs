//! Whether an instance is up to date: a comparison of what it declares and what is seen with what its manifest says.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::pipeline::{Action, TaskSpec};
use crate::plan::graph::Instance;
use crate::plan::reason::Reason;
use crate::state::Content;
use crate::state::{Manifest, Name, Setback};
use crate::task::{Axes, Facts};

/// What stands in the files now.
pub trait Contents {
    fn content(&self, path: Name) -> Content;
}

impl<S: std::hash::BuildHasher> Contents for HashMap<Name, Content, S> {
    fn content(&self, path: Name) -> Content {
        self.get(&path).copied().unwrap_or(Content::ABSENT)
    }
}

/// When an instance has to be asked whatever its files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhythm {
    /// Only what changed counts.
    Content,
    /// On each build: an export without `every`.
    Always,
    /// When the last success is older.
    Every(Duration),
    /// The listing shows nothing to fetch: only what was left undone is taken up again.
    Empty,
}

impl Rhythm {
    /// Of the instance of a task with these axes.
    pub fn of(spec: &TaskSpec, axes: &Axes, facts: &Facts) -> Self {
        if spec.action != Action::Export {
            return spec.every.map_or(Self::Content, Self::Every);
        }
        let server = axes.server.as_ref().and_then(|server| facts.servers.get(server));
        let scale = server.zip(axes.scale.as_ref()).and_then(|(server, scale)| server.scales.get(scale));
        if scale.is_some_and(|scale| scale.deleteable == Some(true) && scale.listed == Some(0)) {
            return Self::Empty;
        }
        spec.every.map_or(Self::Always, Self::Every)
    }
}

/// What the state remembers of an instance, and when and how it is asked now.
#[derive(Debug, Clone, Copy)]
pub struct Memory<'s> {
    pub manifest: Option<&'s Manifest>,
    pub setback: Option<&'s Setback>,
    pub rhythm: Rhythm,
    pub forced: bool,
    /// A target on the command line names it.
    pub named: bool,
    /// Milliseconds since 1970, UTC.
    pub now: i64,
}

impl Memory<'_> {
    /// Reasons to run that need no look at any file.
    pub fn reasons(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if self.forced {
            reasons.push(Reason::Forced);
        }
        match self.rhythm {
            Rhythm::Always => reasons.push(Reason::Asked),
            Rhythm::Every(_) if self.named => reasons.push(Reason::Named),
            Rhythm::Every(every) => {
                let age = self.manifest.map(|manifest| self.now.saturating_sub(manifest.finished));
                // A success in the future means that the clock was wrong then or is now: ask.
                if age.is_some_and(|age| age < 0 || u128::from(age.unsigned_abs()) >= every.as_millis()) {
                    reasons.push(Reason::Due { every });
                }
            }
            Rhythm::Content | Rhythm::Empty => {}
        }
        if let Some(setback) = self.setback {
            reasons.push(Reason::FailedBefore { run: setback.run });
        }
        match self.manifest {
            Some(manifest) if manifest.unfinished => reasons.push(Reason::Unfinished),
            None if !matches!(self.rhythm, Rhythm::Always | Rhythm::Empty) => reasons.push(Reason::New),
            _ => {}
        }
        reasons
    }
}

/// All reasons to run, root causes first; none: up to date. Pure.
pub fn judge(instance: &Instance, memory: &Memory<'_>, contents: &impl Contents) -> Vec<Reason> {
    let mut reasons = memory.reasons();
    let Some(manifest) = memory.manifest else { return reasons };
    if manifest.revision != instance.revision {
        reasons.push(Reason::Revision { old: manifest.revision, new: instance.revision });
    }
    parameters(instance, manifest, &mut reasons);
    inputs(instance, manifest, contents, &mut reasons);
    outputs(instance, manifest, contents, &mut reasons);
    reasons
}

fn parameters(instance: &Instance, manifest: &Manifest, reasons: &mut Vec<Reason>) {
    if instance.parameters == manifest.parameters {
        return;
    }
    for (name, new) in &instance.parameters {
        let old = manifest.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        if old != Some(*new) {
            reasons.push(Reason::Parameter { name: *name, old, new: Some(*new) });
        }
    }
    for (name, old) in &manifest.parameters {
        if !instance.parameters.iter().any(|(key, _)| key == name) {
            reasons.push(Reason::Parameter { name: *name, old: Some(*old), new: None });
        }
    }
}

fn inputs(instance: &Instance, manifest: &Manifest, contents: &impl Contents, reasons: &mut Vec<Reason>) {
    // Nearly always the same files in the same order.
    let same = instance.inputs.len() == manifest.inputs.len()
        && instance.inputs.iter().zip(&manifest.inputs).all(|(now, (then, _))| now == then);
    if same {
        for (path, old) in &manifest.inputs {
            compare(*path, *old, contents.content(*path), reasons);
        }
        return;
    }
    let before: HashMap<Name, Content> = manifest.inputs.iter().copied().collect();
    for path in &instance.inputs {
        let new = contents.content(*path);
        match before.get(path) {
            Some(old) => compare(*path, *old, new, reasons),
            // A file that may exist and does not is no input yet.
            None if new.is_absent() => {}
            None => reasons.push(Reason::InputAdded { path: *path, new }),
        }
    }
    let now: std::collections::HashSet<Name> = instance.inputs.iter().copied().collect();
    for (path, old) in &manifest.inputs {
        if !now.contains(path) && !old.is_absent() {
            reasons.push(Reason::InputRemoved { path: *path, old: *old });
        }
    }
}

fn compare(path: Name, old: Content, new: Content, reasons: &mut Vec<Reason>) {
    if old == new {
    } else if old.is_absent() {
        reasons.push(Reason::InputAdded { path, new });
    } else {
        reasons.push(Reason::InputChanged { path, old, new });
    }
}

fn outputs(instance: &Instance, manifest: &Manifest, contents: &impl Contents, reasons: &mut Vec<Reason>) {
    let same = instance.outputs.len() == manifest.outputs.len()
        && instance.outputs.iter().zip(&manifest.outputs).all(|((now, _), (then, _))| now == then);
    if !same {
        reasons.push(Reason::OutputsDiffer);
    }
    for (path, old) in &manifest.outputs {
        let new = contents.content(*path);
        if *old != new {
            let missing = Reason::OutputMissing { path: *path };
            reasons.push(if new.is_absent() { missing } else { Reason::OutputChanged { path: *path, old: *old, new } });
        }
    }
}

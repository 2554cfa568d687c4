//! What becomes of an instance: up to date, blocked, failed, or done; told, counted and remembered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use petgraph::graph::NodeIndex;

use crate::alert::Trouble;
use crate::code::{Code, Urgency};
use crate::config::pipeline::{Action, AlertLevel};
use crate::counts::{Count, Counts};
use crate::disk::content::Content;
use crate::disk::stamp::Stamp;
use crate::failure::Failure;
use crate::plan::staleness::Contents;
use crate::plan::{Instance, Reason};
use crate::run::events::{FailureRecord, FileRecord, Finished, Outcome};
use crate::run::facts::{now, project_path};
use crate::run::schedule::{Scheduler, State};
use crate::run::teller::capped;
use crate::state::{Manifest, Name, Setback};
use crate::study::name::ServerName;
use crate::task::{Done, Warning};

impl Scheduler<'_> {
    fn text(&self, name: Name) -> Arc<str> {
        Arc::from(self.store.names.text(name))
    }

    fn target(&self, node: NodeIndex) -> Arc<str> {
        self.text(self.graph.nodes[node].target)
    }

    pub(super) fn up_to_date(&mut self, node: NodeIndex) {
        if self.request.loudness == crate::run::request::Loudness::Verbose {
            let target = self.target(node).to_string();
            self.teller.finished(plain(target, Outcome::UpToDate, String::new()), false);
        }
    }

    pub(super) fn blocked(&mut self, node: NodeIndex, by: &[NodeIndex]) -> Outcome {
        let reason = format!("needs {}, which did not succeed", self.listed_names(by));
        let target = self.target(node).to_string();
        self.teller.finished(plain(target, Outcome::Blocked, reason), false);
        Outcome::Blocked
    }

    fn listed_names(&self, nodes: &[NodeIndex]) -> String {
        let mut names: Vec<String> = nodes.iter().take(3).map(|&node| self.target(node).to_string()).collect();
        if nodes.len() > 3 {
            names.push(format!("{} more", nodes.len() - 3));
        }
        names.join(", ")
    }

    pub(super) fn warn_partial(&mut self, node: NodeIndex, bad: &[NodeIndex]) {
        let message = format!("uses the last good outputs of {}, which did not succeed", self.listed_names(bad));
        let target = self.target(node).to_string();
        let server = self.graph.nodes[node].axes.server.as_ref().map(ToString::to_string);
        self.warn(&target, server, Warning::new(Code::Partial, message));
    }

    /// A listing that failed is one trouble, however many exports fail with it.
    pub(super) fn listing_failure(&mut self, server: &ServerName, exports: &[NodeIndex], failure: &Failure) {
        let export = exports.first().map(|&node| self.graph.nodes[node].task);
        let tasks = &self.project.pipeline.tasks;
        let spec =
            export.map_or_else(|| tasks.iter().find(|task| task.action == Action::Export), |task| Some(&tasks[task]));
        let Some(spec) = spec else { return };
        let target = format!("{}/{server}", spec.name);
        self.add_trouble(Some(server), &target, failure, spec.alert);
        if exports.is_empty() {
            let mut finished = plain(target, Outcome::Failed, "asked for its listing".to_owned());
            finished.failure = Some(record(failure));
            self.teller.finished(finished, is_critical(failure, spec.alert));
            *self.tally.entry(Outcome::Failed).or_default() += 1;
        }
    }

    pub(super) fn failed_by_listing(&mut self, node: NodeIndex, failure: &Failure, reasons: &[Reason]) -> Outcome {
        let target = self.target(node).to_string();
        let outcome = if failure.kind == Code::Interrupted { Outcome::Interrupted } else { Outcome::Failed };
        let mut finished = plain(target, outcome, self.causes.line(reasons, &self.store.names));
        finished.failure = Some(record(failure));
        self.teller.finished(finished, is_critical(failure, self.alert(node)));
        self.remember_setback(node, failure);
        outcome
    }

    fn alert(&self, node: NodeIndex) -> AlertLevel {
        self.project.pipeline.tasks[self.graph.nodes[node].task].alert
    }

    fn add_trouble(&mut self, server: Option<&ServerName>, target: &str, failure: &Failure, alert: AlertLevel) {
        if is_critical(failure, alert) {
            self.troubles.push(Trouble {
                server: server.map(ToString::to_string),
                target: target.to_owned(),
                code: failure.kind,
                message: failure.message.clone(),
                advice: failure.advice.clone(),
                tail: failure.tail.clone(),
                passing: false,
            });
        }
    }

    /// What the thread of an instance brought back.
    pub(super) fn completed(&mut self, node: NodeIndex, result: Result<Done, Failure>, began: Instant, took: Duration) {
        let state = std::mem::replace(&mut self.states[node.index()], State::Waiting(usize::MAX));
        let reasons = if let State::Queued(reasons) = state { reasons } else { Vec::new() };
        let before: Vec<Content> = self.output_contents(node);
        let told: Vec<_> = match &result {
            Ok(done) => done
                .written
                .iter()
                .map(|file| (Arc::from(project_path(self.root(), &file.path)), Content::from(file.hash), file.size))
                .collect(),
            Err(_) => Vec::new(),
        };
        let outputs: Vec<Name> = self.graph.nodes[node].outputs.iter().map(|(path, _)| *path).collect();
        if let Err(error) = self.snapshot.refresh(self.root(), outputs.iter().copied(), &told, &mut self.store) {
            self.broken_state.get_or_insert(error);
        }
        let result = result.and_then(|done| self.all_made(node).map(|()| done));
        let mut finished =
            plain(self.target(node).to_string(), Outcome::Failed, self.causes.line(&reasons, &self.store.names));
        finished.reasons = capped(&reasons, &self.store.names);
        finished.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        finished.inputs = self.changed_inputs(&reasons);
        finished.outputs = self.file_records(&outputs);
        let critical = match &result {
            Ok(done) => {
                finished.outcome = self.succeeded(node, done, &reasons, &before);
                finished.counts = done.counts.clone();
                finished.printed.clone_from(&done.printed);
                self.counts.merge(&done.counts);
                false
            }
            Err(failure) => {
                finished.failure = Some(record(failure));
                finished.counts = failure.counts.clone();
                self.counts.merge(&failure.counts);
                finished.outcome = self.failed(node, failure);
                is_critical(failure, self.alert(node))
            }
        };
        if let Some(server) = &self.graph.nodes[node].axes.server {
            *self.pending.entry(server.clone()).or_default() += finished.counts.get(Count::DeletePending);
        }
        let outcome = finished.outcome;
        let category = self.project.pipeline.tasks[self.graph.nodes[node].task].name.as_str();
        self.trace.add(&finished.target, category, began, took, outcome.word());
        self.teller.finished(finished, critical);
        if outcome == Outcome::Failed && self.request.fail_fast {
            self.halted = true;
        }
        self.ended(node, outcome);
    }

    fn output_contents(&self, node: NodeIndex) -> Vec<Content> {
        self.graph.nodes[node].outputs.iter().map(|(path, _)| self.snapshot.content(*path)).collect()
    }

    /// Every file that has to be there is there.
    fn all_made(&self, node: NodeIndex) -> Result<(), Failure> {
        let instance = &self.graph.nodes[node];
        let missing = |(path, required): &&(Name, bool)| *required && self.snapshot.content(*path).is_absent();
        let Some((path, _)) = instance.outputs.iter().find(missing) else { return Ok(()) };
        let path = self.text(*path);
        match self.project.pipeline.tasks[instance.task].action {
            Action::Command(_) => {
                Err(Failure::new(Code::Command, format!("the command ended well but did not make {path}"))
                    .advise("write the declared output, or declare what it writes"))
            }
            _ => Err(Failure::new(Code::Internal, format!("{path} was not made"))),
        }
    }

    fn succeeded(&mut self, node: NodeIndex, done: &Done, reasons: &[Reason], before: &[Content]) -> Outcome {
        let instance = self.graph.nodes[node].clone();
        let export = self.project.pipeline.tasks[instance.task].action == Action::Export;
        let new: Vec<Content> = self.output_contents(node);
        let changed = if export {
            done.written.iter().any(|file| file.changed) || done.counts.get(Count::Deleted) > 0
        } else {
            new != before || self.store.manifest(instance.target).is_none()
        };
        self.remember(&instance, done.unfinished);
        if !changed {
            return Outcome::Unchanged;
        }
        if export {
            let root = self.root();
            let paths: Vec<String> = done.written.iter().map(|file| project_path(root, &file.path)).collect();
            for (path, file) in paths.iter().zip(&done.written) {
                tracing::info!(target = %self.text(instance.target), bytes = file.size, "new raw file {path}");
            }
            let names: Vec<Name> = paths.iter().map(|path| self.store.names.intern(path)).collect();
            let target = self.text(instance.target);
            self.causes.exported(node, &target, done, names.into_iter());
            if let Some(server) = &instance.axes.server {
                self.wrote_raw(server);
            }
        } else {
            self.causes.built(node, &self.graph, &self.store.names, reasons);
        }
        Outcome::Built
    }

    fn remember(&mut self, instance: &Instance, unfinished: bool) {
        // The hashes of before the run: an input changed since is found stale by the next run, and one changed there
        // and back, which no hash would show, makes this success provisional.
        let disturbed = instance.inputs.iter().any(|path| self.was_disturbed(*path));
        let contents =
            |paths: &mut dyn Iterator<Item = Name>| paths.map(|path| (path, self.snapshot.content(path))).collect();
        let manifest = Manifest {
            revision: instance.revision,
            parameters: instance.parameters.clone(),
            inputs: contents(&mut instance.inputs.iter().copied()),
            outputs: contents(&mut instance.outputs.iter().map(|(path, _)| *path)),
            run: self.run,
            finished: now(),
            unfinished: unfinished || disturbed,
        };
        if let Err(error) = self.store.record_done(instance.target, manifest) {
            self.broken_state.get_or_insert(error);
        }
    }

    fn was_disturbed(&self, path: Name) -> bool {
        let now = Stamp::of(&self.root().join(&*self.text(path))).ok().flatten();
        match self.store.seen(path) {
            Some(seen) if !self.snapshot.content(path).is_absent() => now != Some(seen.stamp),
            _ => now.is_some() == self.snapshot.content(path).is_absent(),
        }
    }

    fn failed(&mut self, node: NodeIndex, failure: &Failure) -> Outcome {
        if failure.kind == Code::Interrupted {
            return Outcome::Interrupted;
        }
        let instance = &self.graph.nodes[node];
        let (server, alert) = (instance.axes.server.clone(), self.project.pipeline.tasks[instance.task].alert);
        let target = self.target(node);
        self.add_trouble(server.as_ref(), &target, failure, alert);
        // An export that failed late may have archived something before.
        if let Some(server) = server.as_ref() {
            self.wrote_raw(server);
        }
        self.remember_setback(node, failure);
        Outcome::Failed
    }

    fn remember_setback(&mut self, node: NodeIndex, failure: &Failure) {
        if failure.kind == Code::Interrupted {
            return;
        }
        let message = self.store.names.intern(&failure.message);
        let setback = Setback { run: self.run, when: now(), message };
        if let Err(error) = self.store.record_failed(self.graph.nodes[node].target, setback) {
            self.broken_state.get_or_insert(error);
        }
    }

    fn changed_inputs(&self, reasons: &[Reason]) -> Vec<FileRecord> {
        let inputs = reasons.iter().filter(|reason| {
            matches!(reason, Reason::InputAdded { .. } | Reason::InputChanged { .. } | Reason::InputRemoved { .. })
        });
        let paths: Vec<Name> = inputs.filter_map(Reason::path).collect();
        self.file_records(&paths)
    }

    fn file_records(&self, paths: &[Name]) -> Vec<FileRecord> {
        let one = |path: &Name| {
            let content = self.snapshot.content(*path);
            FileRecord { path: self.text(*path).to_string(), hash: (!content.is_absent()).then(|| content.hex()) }
        };
        paths.iter().map(one).collect()
    }
}

fn is_critical(failure: &Failure, alert: AlertLevel) -> bool {
    failure.kind.urgency() == Urgency::Critical && alert == AlertLevel::Critical
}

fn plain(target: String, outcome: Outcome, reason: String) -> Finished {
    Finished {
        target,
        outcome,
        reason,
        reasons: Vec::new(),
        duration_ms: 0,
        inputs: Vec::new(),
        outputs: Vec::new(),
        counts: Counts::default(),
        failure: None,
        printed: Vec::new(),
    }
}

fn record(failure: &Failure) -> FailureRecord {
    FailureRecord {
        kind: failure.kind,
        message: failure.message.clone(),
        advice: failure.advice.clone(),
        tail: failure.tail.clone(),
    }
}

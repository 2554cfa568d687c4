//! How the graph grows while a run goes on: listing, exports, dates, server by server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::Scope;
use std::time::Duration;

use petgraph::graph::NodeIndex;

use crate::config::pipeline::Action;
use crate::failure::Failure;
use crate::plan::expand::{Phase, keys_of, target_name};
use crate::plan::target::{nearest, servers_to_ask};
use crate::plan::{Dependency, Selection};
use crate::retry::RetryPolicy;
use crate::run::contents::observe;
use crate::run::facts;
use crate::run::schedule::{Scheduler, State};
use crate::run::server_progress::ServerProgress;
use crate::run::worker::Message;
use crate::state::Name;
use crate::study::listing::Listed;
use crate::study::name::ServerName;
use crate::task::Warning;

impl<'r> Scheduler<'r> {
    pub(super) fn begin<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, sender: &Sender<Message>)
    where
        'r: 'scope,
    {
        self.grow(Phase::First, None);
        for server in self.facts.servers.keys() {
            self.servers.insert(server.clone(), ServerProgress::default());
        }
        for server in servers_to_ask(&self.project.pipeline, &self.facts, &self.request.targets) {
            if self.must_be_asked(&server) {
                self.asking.insert(server.clone());
                let (tasks, cancel, sender) = (self.tasks, self.cancel.clone(), sender.clone());
                let policy = self.export_patience();
                scope.spawn(move || {
                    let (result, warnings) = tasks.lister.list(&server, policy, &cancel);
                    // The receiver lives as long as any thread.
                    let _ = sender.send(Message::Listed { server, result, warnings });
                });
            }
        }
        self.teller.progress().asking(self.asking.len());
        if self.asking.is_empty() && self.refuse_unknown() {
            return;
        }
        let silent: Vec<ServerName> =
            self.servers.keys().filter(|name| !self.asking.contains(*name)).cloned().collect();
        for server in silent {
            self.grow_exports(&server);
        }
        self.grow_last();
    }

    /// Whether the listing can change anything: not when only exports that are not due are known and wanted.
    fn must_be_asked(&self, server: &ServerName) -> bool {
        let mut known = false;
        let pipeline = &self.project.pipeline;
        for (task, spec) in pipeline.tasks.iter().enumerate().filter(|(_, spec)| spec.action == Action::Export) {
            for key in keys_of(pipeline, task, &self.facts, &BTreeSet::from([server])) {
                if !self.selection.contains(&key) {
                    continue;
                }
                known = true;
                let target = self.store.names.find(&target_name(spec, &key.axes()));
                let memory = self.memory_of(target, task, &key.axes(), self.selection.is_named(&key));
                if !memory.reasons().is_empty() {
                    return true;
                }
            }
        }
        !known
    }

    fn export_patience(&self) -> RetryPolicy {
        let export = self.project.pipeline.tasks.iter().find(|task| task.action == Action::Export);
        export.map_or(RetryPolicy { retries: 3, timeout: Duration::from_secs(120) }, |task| RetryPolicy {
            retries: task.retries,
            timeout: task.timeout,
        })
    }

    /// Once every listing is in: targets that select nothing end the run before anything is done.
    fn refuse_unknown(&mut self) -> bool {
        if !self.request.explicit {
            return false;
        }
        if self.request.any && self.selection.unmatched().count() < self.request.targets.len() {
            return false;
        }
        let failed = self.servers.values().any(|server| server.listing_failed.is_some());
        let known = self.every_name();
        for index in self.selection.unmatched() {
            let target = &self.request.targets[index];
            // A server that did not answer may well have it.
            if !failed {
                let near = nearest(&target.text, known.iter().map(String::as_str));
                self.unknown.push(target.unknown(&near.into_iter().map(str::to_owned).collect::<Vec<_>>()));
            }
        }
        !self.unknown.is_empty()
    }

    fn every_name(&self) -> Vec<String> {
        let pipeline = &self.project.pipeline;
        let servers: BTreeSet<&ServerName> = self.facts.servers.keys().collect();
        let tasks = 0..pipeline.tasks.len();
        let keys = tasks.flat_map(|task| keys_of(pipeline, task, &self.facts, &servers));
        keys.map(|key| target_name(&pipeline.tasks[key.task], &key.axes())).collect()
    }

    pub(super) fn listed(&mut self, server: &ServerName, result: Result<Vec<Listed>, Failure>, warnings: Vec<Warning>) {
        self.asking.remove(server);
        self.teller.progress().asking(self.asking.len());
        let target = format!("{}/{server}", self.export_name());
        for warning in warnings {
            self.warn(&target, Some(server.to_string()), warning);
        }
        match result {
            Ok(listing) => {
                if let Some(seen) = Arc::make_mut(&mut self.facts).servers.get_mut(server) {
                    facts::add_listing(seen, &listing);
                }
            }
            Err(failure) => {
                if let Some(progress) = self.servers.get_mut(server) {
                    progress.listing_failed = Some(failure);
                }
            }
        }
        self.select();
        // Whether a target exists at all may hang on the listings still to come: nothing is run before.
        let open = self.request.explicit && self.selection.unmatched().next().is_some();
        if !open || (self.asking.is_empty() && !self.refuse_unknown()) {
            self.grow_listed();
        }
        self.grow_last();
    }

    fn export_name(&self) -> String {
        let export = self.project.pipeline.tasks.iter().find(|task| task.action == Action::Export);
        export.map_or_else(|| "export".to_owned(), |task| task.name.clone())
    }

    fn grow_listed(&mut self) {
        let answered = |(name, progress): (&ServerName, &ServerProgress)| {
            (!progress.grown && progress.exports_left == 0 && !self.asking.contains(name)).then(|| name.clone())
        };
        let servers: Vec<ServerName> = self.servers.iter().filter_map(answered).collect();
        for server in servers {
            self.grow_exports(&server);
        }
    }

    fn select(&mut self) {
        let (pipeline, request) = (&self.project.pipeline, self.request);
        self.selection = Selection::new(pipeline, &self.facts, &request.targets, request.explicit);
    }

    fn grow_exports(&mut self, server: &ServerName) {
        let failure = self.servers.get(server).and_then(|progress| progress.listing_failed.clone());
        let nodes = self.add(Phase::Export, Some(server));
        if let Some(progress) = self.servers.get_mut(server) {
            progress.exports_left = nodes.len();
        }
        if let Some(failure) = failure {
            self.listing_failure(server, &nodes, &failure);
        }
        self.settle(nodes.clone());
        if nodes.is_empty() {
            self.grow_server(server);
        }
    }

    fn grow_server(&mut self, server: &ServerName) {
        let Some(progress) = self.servers.get_mut(server) else { return };
        if std::mem::replace(&mut progress.grown, true) {
            return;
        }
        if progress.wrote {
            facts::look_again(self.project, server, Arc::make_mut(&mut self.facts));
            self.select();
        }
        self.grow(Phase::Server, Some(server));
        self.grow_last();
    }

    fn grow_last(&mut self) {
        let open =
            self.finished_growing || !self.unknown.is_empty() || self.servers.values().any(|server| !server.grown);
        if open || !self.asking.is_empty() {
            return;
        }
        self.finished_growing = true;
        self.grow(Phase::Last, None);
        for target in self.request.targets.iter().filter(|target| self.request.explicit && target.is_dated()) {
            let names = &self.store.names;
            if !self.graph.nodes.node_weights().any(|instance| target.covers(names.text(instance.target))) {
                self.unknown.push(target.unknown(&[]));
            }
        }
    }

    fn grow(&mut self, phase: Phase, server: Option<&ServerName>) {
        let nodes = self.add(phase, server);
        self.settle(nodes);
    }

    fn add(&mut self, phase: Phase, server: Option<&ServerName>) -> Vec<NodeIndex> {
        let known = self.known_files(phase, server);
        let (facts, selection, root) = (&self.facts, &self.selection, &self.project.pipeline.root);
        let (store, graph) = (&self.store, &mut self.graph);
        let mut fork = store.names.fork();
        // What earlier runs knew is nearly always what is needed: the one core draws the graph, the other looks.
        let (nodes, glanced) = self.pool.install(|| {
            rayon::join(|| graph.grow(phase, server, facts, selection, &mut fork), || observe(root, &known, store))
        });
        let fresh = fork.into_fresh();
        self.store.names.adopt(&fresh);
        for &node in &nodes {
            let open = |(before, _): &(NodeIndex, Dependency)| !matches!(self.states[before.index()], State::Ended(_));
            let waiting = self.graph.before_node(node).filter(open).count();
            self.states.push(State::Waiting(waiting));
        }
        self.teller.progress().expect(nodes.len());
        let graph = &self.graph;
        let paths = nodes.iter().flat_map(|&node| {
            let instance = &graph.nodes[node];
            instance.inputs.iter().copied().chain(instance.outputs.iter().map(|(path, _)| *path))
        });
        let paths: Vec<Name> = paths.collect();
        let (snapshot, store, root) = (&mut self.snapshot, &mut self.store, &self.project.pipeline.root);
        let looked = snapshot.accept(glanced, &paths, store);
        if let Err(error) = looked.and_then(|()| self.pool.install(|| snapshot.look(root, paths.into_iter(), store))) {
            self.broken_state.get_or_insert(error);
        }
        nodes
    }

    /// Files of a server's folder that earlier runs saw; none where only a part of them can be needed.
    fn known_files(&self, phase: Phase, server: Option<&ServerName>) -> Vec<Name> {
        let whole = self.request.targets.iter().all(|target| !target.is_narrow());
        let folder = server.filter(|_| whole && phase == Phase::Server).and_then(|name| self.facts.servers.get(name));
        folder.map_or_else(Vec::new, |folder| self.store.seen_below(&folder.path))
    }

    pub(super) fn export_ended(&mut self, node: NodeIndex) {
        let instance = &self.graph.nodes[node];
        if self.project.pipeline.tasks[instance.task].action != Action::Export {
            return;
        }
        let Some(server) = instance.axes.server.clone() else { return };
        let Some(progress) = self.servers.get_mut(&server) else { return };
        progress.exports_left = progress.exports_left.saturating_sub(1);
        if progress.exports_left == 0 {
            self.grow_server(&server);
        }
    }

    pub(super) fn wrote_raw(&mut self, server: &ServerName) {
        if let Some(progress) = self.servers.get_mut(server) {
            progress.wrote = true;
        }
    }

    pub(super) fn listing_failed(&self, node: NodeIndex) -> Option<Failure> {
        let instance = &self.graph.nodes[node];
        let export = self.project.pipeline.tasks[instance.task].action == Action::Export;
        let server = instance.axes.server.as_ref().filter(|_| export)?;
        self.servers.get(server)?.listing_failed.clone()
    }

    pub(super) fn why_not_listed(&self, server: &ServerName) -> Option<&Failure> {
        self.servers.get(server).and_then(|progress| progress.listing_failed.as_ref())
    }
}

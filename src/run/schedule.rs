//! The order of a run: listing, exports, dates, per server; whatever is ready runs, group by group.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use petgraph::graph::NodeIndex;

use crate::alert::Trouble;
use crate::config::Project;
use crate::config::pipeline::Action;
use crate::plan::expand::Phase;
use crate::plan::staleness::{Memory, Rhythm, judge};
use crate::plan::target::servers_to_ask;
use crate::plan::{Dependency, Graph, Reason, Selection};
use crate::run::contents::{Snapshot, observe};
use crate::run::events::{Event, Outcome, RunOutcome};
use crate::run::explanation::Causes;
use crate::run::facts;
use crate::run::request::{Request, Summary};
use crate::run::signals::{Signals, Stop};
use crate::run::teller::Teller;
use crate::run::trace::Trace;
use crate::run::worker::{self, Job, Message};
use crate::state::{Name, Store};
use crate::study::listing::Listed;
use crate::study::name::ServerName;
use crate::task::{Cancel, Counts, Facts, Failure, Output, Patience, Warning};
use crate::tasks::Tasks;

/// How long running tasks may go on after Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);

/// Where an instance stands in this run.
#[derive(Debug)]
pub(super) enum State {
    /// For so many instances before it.
    Waiting(usize),
    /// Has to run, for these reasons.
    Queued(Vec<Reason>),
    Ended(Outcome),
}

/// Instances that may run side by side.
#[derive(Debug)]
struct Queue {
    limit: usize,
    running: usize,
    waiting: VecDeque<NodeIndex>,
}

/// How far a server is.
#[derive(Debug, Default)]
struct Progress {
    listing_failed: Option<Failure>,
    exports_left: usize,
    /// An export wrote raw files: the dates have to be looked for again.
    wrote: bool,
    grown: bool,
}

/// Everything that a run knows while it goes on.
pub struct Scheduler<'r> {
    pub(super) project: &'r Project,
    pub(super) tasks: &'r Tasks,
    pub(super) request: &'r Request,
    pub(super) run: Name,
    run_text: String,
    pub(super) facts: Arc<Facts>,
    pub(super) store: Store,
    pub(super) teller: Teller,
    pub(super) graph: Graph<'r>,
    selection: Selection,
    pub(super) snapshot: Snapshot,
    pub(super) states: Vec<State>,
    /// The last of them is for instances without a group.
    queues: Vec<Queue>,
    groups: HashMap<&'r str, usize>,
    pool: Arc<rayon::ThreadPool>,
    servers: BTreeMap<ServerName, Progress>,
    /// Listings not yet answered.
    asking: BTreeSet<ServerName>,
    in_flight: usize,
    pub(super) causes: Causes,
    pub trace: Trace,
    pub(super) tally: BTreeMap<Outcome, u64>,
    pub(super) counts: Counts,
    pub(super) warnings: u64,
    pub(super) troubles: Vec<Trouble>,
    /// Entries that could not be deleted in this run.
    pub(super) pending: BTreeMap<ServerName, u64>,
    unknown: Vec<String>,
    cancel: Cancel,
    /// No new instance is started.
    pub(super) halted: bool,
    finished_growing: bool,
    pub(super) broken_state: Option<io::Error>,
}

impl<'r> Scheduler<'r> {
    #[allow(clippy::too_many_arguments)] // the parts of one run, each made by its own room
    pub fn new(
        project: &'r Project,
        tasks: &'r Tasks,
        request: &'r Request,
        run: &str,
        facts: Facts,
        mut store: Store,
        teller: Teller,
        start: Instant,
    ) -> Self {
        let pipeline = &project.pipeline;
        let jobs = request.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(jobs)
            .build()
            .map_or_else(|_| rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build(), Ok);
        let mut queues = Vec::new();
        let mut groups = HashMap::new();
        for (name, &limit) in &pipeline.groups {
            groups.insert(name.as_str(), queues.len());
            queues.push(Queue { limit: limit.max(1), running: 0, waiting: VecDeque::new() });
        }
        queues.push(Queue { limit: jobs, running: 0, waiting: VecDeque::new() });
        let selection = Selection::new(pipeline, &facts, &request.targets, request.explicit);
        Self {
            project,
            tasks,
            request,
            run: store.names.intern(run),
            run_text: run.to_owned(),
            facts: Arc::new(facts),
            teller,
            graph: Graph::new(pipeline, &tasks.all),
            selection,
            snapshot: Snapshot::default(),
            states: Vec::new(),
            queues,
            groups,
            pool: Arc::new(pool.expect("a pool of the current thread alone needs nothing from the system")),
            servers: BTreeMap::new(),
            asking: BTreeSet::new(),
            in_flight: 0,
            causes: Causes::default(),
            trace: Trace::new(start),
            tally: BTreeMap::new(),
            counts: Counts::default(),
            warnings: 0,
            troubles: Vec::new(),
            pending: BTreeMap::new(),
            unknown: Vec::new(),
            cancel: Cancel::default(),
            halted: false,
            finished_growing: false,
            broken_state: None,
            store,
        }
    }

    pub(super) fn root(&self) -> &'r Path {
        &self.project.pipeline.root
    }

    /// Carries everything out.
    pub fn run(&mut self, signals: &Signals) -> Summary {
        let (sender, receiver) = channel();
        let mut stop = None;
        let mut deadline: Option<Instant> = None;
        std::thread::scope(|scope| {
            self.begin(scope, &sender);
            loop {
                self.dispatch(scope, &sender);
                if self.in_flight == 0 && self.asking.is_empty() {
                    break;
                }
                match receiver.recv_timeout(Duration::from_millis(100)) {
                    Ok(message) => {
                        self.receive(message);
                        while let Ok(message) = receiver.try_recv() {
                            self.receive(message);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => self.teller.progress().draw(),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if let (Some(signal), None) = (signals.stop(), stop) {
                    stop = Some(signal);
                    self.halted = true;
                    self.cancel.cancel();
                    deadline = Some(Instant::now() + GRACE);
                }
                if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                    self.leave(stop);
                }
            }
        });
        self.summary(stop)
    }

    /// Threads cannot be killed: what does not end within the grace ends with the process.
    fn leave(&mut self, stop: Option<Stop>) -> ! {
        // The state only saves work; the process ends either way.
        let _ = self.store.flush();
        self.teller.note("a task did not stop in time and is left; its outputs are as before");
        std::process::exit(if stop == Some(Stop::Terminate) { 143 } else { 130 })
    }

    fn begin<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, sender: &Sender<Message>)
    where
        'r: 'scope,
    {
        self.grow(Phase::First, None);
        for server in self.facts.servers.keys() {
            self.servers.insert(server.clone(), Progress::default());
        }
        for server in servers_to_ask(&self.project.pipeline, &self.facts, &self.request.targets) {
            if self.must_be_asked(&server) {
                self.asking.insert(server.clone());
                let (tasks, cancel, sender) = (self.tasks, self.cancel.clone(), sender.clone());
                let patience = self.export_patience();
                scope.spawn(move || {
                    let (result, warnings) = tasks.list(&server, patience, &cancel);
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
            for key in crate::plan::expand::keys_of(pipeline, task, &self.facts, &BTreeSet::from([server])) {
                if !self.selection.contains(&key) {
                    continue;
                }
                known = true;
                let target = crate::plan::expand::target_name(spec, &key.axes());
                let manifest = self.store.names.find(&target).and_then(|target| self.store.manifest(target));
                let due = match (spec.every, manifest) {
                    (Some(every), Some(manifest)) => {
                        manifest.unfinished
                            || u128::try_from(now() - manifest.finished).is_ok_and(|age| age >= every.as_millis())
                    }
                    _ => true,
                };
                if due || self.request.forced || self.selection.is_named(&key) {
                    return true;
                }
            }
        }
        !known
    }

    fn export_patience(&self) -> Patience {
        let export = self.project.pipeline.tasks.iter().find(|task| task.action == Action::Export);
        export.map_or(Patience { retries: 3, timeout: Duration::from_secs(120) }, |task| Patience {
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
                let near = crate::plan::target::nearest(&target.text, known.iter().map(String::as_str));
                self.unknown.push(target.unknown(&near.into_iter().map(str::to_owned).collect::<Vec<_>>()));
            }
        }
        !self.unknown.is_empty()
    }

    fn every_name(&self) -> Vec<String> {
        let pipeline = &self.project.pipeline;
        let servers: BTreeSet<&ServerName> = self.facts.servers.keys().collect();
        let tasks = 0..pipeline.tasks.len();
        let keys = tasks.flat_map(|task| crate::plan::expand::keys_of(pipeline, task, &self.facts, &servers));
        keys.map(|key| crate::plan::expand::target_name(&pipeline.tasks[key.task], &key.axes())).collect()
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Listed { server, result, warnings } => self.listed(&server, result, warnings),
            Message::Warned { node, warning } => {
                let target = self.store.names.text(self.graph.nodes[node].target).to_string();
                let server = self.graph.nodes[node].axes.server.as_ref().map(ToString::to_string);
                self.warn(&target, server, warning);
            }
            Message::Progress { node, done, total } => self.teller.progress().part(node, done, total),
            Message::Finished { node, result, began, took } => {
                self.in_flight -= 1;
                let queue = self.queue_of(node);
                self.queues[queue].running -= 1;
                self.teller.progress().finish(node);
                self.completed(node, result, began, took);
            }
        }
    }

    pub(super) fn warn(&mut self, target: &str, server: Option<String>, warning: Warning) {
        self.warnings += 1;
        if warning.critical {
            self.troubles.push(Trouble {
                server,
                target: target.to_owned(),
                code: warning.code.to_owned(),
                message: warning.message.clone(),
                advice: None,
                tail: Vec::new(),
                passing: true,
            });
        }
        self.teller.warned(target, warning);
    }

    fn listed(&mut self, server: &ServerName, result: Result<Vec<Listed>, Failure>, warnings: Vec<Warning>) {
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
        let answered = |(name, progress): (&ServerName, &Progress)| {
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

    /// Decides about all of these that wait for nothing, and about what that lets go on.
    fn settle(&mut self, nodes: Vec<NodeIndex>) {
        let mut ready: Vec<NodeIndex> = nodes;
        ready.reverse();
        ready.retain(|node| matches!(self.states[node.index()], State::Waiting(0)));
        while let Some(node) = ready.pop() {
            if let Some(outcome) = self.decide(node) {
                ready.extend(self.end(node, outcome));
            }
        }
    }

    /// Marks an instance as ended; returns what waited only for it.
    fn end(&mut self, node: NodeIndex, outcome: Outcome) -> Vec<NodeIndex> {
        self.states[node.index()] = State::Ended(outcome);
        *self.tally.entry(outcome).or_default() += 1;
        if outcome == Outcome::UpToDate {
            self.teller.progress().finish(node);
        }
        let mut free = Vec::new();
        for below in self.graph.below(node).collect::<Vec<_>>() {
            if let State::Waiting(open) = &mut self.states[below.index()] {
                *open -= 1;
                if *open == 0 {
                    free.push(below);
                }
            }
        }
        self.export_ended(node);
        free
    }

    pub(super) fn ended(&mut self, node: NodeIndex, outcome: Outcome) {
        let free = self.end(node, outcome);
        self.settle(free);
    }

    fn export_ended(&mut self, node: NodeIndex) {
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

    /// Up to date, blocked, or queued (`None`).
    fn decide(&mut self, node: NodeIndex) -> Option<Outcome> {
        let spec = &self.project.pipeline.tasks[self.graph.nodes[node].task];
        let bad: Vec<NodeIndex> = self
            .graph
            .before_node(node)
            .filter(|(before, how)| {
                *how == Dependency::Needs
                    && matches!(self.states[before.index()], State::Ended(outcome) if outcome.is_bad())
            })
            .map(|(before, _)| before)
            .collect();
        if !bad.is_empty() {
            if !spec.partial {
                return Some(self.blocked(node, &bad));
            }
            self.warn_partial(node, &bad);
        }
        let reasons = judge(&self.graph.nodes[node], &self.memory(node), &self.snapshot);
        if reasons.is_empty() {
            self.up_to_date(node);
            return Some(Outcome::UpToDate);
        }
        if let Some(failure) = self.listing_failed(node) {
            return Some(self.failed_by_listing(node, &failure, &reasons));
        }
        let queue = self.queue_of(node);
        self.states[node.index()] = State::Queued(reasons);
        self.queues[queue].waiting.push_back(node);
        None
    }

    fn listing_failed(&self, node: NodeIndex) -> Option<Failure> {
        let instance = &self.graph.nodes[node];
        let export = self.project.pipeline.tasks[instance.task].action == Action::Export;
        let server = instance.axes.server.as_ref().filter(|_| export)?;
        self.servers.get(server)?.listing_failed.clone()
    }

    fn memory(&self, node: NodeIndex) -> Memory<'_> {
        let instance = &self.graph.nodes[node];
        let forced = self.request.forced && (instance.named || !self.request.explicit);
        Memory {
            manifest: self.store.manifest(instance.target),
            setback: self.store.setback(instance.target),
            rhythm: rhythm(self.project, &self.facts, instance),
            forced,
            now: now(),
        }
    }

    fn queue_of(&self, node: NodeIndex) -> usize {
        let group = self.project.pipeline.tasks[self.graph.nodes[node].task].group.as_deref();
        group.and_then(|group| self.groups.get(group).copied()).unwrap_or(self.queues.len() - 1)
    }

    fn dispatch<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, sender: &Sender<Message>)
    where
        'r: 'scope,
    {
        for index in 0..self.queues.len() {
            while !self.halted && self.queues[index].running < self.queues[index].limit {
                let Some(node) = self.queues[index].waiting.pop_front() else { break };
                self.queues[index].running += 1;
                self.in_flight += 1;
                let grouped = index + 1 < self.queues.len();
                let pool = (!grouped).then(|| Arc::clone(&self.pool));
                let job = self.job(node);
                worker::start(scope, job, pool, sender.clone());
            }
        }
        // What this call changed is safe before the next wait.
        if let Err(error) = self.store.flush() {
            self.broken_state.get_or_insert(error);
        }
    }

    fn job(&mut self, node: NodeIndex) -> Job<'r> {
        let instance = &self.graph.nodes[node];
        let spec = &self.project.pipeline.tasks[instance.task];
        let names = &self.store.names;
        let target: Arc<str> = Arc::from(names.text(instance.target));
        let job = Job {
            node,
            task: self.graph.task(node),
            target: Arc::clone(&target),
            axes: instance.axes.clone(),
            root: &self.project.pipeline.root,
            inputs: instance.inputs.iter().map(|path| Arc::from(names.text(*path))).collect(),
            outputs: instance
                .outputs
                .iter()
                .map(|(path, required)| Output { path: Arc::from(names.text(*path)), required: *required })
                .collect(),
            facts: Arc::clone(&self.facts),
            patience: Patience { retries: spec.retries, timeout: spec.timeout },
            cancel: self.cancel.clone(),
        };
        let reason = match &self.states[node.index()] {
            State::Queued(reasons) => self.causes.line(reasons, names),
            _ => String::new(),
        };
        self.teller.progress().start(node, &target);
        self.teller.started(&target, &reason);
        job
    }

    pub(super) fn why_not_listed(&self, server: &ServerName) -> Option<&Failure> {
        self.servers.get(server).and_then(|progress| progress.listing_failed.as_ref())
    }

    fn summary(&mut self, stop: Option<Stop>) -> Summary {
        let left = self.states.iter().filter(|state| !matches!(state, State::Ended(_))).count() as u64;
        if left > 0 {
            *self.tally.entry(Outcome::Interrupted).or_default() += left;
        }
        let bad = self.tally.iter().any(|(outcome, number)| outcome.is_bad() && *number > 0);
        let outcome = match (stop, bad || self.broken_state.is_some()) {
            (Some(_), _) => RunOutcome::Interrupted,
            (None, true) => RunOutcome::Failed,
            (None, false) => RunOutcome::Ok,
        };
        Summary {
            run: self.run_text.clone(),
            outcome,
            stop,
            tasks: self.tally.clone(),
            counts: self.counts.clone(),
            warnings: self.warnings,
            troubles: self.troubles.clone(),
            unknown: self.unknown.clone(),
            took: Duration::ZERO,
        }
    }

    /// The last event and the last words; the state is safe.
    ///
    /// # Errors
    /// When the state could not be written at some moment of the run: the next run does some work again.
    pub fn finish(&mut self, summary: &mut Summary) -> io::Result<()> {
        self.teller.event(&Event::RunFinished {
            outcome: summary.outcome,
            tasks: summary.tasks.clone(),
            counts: summary.counts.clone(),
            duration_ms: u64::try_from(summary.took.as_millis()).unwrap_or(u64::MAX),
        });
        self.teller.done(summary);
        self.store.close()?;
        self.broken_state.take().map_or(Ok(()), Err)
    }

    /// Ends without giving back the graph piece by piece: the process ends soon, and the system takes it all at once.
    pub fn retire(self) {
        let Self { store, graph, facts, snapshot, states, .. } = self;
        std::mem::forget((store, graph, facts, snapshot, states));
    }
}

/// When an instance has to be asked whatever its files say.
#[must_use]
pub fn rhythm(project: &Project, facts: &Facts, instance: &crate::plan::Instance) -> Rhythm {
    let spec = &project.pipeline.tasks[instance.task];
    if spec.action == Action::Export {
        let server = instance.axes.server.as_ref().and_then(|server| facts.servers.get(server));
        let scale = server.zip(instance.axes.scale.as_ref()).and_then(|(server, scale)| server.scales.get(scale));
        if scale.is_some_and(|scale| scale.deleteable == Some(true) && scale.listed == Some(0)) {
            return Rhythm::Empty;
        }
        return spec.every.map_or(Rhythm::Always, Rhythm::Every);
    }
    spec.every.map_or(Rhythm::Content, Rhythm::Every)
}

/// Milliseconds since 1970, UTC.
#[must_use]
pub fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

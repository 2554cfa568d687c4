//! The heart of a run: whatever waits for nothing more is judged, and what has to run gets its place and its thread.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use petgraph::graph::NodeIndex;

use crate::alert::Trouble;
use crate::cancel::Cancel;
use crate::config::Project;
use crate::counts::Counts;
use crate::plan::staleness::{Memory, Rhythm, judge};
use crate::plan::{Dependency, Graph, Reason, Selection};
use crate::retry::RetryPolicy;
use crate::run::contents::Snapshot;
use crate::run::events::{Event, Outcome, RunOutcome};
use crate::run::explanation::Causes;
use crate::run::facts::now;
use crate::run::queue::{Queues, Started};
use crate::run::request::Request;
use crate::run::server_progress::ServerProgress;
use crate::run::signals::{Signals, Stop};
use crate::run::summary::Summary;
use crate::run::teller::Teller;
use crate::run::trace::Trace;
use crate::run::worker::{Hands, Job, Message};
use crate::state::{Name, Store};
use crate::study::name::ServerName;
use crate::task::TaskSet;
use crate::task::{Axes, Facts, Output, Warning};

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

/// Everything that a run knows while it goes on.
pub struct Scheduler<'r> {
    pub(super) project: &'r Project,
    pub(super) tasks: &'r TaskSet,
    pub(super) request: &'r Request,
    pub(super) run: Name,
    run_text: String,
    pub(super) facts: Arc<Facts>,
    pub(super) store: Store,
    pub(super) teller: Teller,
    pub(super) graph: Graph<'r>,
    pub(super) selection: Selection,
    pub(super) snapshot: Snapshot,
    pub(super) states: Vec<State>,
    queues: Queues<'r>,
    pub(super) pool: Arc<rayon::ThreadPool>,
    pub(super) servers: BTreeMap<ServerName, ServerProgress>,
    /// Listings not yet answered.
    pub(super) asking: BTreeSet<ServerName>,
    in_flight: usize,
    pub(super) causes: Causes,
    pub trace: Trace,
    pub(super) tally: BTreeMap<Outcome, u64>,
    pub(super) counts: Counts,
    pub(super) warnings: u64,
    pub(super) troubles: Vec<Trouble>,
    /// Entries that could not be deleted in this run.
    pub(super) pending: BTreeMap<ServerName, u64>,
    pub(super) unknown: Vec<String>,
    pub(super) cancel: Cancel,
    /// No new instance is started.
    pub(super) halted: bool,
    pub(super) finished_growing: bool,
    pub(super) broken_state: Option<io::Error>,
}

impl<'r> Scheduler<'r> {
    #[allow(clippy::too_many_arguments)] // the parts of one run, each made by its own room
    pub fn new(
        project: &'r Project,
        tasks: &'r TaskSet,
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
            queues: Queues::new(&pipeline.groups, jobs),
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
            let hands = Hands::default();
            self.begin(scope, &sender);
            loop {
                self.dispatch(scope, &hands, &sender);
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
                self.queues.ended(self.group_of(node));
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
                code: warning.code,
                message: warning.message.clone(),
                advice: None,
                tail: Vec::new(),
                passing: true,
            });
        }
        self.teller.warned(target, warning);
    }

    /// Decides about all of these that wait for nothing, and about what that lets go on.
    pub(super) fn settle(&mut self, nodes: Vec<NodeIndex>) {
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
        self.states[node.index()] = State::Queued(reasons);
        self.queues.wait(node, self.group_of(node));
        None
    }

    fn memory(&self, node: NodeIndex) -> Memory<'_> {
        let instance = &self.graph.nodes[node];
        self.memory_of(Some(instance.target), instance.task, &instance.axes, instance.named)
    }

    /// What is remembered of an instance, whether it is in the graph yet or not.
    pub(super) fn memory_of(&self, target: Option<Name>, task: usize, axes: &Axes, named: bool) -> Memory<'_> {
        Memory {
            manifest: target.and_then(|target| self.store.manifest(target)),
            setback: target.and_then(|target| self.store.setback(target)),
            rhythm: Rhythm::of(&self.project.pipeline.tasks[task], axes, &self.facts),
            forced: self.request.forced && (named || !self.request.explicit),
            named,
            now: now(),
        }
    }

    fn group_of(&self, node: NodeIndex) -> Option<&'r str> {
        self.project.pipeline.tasks[self.graph.nodes[node].task].group.as_deref()
    }

    fn dispatch<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, hands: &Hands<'r>, sender: &Sender<Message>)
    where
        'r: 'scope,
    {
        while !self.halted
            && let Some(Started { node, grouped }) = self.queues.start()
        {
            self.in_flight += 1;
            let job = self.job(node);
            let pool = (!grouped).then(|| Arc::clone(&self.pool));
            hands.start(scope, job, pool, sender);
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
            policy: RetryPolicy { retries: spec.retries, timeout: spec.timeout },
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

//! The dependency graph of one run: instances, and how they hang together.

use std::collections::{BTreeSet, HashMap};

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use rayon::prelude::*;

use crate::config::pipeline::{Action, Pipeline, TaskSpec};
use crate::plan::expand::{Key, Phase, keys_of, phases, target_name};
use crate::plan::target::Selection;
use crate::state::{Fork, Name};
use crate::study::name::ServerName;
use crate::task::{Axes, Declaration, Facts, Task};

/// One task with its axes filled in, and what it declared.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Index into [`Pipeline::tasks`].
    pub task: usize,
    pub target: Name,
    pub axes: Axes,
    pub revision: u32,
    /// Declared ones, then the outputs of needed instances; each once.
    pub inputs: Vec<Name>,
    /// The file, and whether it has to be there afterwards.
    pub outputs: Vec<(Name, bool)>,
    pub parameters: Vec<(Name, Name)>,
    /// A target names it: asked even when not due.
    pub named: bool,
}

/// Bounds the memory of what is declared and has no place yet.
const KEYS_AT_ONCE: usize = 8;

/// An instance before it has its place in the graph.
struct Sketch {
    name: String,
    axes: Axes,
    declared: Declaration,
}

/// How one instance hangs on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// Its outputs are inputs, its failure blocks.
    Needs,
    /// It goes first, and that is all.
    After,
}

/// Instances as far as they are known. Edges point from what comes first to what hangs on it.
pub struct Graph<'p> {
    pipeline: &'p Pipeline,
    tasks: &'p [Box<dyn Task>],
    phases: Vec<Phase>,
    pub nodes: DiGraph<Instance, Dependency>,
    by_key: HashMap<Key, Vec<NodeIndex>>,
    /// Keys of each task that have instances.
    keys: Vec<Vec<Key>>,
}

impl<'p> Graph<'p> {
    /// `tasks` in the order of the pipeline.
    pub fn new(pipeline: &'p Pipeline, tasks: &'p [Box<dyn Task>]) -> Self {
        let keys = vec![Vec::new(); pipeline.tasks.len()];
        Self { pipeline, tasks, phases: phases(pipeline), nodes: DiGraph::new(), by_key: HashMap::new(), keys }
    }

    /// Adds the wanted instances of a phase, of one server or (`None`) of all; returns the new ones, in order.
    pub fn grow(
        &mut self,
        phase: Phase,
        server: Option<&ServerName>,
        facts: &Facts,
        selection: &Selection,
        names: &mut Fork<'_>,
    ) -> Vec<NodeIndex> {
        let mut new = Vec::new();
        let servers: BTreeSet<&ServerName> = match server {
            Some(server) => facts.servers.keys().filter(|name| *name == server).collect(),
            None => facts.servers.keys().collect(),
        };
        for task in self.in_order(phase) {
            let mut keys = keys_of(self.pipeline, task, facts, &servers);
            keys.retain(|key| selection.contains(key));
            for some in keys.chunks(KEYS_AT_ONCE) {
                // Pure, and most of the work: on all cores.
                let sketches: Vec<Vec<Sketch>> =
                    some.par_iter().map(|key| self.sketch(key, facts, selection)).collect();
                for (key, sketches) in some.iter().zip(sketches) {
                    self.add(key.clone(), sketches, selection, names, &mut new);
                }
            }
        }
        new
    }

    /// Everything that is known without asking anybody.
    pub fn grow_all(&mut self, facts: &Facts, selection: &Selection, names: &mut Fork<'_>) {
        for phase in [Phase::First, Phase::Export, Phase::Server, Phase::Last] {
            self.grow(phase, None, facts, selection, names);
        }
    }

    /// Tasks of a phase, needed ones first.
    fn in_order(&self, phase: Phase) -> Vec<usize> {
        fn visit(task: usize, pipeline: &Pipeline, seen: &mut [bool], order: &mut Vec<usize>) {
            if !std::mem::replace(&mut seen[task], true) {
                for &other in pipeline.tasks[task].needs.iter().chain(&pipeline.tasks[task].after) {
                    visit(other, pipeline, seen, order);
                }
                order.push(task);
            }
        }
        let mut order = Vec::new();
        let mut seen = vec![false; self.pipeline.tasks.len()];
        for task in 0..seen.len() {
            visit(task, self.pipeline, &mut seen, &mut order);
        }
        order.retain(|&task| self.phases[task] == phase);
        order
    }

    /// The instances of a key and what they declare.
    fn sketch(&self, key: &Key, facts: &Facts, selection: &Selection) -> Vec<Sketch> {
        let spec = &self.pipeline.tasks[key.task];
        let dates: Vec<_> = if spec.each.date {
            let seen = key.server.as_ref().and_then(|server| facts.servers.get(server));
            let scale = seen.zip(key.scale.as_ref()).and_then(|(seen, scale)| seen.scales.get(scale));
            let dates = scale.into_iter().flat_map(|scale| &scale.dates).filter(|(_, files)| !files.raw.is_empty());
            dates.map(|(date, _)| *date).filter(|date| selection.contains_date(key, *date)).map(Some).collect()
        } else {
            vec![None]
        };
        let mut sketches = Vec::with_capacity(dates.len());
        for date in dates {
            let axes = Axes { date, ..key.axes() };
            let declared = self.tasks[key.task].declare(&axes, facts);
            if !declared.outputs.is_empty() || matches!(spec.action, Action::Export | Action::Command(_)) {
                sketches.push(Sketch { name: target_name(spec, &axes), axes, declared });
            }
        }
        sketches
    }

    fn add(
        &mut self,
        key: Key,
        sketches: Vec<Sketch>,
        selection: &Selection,
        names: &mut Fork<'_>,
        new: &mut Vec<NodeIndex>,
    ) {
        let before = self.before(&key);
        let by_name = selection.is_named(&key);
        let first = new.len();
        for sketch in sketches {
            new.push(self.insert(key.task, sketch, &before, by_name, names));
        }
        self.keys[key.task].push(key.clone());
        self.by_key.insert(key, new[first..].to_vec());
    }

    /// What instances of this key hang on.
    fn before(&self, key: &Key) -> Vec<(NodeIndex, Dependency)> {
        let spec = &self.pipeline.tasks[key.task];
        let needs = spec.needs.iter().map(|&task| (task, Dependency::Needs));
        let after = spec.after.iter().map(|&task| (task, Dependency::After));
        let mut before = Vec::new();
        for (task, how) in needs.chain(after) {
            for other in self.keys[task].iter().filter(|other| key.joins(other)) {
                before.extend(self.by_key[other].iter().map(|&node| (node, how)));
            }
        }
        before
    }

    fn insert(
        &mut self,
        task: usize,
        sketch: Sketch,
        before: &[(NodeIndex, Dependency)],
        by_name: bool,
        names: &mut Fork<'_>,
    ) -> NodeIndex {
        let Sketch { name, axes, declared } = sketch;
        let target = names.intern(&name);
        let both_dated = |node: NodeIndex| axes.date.is_some() && self.nodes[node].axes.date.is_some();
        let joined: Vec<_> =
            before.iter().filter(|(node, _)| !both_dated(*node) || self.nodes[*node].axes.date == axes.date).collect();
        let mut inputs: Vec<Name> = declared.inputs.iter().map(|path| names.intern(path)).collect();
        for (node, how) in &joined {
            if *how == Dependency::Needs {
                inputs.extend(self.nodes[*node].outputs.iter().map(|(path, _)| *path));
            }
        }
        if inputs.len() > 1 {
            let mut seen = std::collections::HashSet::with_capacity(inputs.len());
            inputs.retain(|path| seen.insert(*path));
        }
        let instance = Instance {
            task,
            target,
            axes,
            revision: self.tasks[task].revision(),
            inputs,
            outputs: declared.outputs.iter().map(|output| (names.intern(&output.path), output.required)).collect(),
            parameters: declared.parameters.iter().map(|(k, v)| (names.intern(k), names.intern(v))).collect(),
            named: by_name,
        };
        let node = self.nodes.add_node(instance);
        for (other, how) in joined {
            self.nodes.add_edge(*other, node, *how);
        }
        node
    }

    /// What an instance hangs on.
    pub fn before_node(&self, node: NodeIndex) -> impl Iterator<Item = (NodeIndex, Dependency)> + '_ {
        self.nodes.edges_directed(node, Direction::Incoming).map(|edge| (edge.source(), *edge.weight()))
    }

    /// What hangs on an instance.
    pub fn below(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        self.nodes.neighbors_directed(node, Direction::Outgoing)
    }

    /// The task of an instance, as Pipeline.toml declares it.
    pub fn spec(&self, node: NodeIndex) -> &'p TaskSpec {
        &self.pipeline.tasks[self.nodes[node].task]
    }

    pub fn task(&self, node: NodeIndex) -> &'p dyn Task {
        &*self.tasks[self.nodes[node].task]
    }
}

//! What a build would do now, found without asking any server and without writing anything.

use std::collections::BTreeSet;
use std::io;

use petgraph::algo::toposort;
use petgraph::graph::NodeIndex;

use crate::config::Project;
use crate::config::pipeline::Action;
use crate::plan::staleness::{Memory, judge};
use crate::plan::{Dependency, Graph, Reason, Selection, Target};
use crate::run::contents::Snapshot;
use crate::run::facts;
use crate::run::request::read_state;
use crate::run::schedule::{now, rhythm};
use crate::state::{Name, Store};
use crate::task::Facts;
use crate::tasks::Tasks;

/// What would become of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    UpToDate,
    /// A server would be asked.
    WouldAsk(Vec<Reason>),
    WouldRun(Vec<Reason>),
    /// Up to date as things are; runs if what stands before it changes something.
    MayRun {
        because: NodeIndex,
    },
}

/// The graph as far as it is known now, with the standing of each instance.
pub struct Preview<'p> {
    pub graph: Graph<'p>,
    pub store: Store,
    pub facts: Facts,
    pub snapshot: Snapshot,
    /// By node.
    pub standing: Vec<Standing>,
    /// Needed ones first.
    pub order: Vec<NodeIndex>,
    /// Targets that select nothing that is known.
    pub unmatched: Vec<usize>,
}

/// Looks at everything that the targets select.
///
/// # Errors
/// When the state cannot be read.
pub fn preview<'p>(
    project: &'p Project,
    tasks: &'p Tasks,
    targets: &[Target],
    explicit: bool,
    forced: bool,
) -> io::Result<Preview<'p>> {
    let mut store = read_state(project)?;
    let facts = facts::look(project);
    let selection = Selection::new(&project.pipeline, &facts, targets, explicit);
    let mut graph = Graph::new(&project.pipeline, &tasks.all);
    let mut fork = store.names.fork();
    graph.grow_all(&facts, &selection, &mut fork);
    let fresh = fork.into_fresh();
    store.names.adopt(&fresh);
    let mut snapshot = Snapshot::default();
    let paths: BTreeSet<Name> = graph
        .nodes
        .node_weights()
        .flat_map(|instance| instance.inputs.iter().copied().chain(instance.outputs.iter().map(|(path, _)| *path)))
        .collect();
    snapshot.look(&project.pipeline.root, paths.into_iter(), &mut store)?;
    let order = toposort(&graph.nodes, None).unwrap_or_default();
    let unmatched = selection.unmatched().collect();
    let mut found = Preview { graph, store, facts, snapshot, standing: Vec::new(), order, unmatched };
    found.judge_all(project, explicit, forced);
    Ok(found)
}

impl Preview<'_> {
    fn judge_all(&mut self, project: &Project, explicit: bool, forced: bool) {
        self.standing = vec![Standing::UpToDate; self.graph.nodes.node_count()];
        let now = now();
        for &node in &self.order {
            let instance = &self.graph.nodes[node];
            let rhythm = rhythm(project, &self.facts, instance);
            let memory = Memory {
                manifest: self.store.manifest(instance.target),
                setback: self.store.setback(instance.target),
                rhythm,
                forced: forced && (instance.named || !explicit),
                now,
            };
            // A file that is going to be made anew may be again what it was.
            let remade = self.remade(node);
            let mut reasons = judge(instance, &memory, &self.snapshot);
            reasons.retain(|reason| reason.path().is_none_or(|path| !remade.contains(&path)));
            let export = project.pipeline.tasks[instance.task].action == Action::Export;
            self.standing[node.index()] = if export && !reasons.is_empty() {
                Standing::WouldAsk(reasons)
            } else if !reasons.is_empty() {
                Standing::WouldRun(reasons)
            } else {
                let moving = self
                    .graph
                    .before_node(node)
                    .find(|(before, _)| self.standing[before.index()] != Standing::UpToDate);
                moving.map_or(Standing::UpToDate, |(because, _)| Standing::MayRun { because })
            };
        }
    }

    /// Outputs of needed instances that run or may run.
    fn remade(&self, node: NodeIndex) -> BTreeSet<Name> {
        let moving = self
            .graph
            .before_node(node)
            .filter(|(before, how)| *how == Dependency::Needs && self.standing[before.index()] != Standing::UpToDate);
        moving.flat_map(|(before, _)| self.graph.nodes[before].outputs.iter().map(|(path, _)| *path)).collect()
    }

    #[must_use]
    pub fn name(&self, node: NodeIndex) -> &str {
        self.store.names.text(self.graph.nodes[node].target)
    }

    /// The instance of this name.
    #[must_use]
    pub fn find(&self, target: &str) -> Option<NodeIndex> {
        self.order.iter().copied().find(|&node| self.name(node) == target)
    }

    /// The instance that makes this file.
    #[must_use]
    pub fn maker(&self, path: &str) -> Option<NodeIndex> {
        let path = self.store.names.find(path)?;
        let makes = |node: &&NodeIndex| self.graph.nodes[**node].outputs.iter().any(|(output, _)| *output == path);
        self.order.iter().find(makes).copied()
    }

    /// An export that is asked on each build is no news: whether it is that and nothing more.
    #[must_use]
    pub fn only_asked(&self, node: NodeIndex) -> bool {
        match &self.standing[node.index()] {
            Standing::WouldAsk(reasons) => {
                reasons.iter().all(|reason| matches!(reason, Reason::Asked | Reason::Due { .. } | Reason::Named))
            }
            _ => false,
        }
    }

    /// The first instance above this one that has a reason of its own.
    #[must_use]
    pub fn root(&self, node: NodeIndex) -> NodeIndex {
        let mut node = node;
        while let Standing::MayRun { because } = self.standing[node.index()] {
            node = because;
        }
        node
    }

    /// Files that a former instance made and no present one does, with the target that made them.
    #[must_use]
    pub fn orphans(&self, project: &Project) -> Vec<(Name, Vec<Name>)> {
        let present: BTreeSet<Name> = self.graph.nodes.node_weights().map(|instance| instance.target).collect();
        let made: BTreeSet<Name> = self
            .graph
            .nodes
            .node_weights()
            .flat_map(|instance| instance.outputs.iter().map(|(path, _)| *path))
            .collect();
        let root = &project.pipeline.root;
        let mut orphans = Vec::new();
        for (target, manifest) in self.store.manifests().filter(|(target, _)| !present.contains(target)) {
            let left = manifest.outputs.iter().filter(|(path, content)| {
                !content.is_absent() && !made.contains(path) && root.join(self.store.names.text(*path)).exists()
            });
            let left: Vec<Name> = left.map(|(path, _)| *path).collect();
            if !left.is_empty() {
                orphans.push((target, left));
            }
        }
        orphans.sort_by(|a, b| self.store.names.text(a.0).cmp(self.store.names.text(b.0)));
        orphans
    }
}

/// Every target there is, servers that are not ready included.
#[must_use]
pub fn all_targets(project: &Project) -> Vec<Target> {
    let mut targets = Vec::new();
    for task in &project.pipeline.tasks {
        targets.extend(Target::parse(&task.name));
        for server in project.servers.values().filter(|server| !server.ready && task.each.server) {
            targets.extend(Target::parse(&format!("{}/{}", task.name, server.name)));
        }
    }
    targets
}

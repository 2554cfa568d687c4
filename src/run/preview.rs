//! What a build would do now, found without asking any server and without writing anything.

use std::collections::BTreeSet;
use std::io;

use petgraph::graph::NodeIndex;

use crate::config::Project;
use crate::plan::staleness::{Memory, Rhythm};
use crate::plan::{Graph, Instance, Outlook, Selection, Target};
use crate::run::contents::Snapshot;
use crate::run::facts::{self, now};
use crate::run::home::read_state;
use crate::state::{Name, Store};
use crate::task::Facts;
use crate::task::TaskSet;

/// The graph as far as it is known now, with the standing of each instance.
pub struct Preview<'p> {
    pub graph: Graph<'p>,
    pub store: Store,
    pub facts: Facts,
    pub outlook: Outlook,
    /// Targets that select nothing that is known.
    pub unmatched: Vec<usize>,
}

/// Looks at everything that the targets select.
pub fn preview<'p>(
    project: &'p Project,
    tasks: &'p TaskSet,
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
    let now = now();
    let memory = |instance: &Instance| Memory {
        manifest: store.manifest(instance.target),
        setback: store.setback(instance.target),
        rhythm: Rhythm::of(&project.pipeline.tasks[instance.task], &instance.axes, &facts),
        forced: forced && (instance.named || !explicit),
        named: instance.named,
        now,
    };
    let outlook = Outlook::new(&graph, memory, &snapshot);
    let unmatched = selection.unmatched().collect();
    Ok(Preview { graph, store, facts, outlook, unmatched })
}

impl Preview<'_> {
    pub fn name(&self, node: NodeIndex) -> &str {
        self.store.names.text(self.graph.nodes[node].target)
    }

    /// The instance that makes this file.
    pub fn maker(&self, path: &str) -> Option<NodeIndex> {
        let path = self.store.names.find(path)?;
        let makes = |node: &&NodeIndex| self.graph.nodes[**node].outputs.iter().any(|(output, _)| *output == path);
        self.outlook.order.iter().find(makes).copied()
    }

    /// Files that a former instance made and no present one does, with the target that made them.
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

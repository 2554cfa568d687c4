//! What a build would do as things stand: each instance judged after those before it.

use std::collections::BTreeSet;

use petgraph::algo::toposort;
use petgraph::graph::NodeIndex;

use crate::config::pipeline::Action;
use crate::plan::graph::{Dependency, Graph, Instance};
use crate::plan::reason::Reason;
use crate::plan::staleness::{Contents, Memory, judge};
use crate::state::Name;

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

/// The standing of every instance of a graph.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// By node.
    standing: Vec<Standing>,
    /// Needed ones first.
    pub order: Vec<NodeIndex>,
}

impl Outlook {
    /// Judges all instances of a graph. Pure.
    pub fn new<'s>(graph: &Graph<'_>, memory: impl Fn(&Instance) -> Memory<'s>, contents: &impl Contents) -> Self {
        let order = toposort(&graph.nodes, None).unwrap_or_default();
        let mut outlook = Self { standing: vec![Standing::UpToDate; graph.nodes.node_count()], order };
        for at in 0..outlook.order.len() {
            let node = outlook.order[at];
            outlook.standing[node.index()] = outlook.judge(graph, node, &memory(&graph.nodes[node]), contents);
        }
        outlook
    }

    fn judge(&self, graph: &Graph<'_>, node: NodeIndex, memory: &Memory<'_>, contents: &impl Contents) -> Standing {
        let mut reasons = judge(&graph.nodes[node], memory, contents);
        // A file that is going to be made anew may be again what it was.
        let remade = self.remade(graph, node);
        reasons.retain(|reason| reason.path().is_none_or(|path| !remade.contains(&path)));
        if reasons.is_empty() {
            let moving = graph.before_node(node).find(|(before, _)| *self.of(*before) != Standing::UpToDate);
            return moving.map_or(Standing::UpToDate, |(because, _)| Standing::MayRun { because });
        }
        match graph.spec(node).action {
            Action::Export => Standing::WouldAsk(reasons),
            _ => Standing::WouldRun(reasons),
        }
    }

    /// Outputs of needed instances that run or may run.
    fn remade(&self, graph: &Graph<'_>, node: NodeIndex) -> BTreeSet<Name> {
        let moving = graph
            .before_node(node)
            .filter(|(before, how)| *how == Dependency::Needs && *self.of(*before) != Standing::UpToDate);
        moving.flat_map(|(before, _)| graph.nodes[before].outputs.iter().map(|(path, _)| *path)).collect()
    }

    /// Needed ones first.
    pub fn all(&self) -> impl Iterator<Item = (NodeIndex, &Standing)> + '_ {
        self.order.iter().map(|&node| (node, self.of(node)))
    }

    pub fn of(&self, node: NodeIndex) -> &Standing {
        &self.standing[node.index()]
    }

    /// An export that is asked on each build is no news: whether it is that and nothing more.
    pub fn only_asked(&self, node: NodeIndex) -> bool {
        match self.of(node) {
            Standing::WouldAsk(reasons) => {
                reasons.iter().all(|reason| matches!(reason, Reason::Asked | Reason::Due { .. } | Reason::Named))
            }
            _ => false,
        }
    }

    /// The first instance above this one that has a reason of its own.
    pub fn root(&self, node: NodeIndex) -> NodeIndex {
        let mut node = node;
        while let Standing::MayRun { because } = self.of(node) {
            node = *because;
        }
        node
    }
}

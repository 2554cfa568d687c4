//! Root causes: what of this run made an instance run.

use std::collections::HashMap;
use std::fmt::Write as _;

use petgraph::graph::NodeIndex;

use crate::counts::Count;
use crate::plan::{Graph, Reason};
use crate::state::{Name, Names};
use crate::task::Done;

/// The first causes of what was built in this run.
#[derive(Debug, Default)]
pub struct Causes {
    of: HashMap<NodeIndex, String>,
    makers: HashMap<Name, NodeIndex>,
}

impl Causes {
    /// An export that stored something: the cause of all that its files touch.
    pub fn exported(&mut self, node: NodeIndex, target: &str, done: &Done, written: impl Iterator<Item = Name>) {
        let stored = done.counts.get(Count::Stored);
        let noun = if stored == 1 { "entry" } else { "entries" };
        self.of.insert(node, format!("{target} stored {stored} {noun}"));
        self.makers.extend(written.map(|path| (path, node)));
    }

    /// An instance that made its outputs anew.
    pub fn built(&mut self, node: NodeIndex, graph: &Graph<'_>, names: &Names, reasons: &[Reason]) {
        let instance = &graph.nodes[node];
        let cause = self.behind(reasons).map_or_else(
            || {
                let why = reasons.first().map_or_else(|| "it ran".to_owned(), |reason| reason.line(names));
                format!("{}: {why}", names.text(instance.target))
            },
            str::to_owned,
        );
        self.of.insert(node, cause);
        self.makers.extend(instance.outputs.iter().map(|(path, _)| (*path, node)));
    }

    /// What of this run stands behind the first of these reasons that has such a cause.
    pub fn behind(&self, reasons: &[Reason]) -> Option<&str> {
        let maker = reasons.iter().filter_map(Reason::path).find_map(|path| self.makers.get(&path))?;
        self.of.get(maker).map(String::as_str)
    }

    /// One line: the first reason, how many more there are, and the root cause.
    pub fn line(&self, reasons: &[Reason], names: &Names) -> String {
        // What a file did says more than that a setback or `-B` preceded it.
        let first = reasons.iter().find(|reason| reason.path().is_some()).or(reasons.first());
        let Some(first) = first else { return String::new() };
        let mut line = first.line(names);
        if reasons.len() > 1 {
            // Writing to a String cannot fail.
            let _ = write!(line, " and {} more", reasons.len() - 1);
        }
        if let Some(cause) = self.behind(reasons) {
            line.push_str(", because ");
            line.push_str(cause);
        }
        line
    }
}

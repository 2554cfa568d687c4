//! The dependency graph, for Graphviz, Mermaid, or as a picture.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use petgraph::graph::NodeIndex;

use crate::cli::arguments::{GraphArguments, GraphFormat, ProjectArguments};
use crate::cli::{Exit, Fault, build};
use crate::output;
use crate::plan::Dependency;
use crate::run::preview::{Preview, preview};

pub fn run(project: &ProjectArguments, arguments: &GraphArguments) -> Result<Exit, Fault> {
    let (project, tasks) = build::open(project)?;
    let (targets, explicit) = build::chosen(&project, &tasks, &arguments.targets)?;
    let found =
        preview(&project, &tasks, &targets, explicit, false).map_err(|error| Fault::failed(error.to_string()))?;
    output::text(&match arguments.format {
        GraphFormat::Dot => dot(&found),
        GraphFormat::Mermaid => mermaid(&found),
        GraphFormat::Svg => svg(&found),
    });
    Ok(Exit::Done)
}

fn edges<'f>(found: &'f Preview<'_>) -> impl Iterator<Item = (NodeIndex, NodeIndex, Dependency)> + 'f {
    found
        .outlook
        .order
        .iter()
        .flat_map(|&node| found.graph.before_node(node).map(move |(before, how)| (before, node, how)))
}

fn dot(found: &Preview<'_>) -> String {
    let mut text = String::from("digraph mtdata {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for &node in &found.outlook.order {
        // Names hold neither quotes nor backslashes that would need more than this.
        let name = found.name(node).replace('\\', "\\\\").replace('"', "\\\"");
        let _ = writeln!(text, "  n{} [label=\"{name}\"];", node.index());
    }
    for (before, node, how) in edges(found) {
        let style = if how == Dependency::After { " [style=dashed]" } else { "" };
        let _ = writeln!(text, "  n{} -> n{}{style};", before.index(), node.index());
    }
    text.push_str("}\n");
    text
}

fn mermaid(found: &Preview<'_>) -> String {
    let mut text = String::from("flowchart LR\n");
    for &node in &found.outlook.order {
        let name = found.name(node).replace('"', "#quot;");
        let _ = writeln!(text, "  n{}[\"{name}\"]", node.index());
    }
    for (before, node, how) in edges(found) {
        let arrow = if how == Dependency::After { "-.->" } else { "-->" };
        let _ = writeln!(text, "  n{} {arrow} n{}", before.index(), node.index());
    }
    text
}

/// Columns by the longest way from a beginning; rows in the order of the plan.
fn svg(found: &Preview<'_>) -> String {
    const WIDTH: usize = 300;
    const HEIGHT: usize = 34;
    let mut column: BTreeMap<NodeIndex, usize> = BTreeMap::new();
    let mut rows: Vec<usize> = Vec::new();
    let mut place: BTreeMap<NodeIndex, (usize, usize)> = BTreeMap::new();
    for &node in &found.outlook.order {
        let at = found.graph.before_node(node).map(|(before, _)| column[&before] + 1).max().unwrap_or_default();
        column.insert(node, at);
        rows.resize(rows.len().max(at + 1), 0);
        place.insert(node, (20 + at * WIDTH, 20 + rows[at] * HEIGHT));
        rows[at] += 1;
    }
    let width = 40 + rows.len() * WIDTH;
    let height = 40 + rows.iter().max().copied().unwrap_or_default() * HEIGHT;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (before, node, how) in edges(found) {
        let ((x1, y1), (x2, y2)) = (place[&before], place[&node]);
        let (x1, y1, y2) = (x1 + WIDTH - 50, y1 + 12, y2 + 12);
        let middle = usize::midpoint(x1, x2);
        let dash = if how == Dependency::After { " stroke-dasharray=\"4 3\"" } else { "" };
        let _ = writeln!(
            text,
            "<path d=\"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#8a94a6\"{dash}/>"
        );
    }
    for (&node, (x, y)) in &place {
        let name = found.name(node).replace('&', "&amp;").replace('<', "&lt;");
        let box_width = WIDTH - 50;
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{box_width}\" height=\"24\" rx=\"4\" fill=\"#eef2f8\" stroke=\"#4a5b78\"/>\
             <text x=\"{}\" y=\"{}\">{name}</text>",
            x + 8,
            y + 16
        );
    }
    text.push_str("</svg>\n");
    text
}

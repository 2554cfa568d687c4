//! Every target with its state and the reason.

use serde_json::json;

use crate::cli::arguments::{ListArguments, ProjectArguments};
use crate::cli::{Exit, Fault, build};
use crate::output::answer;
use crate::plan::{Standing, Target};
use crate::run::explanation::Causes;
use crate::run::preview::{Preview, all_targets, preview};

/// What `list` says of one target.
struct Line {
    target: String,
    state: &'static str,
    reason: String,
}

pub fn run(project: &ProjectArguments, arguments: &ListArguments) -> Result<Exit, Fault> {
    let (project, tasks) = build::open(project)?;
    let everything = all_targets(&project);
    let found =
        preview(&project, &tasks, &everything, false, false).map_err(|error| Fault::failed(error.to_string()))?;
    let wanted: Vec<Target> =
        if arguments.targets.is_empty() { Vec::new() } else { build::chosen(&project, &tasks, &arguments.targets)?.0 };
    let mut lines: Vec<Line> = found.outlook.order.iter().map(|&node| line(&found, node)).collect();
    for (target, paths) in found.orphans(&project) {
        let paths: Vec<&str> = paths.iter().map(|path| found.store.names.text(*path)).collect();
        let reason = format!("no longer there; left {}; `build --prune` removes it", paths.join(", "));
        lines.push(Line { target: found.store.names.text(target).to_string(), state: "orphaned", reason });
    }
    lines.retain(|line| wanted.is_empty() || wanted.iter().any(|target| target.covers(&line.target)));
    if let (true, Some(first)) = (lines.is_empty(), wanted.first()) {
        let near = crate::plan::target::nearest(&first.text, found.outlook.order.iter().map(|&node| found.name(node)));
        let near: Vec<String> = near.into_iter().map(str::to_owned).collect();
        return Err(Fault::usage(first.unknown(&near)));
    }
    if arguments.json {
        let lines: Vec<_> = lines
            .iter()
            .map(|l| json!({"target": l.target, "state": l.state.replace(' ', "_"), "reason": l.reason}))
            .collect();
        answer!("{}", serde_json::Value::from(lines));
    } else {
        let width = lines.iter().map(|line| line.target.len()).max().unwrap_or_default();
        for line in &lines {
            let text = format!("{:<width$}  {:<10}  {}", line.target, line.state, line.reason);
            answer!("{}", text.trim_end());
        }
    }
    Ok(Exit::Done)
}

fn line(found: &Preview<'_>, node: petgraph::graph::NodeIndex) -> Line {
    let names = &found.store.names;
    let target = found.name(node).to_owned();
    let setback = |node: petgraph::graph::NodeIndex| found.store.setback(found.graph.nodes[node].target);
    if let Some(setback) = setback(node) {
        return Line { target, state: "failed", reason: names.text(setback.message).to_string() };
    }
    let needs = found.graph.before_node(node).filter(|(_, how)| *how == crate::plan::Dependency::Needs);
    if let Some(failed) = needs.map(|(node, _)| node).find(|&node| setback(node).is_some()) {
        return Line { target, state: "blocked", reason: format!("needs {}, which failed", found.name(failed)) };
    }
    let known = found.store.manifest(found.graph.nodes[node].target).is_some();
    let causes = Causes::default();
    let (state, reason) = match found.outlook.of(node) {
        Standing::WouldAsk(reasons) if found.outlook.only_asked(node) && known => {
            ("up to date", causes.line(reasons, names))
        }
        Standing::WouldAsk(reasons) | Standing::WouldRun(reasons) => ("stale", causes.line(reasons, names)),
        Standing::UpToDate => ("up to date", String::new()),
        Standing::MayRun { because } => {
            let root = found.outlook.root(*because);
            if found.outlook.only_asked(root) {
                ("up to date", String::new())
            } else {
                ("stale", format!("{} is stale", found.name(root)))
            }
        }
    };
    Line { target, state, reason }
}

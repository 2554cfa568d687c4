//! Why a target would run now, or why it ran then.

use serde_json::{Value, json};

use crate::cli::arguments::{ExplainArguments, ProjectArguments};
use crate::cli::{Exit, Fault, build};
use crate::output::answer;
use crate::plan::reason::ReasonRecord;
use crate::plan::{Reason, Standing};
use crate::run::history;
use crate::run::home::runs_folder;
use crate::run::preview::{Preview, preview};

/// Lists in explanations end here.
const MOST: usize = 20;

pub fn run(project: &ProjectArguments, arguments: &ExplainArguments) -> Result<Exit, Fault> {
    match &arguments.run {
        Some(run) => then(project, arguments, run),
        None => now(project, arguments),
    }
}

fn now(project: &ProjectArguments, arguments: &ExplainArguments) -> Result<Exit, Fault> {
    let (project, tasks) = build::open(project)?;
    let (targets, _) = build::chosen(&project, &tasks, std::slice::from_ref(&arguments.target))?;
    let found = preview(&project, &tasks, &targets, false, false).map_err(|error| Fault::failed(error.to_string()))?;
    let names = &found.store.names;
    let mut nodes = found.outlook.order.iter().copied().filter(|&node| targets[0].covers(found.name(node))).peekable();
    if nodes.peek().is_none() {
        let near =
            crate::plan::target::nearest(&targets[0].text, found.outlook.order.iter().map(|&node| found.name(node)));
        let near: Vec<String> = near.into_iter().map(str::to_owned).collect();
        return Err(Fault::usage(targets[0].unknown(&near)));
    }
    let mut objects = Vec::new();
    for node in nodes {
        let (state, reasons, root) = standing(&found, node);
        if arguments.json {
            let reasons: Vec<ReasonRecord> = reasons.iter().map(|reason| ReasonRecord::new(reason, names)).collect();
            objects.push(json!({"target": found.name(node), "state": state, "reasons": reasons, "root": root}));
            continue;
        }
        answer!("{}: {}", found.name(node), state.replace('_', " "));
        for reason in reasons.iter().take(MOST) {
            answer!("  {}", long(reason, &found));
        }
        if reasons.len() > MOST {
            answer!("  and {} more", reasons.len() - MOST);
        }
        if let Some(root) = root {
            answer!("  {root}");
        }
    }
    if arguments.json {
        answer!("{}", Value::from(objects));
    }
    Ok(Exit::Done)
}

fn standing<'f>(
    found: &'f Preview<'_>,
    node: petgraph::graph::NodeIndex,
) -> (&'static str, &'f [Reason], Option<String>) {
    match found.outlook.of(node) {
        Standing::UpToDate => ("up_to_date", &[], None),
        Standing::WouldAsk(reasons) => ("would_ask", reasons, None),
        Standing::WouldRun(reasons) => ("would_run", reasons, None),
        Standing::MayRun { because } => {
            let root = found.outlook.root(*because);
            let why = match found.outlook.of(root) {
                Standing::WouldAsk(reasons) | Standing::WouldRun(reasons) => {
                    reasons.first().map(|reason| reason.line(&found.store.names)).unwrap_or_default()
                }
                _ => String::new(),
            };
            ("may_run", &[], Some(format!("if {} changes something ({why})", found.name(root))))
        }
    }
}

/// The line of a reason with the path and the hashes whole.
fn long(reason: &Reason, found: &Preview<'_>) -> String {
    let record = ReasonRecord::new(reason, &found.store.names);
    let hashes = match (&record.old, &record.new) {
        (None, None) => String::new(),
        (old, new) => {
            let none = "none".to_owned();
            format!("\n    {} -> {}", old.as_ref().unwrap_or(&none), new.as_ref().unwrap_or(&none))
        }
    };
    let path = record.path.map(|path| format!("\n    {path}")).unwrap_or_default();
    format!("{}{path}{hashes}", record.text)
}

fn then(project: &ProjectArguments, arguments: &ExplainArguments, run: &str) -> Result<Exit, Fault> {
    let project = build::load(project)?;
    let folder = runs_folder(&project);
    let failed = |error: std::io::Error| Fault::failed(format!("{}: {error}", folder.display()));
    let runs = history::runs(&folder).map_err(failed)?;
    let run = history::resolve(&runs, run)
        .ok_or_else(|| Fault::usage(format!("no run `{run}`; `mtdata runs` lists them")))?;
    let events = history::events(&folder, run).map_err(failed)?;
    let prefix = format!("{}/", arguments.target.trim_end_matches('/'));
    let about = |event: &&Value| {
        let target = event["target"].as_str().unwrap_or_default();
        event["event"] == "task_finished" && (target == arguments.target || target.starts_with(&prefix))
    };
    let events: Vec<&Value> = events.iter().filter(about).collect();
    if arguments.json {
        answer!("{}", json!(events));
        return Ok(Exit::Done);
    }
    if events.is_empty() {
        answer!("{}: not run in {run}: it was up to date, or not asked for", arguments.target);
    }
    for event in events {
        let text = |field: &str| event[field].as_str().unwrap_or_default().replace('_', " ");
        answer!("{}: {} in {run}", event["target"].as_str().unwrap_or_default(), text("outcome"));
        answer!("  {}", event["reason"].as_str().unwrap_or_default());
        for reason in event["reasons"].as_array().into_iter().flatten() {
            let field = |name: &str| reason[name].as_str();
            if let Some(path) = field("path") {
                answer!("    {path}: {} -> {}", field("old").unwrap_or("none"), field("new").unwrap_or("none"));
            }
        }
        if let Some(message) = event["failure"]["message"].as_str() {
            answer!("  {message}");
        }
    }
    Ok(Exit::Done)
}

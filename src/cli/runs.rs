//! Past runs; one run's tasks.

use serde_json::{Value, json};

use crate::cli::arguments::{ProjectArguments, RunsArguments};
use crate::cli::{Exit, Fault, build};
use crate::output::answer;
use crate::run::history;
use crate::run::home::runs_folder;

pub fn run(project: &ProjectArguments, arguments: &RunsArguments) -> Result<Exit, Fault> {
    let project = build::load(project)?;
    let folder = runs_folder(&project);
    let failed = |error: std::io::Error| Fault::failed(format!("{}: {error}", folder.display()));
    let runs = history::runs(&folder).map_err(failed)?;
    if let Some(wanted) = &arguments.id {
        let run = history::resolve(&runs, wanted)
            .ok_or_else(|| Fault::usage(format!("no run `{wanted}`; `mtdata runs` lists them")))?;
        one(&history::events(&folder, run).map_err(failed)?, arguments.json);
        return Ok(Exit::Done);
    }
    let mut objects = Vec::new();
    for run in &runs {
        let summary = summary(run, &history::ends(&folder, run).map_err(failed)?);
        if arguments.json {
            objects.push(summary);
        } else {
            answer!("{}", line(&summary));
        }
    }
    if arguments.json {
        answer!("{}", Value::from(objects));
    }
    Ok(Exit::Done)
}

fn summary(run: &str, [first, last]: &[Value; 2]) -> Value {
    let finished = Some(last).filter(|event| event["event"] == "run_finished");
    json!({
        "run": run,
        "started": first["ts"],
        "outcome": finished.map_or_else(|| json!("not_finished"), |event| event["outcome"].clone()),
        "duration_ms": finished.map(|event| event["duration_ms"].clone()),
        "tasks": finished.map(|event| event["tasks"].clone()),
        "counts": finished.map(|event| event["counts"].clone()),
    })
}

fn line(summary: &Value) -> String {
    let number = |task: &str| summary["tasks"][task].as_u64().unwrap_or_default();
    let seconds = summary["duration_ms"].as_f64().unwrap_or_default() / 1000.0;
    format!(
        "{}  {:<12}  {:>7.1} s  {} built, {} unchanged, {} up to date, {} failed, {} blocked; {} entries stored",
        summary["run"].as_str().unwrap_or_default(),
        summary["outcome"].as_str().unwrap_or_default().replace('_', " "),
        seconds,
        number("built"),
        number("unchanged"),
        number("up_to_date"),
        number("failed"),
        number("blocked"),
        summary["counts"]["stored"].as_u64().unwrap_or_default(),
    )
}

fn one(events: &[Value], as_json: bool) {
    if as_json {
        answer!("{}", json!(events));
        return;
    }
    for event in events {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str() {
            Some("task_finished") => {
                let seconds = event["duration_ms"].as_f64().unwrap_or_default() / 1000.0;
                answer!(
                    "{:<11} {:>7.1} s  {}: {}",
                    text("outcome").replace('_', " "),
                    seconds,
                    text("target"),
                    text("reason")
                );
                if let Some(message) = event["failure"]["message"].as_str() {
                    answer!("            {message}");
                }
                for line in event["printed"].as_array().into_iter().chain(event["failure"]["tail"].as_array()).flatten()
                {
                    answer!("            | {}", line.as_str().unwrap_or_default());
                }
            }
            Some("warning") => answer!("warning                {}: {}", text("target"), text("message")),
            _ => {}
        }
    }
}

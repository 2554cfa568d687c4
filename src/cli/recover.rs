//! Audits the raw archive, saves what can be saved, and makes again what was lost.

use serde_json::json;

use crate::cli::arguments::{ProjectArguments, RecoverArguments};
use crate::cli::{Exit, Fault, build};
use crate::config::Project;
use crate::output::answer;
use crate::plan::target::nearest;
use crate::recovery::page::Recovery;
use crate::recovery::{Outcome, Scope, known_scales, recover};
use crate::run::events::RunOutcome;
use crate::run::request::Loudness;
use crate::study::name::{ScaleName, ServerName};

pub fn run(arguments: &ProjectArguments, recover_arguments: &RecoverArguments) -> Result<Exit, Fault> {
    let (project, tasks) = build::open(arguments)?;
    let mut scope = scope(&project, recover_arguments)?;
    scope.wait = build::duration(recover_arguments.wait.as_deref())?;
    let outcome = match recover(&project, &tasks, &scope) {
        Ok(outcome) => outcome,
        Err(refusal) => return build::refused(refusal, recover_arguments.quiet),
    };
    if recover_arguments.json {
        show_json(&project, &outcome);
    } else if !recover_arguments.quiet || outcome.servers.iter().any(|(found, _)| found.differences() > 0) {
        for (found, page) in &outcome.servers {
            show(found);
            answer!("  all of it: {}", build::shown(page).display());
        }
    }
    let found = outcome.servers.iter().any(|(found, _)| found.differences() > 0);
    let exit = build::exit_of(&outcome.summary);
    Ok(if found && exit == Exit::Done { Exit::Failed } else { exit })
}

fn scope(project: &Project, arguments: &RecoverArguments) -> Result<Scope, Fault> {
    let server = arguments.server.as_deref().filter(|server| *server != ".");
    let servers: Vec<ServerName> = match server {
        // Written out, a server need not be ready.
        Some(name) => project.servers.keys().filter(|known| known.as_str() == name).cloned().collect(),
        None => project.servers.values().filter(|server| server.ready).map(|server| server.name.clone()).collect(),
    };
    if let (true, Some(name)) = (servers.is_empty(), server) {
        return Err(unknown("server", name, project.servers.keys().map(ServerName::as_str)));
    }
    if servers.is_empty() {
        return Err(Fault::usage("no server is ready; write out the name of one"));
    }
    let scale = match arguments.scale.as_deref().filter(|scale| *scale != ".") {
        None => None,
        Some(name) => Some(known_scale(project, &servers, name)?),
    };
    let loudness = if arguments.quiet || arguments.json { Loudness::Quiet } else { Loudness::Normal };
    Ok(Scope { servers, scale, wait: std::time::Duration::ZERO, loudness })
}

fn known_scale(project: &Project, servers: &[ServerName], name: &str) -> Result<ScaleName, Fault> {
    let mut known: Vec<ScaleName> = Vec::new();
    for server in servers.iter().filter_map(|name| project.servers.get(name)) {
        let scales = known_scales(project, server);
        known.extend(scales.map_err(|error| Fault::failed(format!("{}: {error}", server.path.display())))?);
    }
    let found = known.iter().find(|known| known.as_str() == name).cloned();
    found.ok_or_else(|| unknown("scale", name, known.iter().map(ScaleName::as_str)))
}

fn unknown<'n>(what: &str, name: &str, known: impl Iterator<Item = &'n str>) -> Fault {
    let near: Vec<String> = nearest(name, known).into_iter().map(|near| format!("`{near}`")).collect();
    if near.is_empty() {
        return Fault::usage(format!("there is no {what} `{name}`"));
    }
    Fault::usage(format!("there is no {what} `{name}`; did you mean {}?", near.join(" or ")))
}

fn show_json(project: &Project, outcome: &Outcome) {
    let servers = outcome.servers.iter().map(|(found, page)| {
        let page = crate::run::facts::project_path(&project.pipeline.root, page);
        json!({"found": found, "differences": found.differences(), "report": page})
    });
    let ended = match outcome.summary.outcome {
        RunOutcome::Ok => "ok",
        RunOutcome::Failed => "failed",
        RunOutcome::Interrupted => "interrupted",
    };
    let object = json!({
        "run": outcome.summary.run,
        "outcome": ended,
        "tasks": outcome.summary.tasks,
        "servers": servers.collect::<Vec<_>>(),
    });
    answer!("{object}");
}

/// The page's findings, shortened.
fn show(found: &Recovery) {
    const SHOWN: usize = 10;
    let files: usize = found.scales.iter().map(|scale| scale.files).sum();
    let entries: usize = found.scales.iter().map(|scale| scale.entries).sum();
    let first = found.scales.iter().filter_map(|scale| scale.first).min();
    let last = found.scales.iter().filter_map(|scale| scale.last).max();
    let days = first.zip(last).map(|(first, last)| format!(", {first} to {last}")).unwrap_or_default();
    answer!("{}: {files} raw files{days}, {entries} entries", found.server);
    let mut lines: Vec<String> =
        found.raw.iter().map(|raw| format!("{} {}: {}", raw.what.word(), raw.file, raw.says)).collect();
    let kept = found.lost.iter().filter(|lost| lost.kept_in.is_some() || lost.other_version).count();
    if !found.lost.is_empty() {
        lines.push(format!(
            "{} entries stand in no raw file any more, {kept} of them still in a table or under another content",
            found.lost.len()
        ));
    }
    if !found.tables.is_empty() {
        let remade = found.tables.iter().filter(|table| table.now == crate::recovery::page::Remade::AsRecorded);
        lines.push(format!(
            "{} tables and reports were not what was recorded; {} are again what they were",
            found.tables.len(),
            remade.count()
        ));
    }
    lines.extend(found.records.iter().cloned());
    lines.extend(found.keys.iter().filter_map(|key| key.problem.clone()));
    lines.extend(found.failed.iter().map(|failed| format!("not made again: {}: {}", failed.target, failed.says)));
    for line in lines.iter().take(SHOWN) {
        answer!("  {line}");
    }
    if lines.len() > SHOWN {
        answer!("  and {} lines more", lines.len() - SHOWN);
    }
    if lines.is_empty() {
        answer!("  everything is what was recorded of it");
    }
}

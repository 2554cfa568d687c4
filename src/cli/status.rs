//! `mtdata status`: how the exports of each server are doing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Local, Utc};

use crate::cli::arguments::{JsonArguments, ProjectArguments};
use crate::cli::{Exit, Fault, build};
use crate::output::{self, answer};
use crate::run::health::{self, Failing, Health, MOST_SILENT, MOST_WAITING, Pulses};
use crate::run::home::{home, read_state};

pub fn run(project: &ProjectArguments, arguments: &JsonArguments) -> Result<Exit, Fault> {
    let project = build::load(project)?;
    let failed = |error: std::io::Error| Fault::failed(error.to_string());
    let store = read_state(&project).map_err(failed)?;
    let all = health::look(&project, &store, &Pulses::load(&home(&project))).map_err(failed)?;
    if arguments.json {
        answer!("{}", serde_json::to_string(&all).map_err(|error| Fault::failed(error.to_string()))?);
        return Ok(Exit::Done);
    }
    let now = Utc::now();
    let texts: Vec<String> = all.iter().map(|health| block(health, now)).collect();
    output::text(&texts.join("\n"));
    Ok(Exit::Done)
}

fn block(health: &Health, now: DateTime<Utc>) -> String {
    let pulse = &health.pulse;
    let mut lines: Vec<(&str, String)> = Vec::new();
    let good = pulse.last_good.map_or_else(|| "none yet".to_owned(), |good| when(good, now));
    let old = pulse.last_good.is_some_and(|good| now - good > MOST_SILENT) && health.ready;
    lines.push(("last good export", flag(good, old)));
    if let Some(since) = pulse.failing_since {
        let what = pulse.failure.as_deref().unwrap_or_default();
        lines.push(("failing", flag(format!("since {}: {what}", when(since, now)), true)));
    }
    lines.push(("archived", format!("{} entries of {} scales", health.entries, health.scales)));
    if let Some(newest) = health.newest_answers {
        lines.push(("newest answers", newest.format("%Y-%m-%d %H:%M:%S, the server's time").to_string()));
    }
    let oldest = [pulse.pending_since, health.oldest_undeleted].into_iter().flatten().min();
    let waiting = pulse.pending.max(health.undeleted);
    lines.push((
        "oldest undeleted entry",
        match (health.delete_mode, oldest) {
            (false, None) => "entries stay on the server (delete_mode = false)".to_owned(),
            (true, None) if pulse.failing_since.is_some() => "unknown: the server cannot be asked".to_owned(),
            (true, None) => "none".to_owned(),
            (_, Some(since)) => {
                flag(format!("waits since {}, {waiting} in all", when(since, now)), now - since > MOST_WAITING)
            }
        },
    ));
    lines.push(("undecryptable values", flag(health.undecryptable.to_string(), health.undecryptable > 0)));
    lines.push(("failures", flag(health.failures.len().to_string(), !health.failures.is_empty())));
    lines.extend(told(&health.failures, now).into_iter().map(|line| ("", line)));
    if let Some(free) = health.free_disk {
        lines.push(("free disk", flag(size(free), free < 1 << 30)));
    }
    let ready = if health.ready { "" } else { " (not ready: never asked)" };
    let mut text = format!("{}{ready}\n", health.server);
    for (name, value) in lines {
        let _ = writeln!(text, "  {name:<24}{value}");
    }
    text
}

/// Each failure once: a server that is down is one sentence about all its tables.
fn told(failures: &[Failing], now: DateTime<Utc>) -> Vec<String> {
    let mut by_message: BTreeMap<&str, Vec<&Failing>> = BTreeMap::new();
    for failing in failures {
        by_message.entry(&failing.message).or_default().push(failing);
    }
    let line = |alike: Vec<&Failing>| {
        let first = alike.first()?;
        let more = if alike.len() > 1 { format!(" and {} more", alike.len() - 1) } else { String::new() };
        Some(format!("{} {}{more}: {}", when(first.when, now), first.target, first.message))
    };
    by_message.into_values().filter_map(line).collect()
}

/// What needs a look carries a mark that needs no colour.
fn flag(text: String, bad: bool) -> String {
    if bad { format!("! {text}") } else { text }
}

fn when(moment: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let age = (now - moment).to_std().unwrap_or_default();
    let unit = if age.as_secs() < 3600 { 60 } else { 3600 };
    let age = std::time::Duration::from_secs(age.as_secs() / unit * unit);
    let ago = if age.is_zero() { "just now".to_owned() } else { format!("{} ago", humantime::format_duration(age)) };
    format!("{} ({ago})", moment.with_timezone(&Local).format("%Y-%m-%d %H:%M"))
}

fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{value:.0} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

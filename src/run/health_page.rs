//! status.html: how the exports are doing, for people who do not type commands. It is written when something happened, so
//! that an idle pool keeps its times; what moves with every run stands in its footer, as it was then.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::run::health::Health;
use crate::style::STYLE;

/// Where the footer begins.
const FOOTER: &str = "<footer>";

/// True when two pages say the same of the exports, whichever runs wrote them.
pub fn says_the_same(page: &str, other: &str) -> bool {
    let said = |page: &str| page.split_once(FOOTER).map(|(said, _)| said.to_owned());
    said(page).is_some_and(|one| Some(one) == said(other))
}

/// The page as this run sees it.
pub fn render(all: &[Health], run: &str) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Export health" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { h1 { "Export health" } }
                main { @for health in all { section.card.health { (server(health)) } } }
                footer {
                    p { "Written by mtdata " (env!("CARGO_PKG_VERSION")) " in run " code { (run) } "." }
                    @for health in all {
                        @if let Some(good) = health.pulse.last_good { p { "Last good export of " (health.server) ": " (moment(good)) "." } }
                    }
                    p { "This page changes only when something happened; " code { "mtdata status" } " says how things are now." }
                }
            }
        }
    }
    .into_string()
}

fn moment(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn server(health: &Health) -> Markup {
    let pulse = &health.pulse;
    html! {
        h2 { (health.server) }
        @match (pulse.failing_since, health.ready) {
            (Some(since), _) => p.bad { "Exports fail since " (moment(since)) ": " (pulse.failure.as_deref().unwrap_or_default()) },
            (None, false) => p { "Not asked (ready = false)" },
            (None, true) if pulse.last_good.is_none() => p { "Not exported yet" },
            (None, true) => p.good { "Exports are fine" },
        }
        table {
            @if let (Some(_), Some(good)) = (pulse.failing_since, pulse.last_good) {
                tr { th scope="row" { "last good export" } td { (moment(good)) } }
            }
            @if let Some(newest) = health.newest_answers {
                tr { th scope="row" { "newest answers archived" } td { (newest.format("%Y-%m-%d %H:%M:%S")) } }
            }
            tr { th scope="row" { "entries archived" } td { (health.entries) " of " (health.scales) " scales" } }
            tr { th scope="row" { "values that no key opens" } td { (health.undecryptable) } }
            tr { th scope="row" { "after archiving" } td { @if health.delete_mode { "deleted on the server" } @else { "kept on the server" } } }
            @if let Some(since) = pulse.pending_since {
                tr { th scope="row" { "could not be deleted there" } td.bad { (pulse.pending) ", since " (moment(since)) } }
            }
            @if let (None, Some(oldest)) = (pulse.pending_since, health.oldest_undeleted) {
                tr { th scope="row" { "deletions not confirmed" } td.bad { (health.undeleted) ", the oldest of " (moment(oldest)) } }
            }
            @for failing in &health.failures {
                tr { th scope="row" { (failing.target) } td.bad { (failing.message) } }
            }
        }
    }
}

//! status.html: how the exports are doing, for people who do not type commands. It holds nothing that moves while nothing
//! happens, so that an idle pool keeps its times; `mtdata status` says the minute.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::look::STYLE;
use crate::run::health::Health;

#[must_use]
pub fn render(all: &[Health]) -> String {
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
            @for failing in &health.failures {
                tr { th scope="row" { (failing.target) } td.bad { (failing.message) } }
            }
        }
    }
}

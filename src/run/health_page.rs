//! status.html: how the exports are doing, for people who do not type commands. It holds nothing that moves while nothing
//! happens, so that an idle pool keeps its times; `mtdata status` says the minute.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::run::health::Health;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1d2633;background:#fff}h2{margin:2rem 0 .3rem}.good{color:#1a6b3c}.bad{color:#a3271b;font-weight:600}\
th{text-align:left;font-weight:400;color:#596579;padding-right:1.5rem;vertical-align:top}\
@media(prefers-color-scheme:dark){body{color:#e6eaf0;background:#14191f}th{color:#a4b0c2}.good{color:#7fcf9f}\
.bad{color:#ff9d8f}}";

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
                h1 { "Export health" }
                @for health in all { (server(health)) }
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
                tr { th { "last good export" } td { (moment(good)) } }
            }
            @if let Some(newest) = health.newest_answers {
                tr { th { "newest answers archived" } td { (newest.format("%Y-%m-%d %H:%M:%S")) } }
            }
            tr { th { "entries archived" } td { (health.entries) " of " (health.scales) " scales" } }
            tr { th { "values that no key opens" } td { (health.undecryptable) } }
            tr { th { "after archiving" } td { @if health.delete_mode { "deleted on the server" } @else { "kept on the server" } } }
            @if let Some(since) = pulse.pending_since {
                tr { th { "could not be deleted there" } td.bad { (pulse.pending) ", since " (moment(since)) } }
            }
            @for failing in &health.failures {
                tr { th { (failing.target) } td.bad { (failing.message) } }
            }
        }
    }
}

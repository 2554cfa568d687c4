//! The page: one file that opens from disk without network, for people who look after a study.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::charts;
use crate::report::model::{Model, Presence, TableStat, percent};
use crate::study::scale::ScaleKind;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1d2633;--soft:#596579;--line:#d8dee8;--paper:#fff;--tint:#f5f7fa;--accent:#2e5e99}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#a4b0c2;--line:#39434f;--paper:#14191f;--tint:#1c232b;--accent:#8db5e6}}
*{box-sizing:border-box}body{margin:0 auto;max-width:64rem;padding:2rem 1.25rem 4rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:1.7rem;margin:0}h2{font-size:1.15rem;margin:2.5rem 0 .5rem}p{margin:.4rem 0;color:var(--soft)}
.sum{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.25rem 0}.sum div{background:var(--tint);border-radius:.5rem;padding:.7rem 1rem;min-width:8rem}
.sum b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}
.heat td{border:2px solid var(--paper);text-align:center;min-width:3.6rem}.heat th{border:0;padding:.3rem;font-size:.8rem}.heat td{padding:.3rem}.none{color:var(--soft)}
svg{width:100%;height:auto}details{margin:.4rem 0}summary{cursor:pointer}a{color:var(--accent)}
@media print{details{display:block}body{max-width:none}}";

/// The whole page.
#[must_use]
pub fn render(model: &Model) -> String {
    let people = model.participants.values().filter(|participant| !participant.test_account);
    let (due, answered) = people.clone().fold((0, 0), |sum, one| (sum.0 + one.due, sum.1 + one.answered));
    let entries: u64 = model.tables.iter().map(|table| table.entries).sum();
    let findings: usize = model.tables.iter().map(|table| table.findings.len()).sum();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (model.server) " – data report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (model.server) }
                    p {
                        (model.study)
                        @if let Some(now) = model.now { " · as of " (now.format("%Y-%m-%d %H:%M %:z")) ", the newest entry" }
                    }
                    div.sum {
                        div { b { (people.count()) } "participants" }
                        div { b { (entries) } "entries" }
                        div { b { (percent(due - answered, due)) " %" } "of due questionnaires missing" }
                        div { b { (findings) } "findings of checks" }
                    }
                    (presence(model))
                    (attrition(model))
                    (questionnaires(model))
                    (files())
                }
            }
        }
    };
    page.into_string()
}

fn presence(model: &Model) -> Markup {
    let none = Presence::default();
    html! {
        h2 id="presence" { "Missing questionnaires by session" }
        p { "Percent of the participants who completed or left a session behind and lack the questionnaire. Test accounts are left out." }
        @if model.presence.is_empty() { p { "No questionnaire was due yet." } } @else {
            div.scroll tabindex="0" role="region" aria-labelledby="presence" {
                table.heat {
                    thead { tr { th scope="col" { "Questionnaire" } @for session in &model.sessions { th scope="col" { (session.name) } } } }
                    tbody {
                        @for (scale, sessions) in &model.presence {
                            tr {
                                th scope="row" { (scale) }
                                @for index in 0..model.sessions.len() { (cell(sessions.get(&index).unwrap_or(&none))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(presence: &Presence) -> Markup {
    if presence.due == 0 {
        return html! { td.none { "–" } };
    }
    let missing = presence.due - presence.answered;
    let share = missing as f64 / presence.due as f64;
    // From pale to dark; the number stays readable on either side of the middle.
    let light = 93.0 - 50.0 * share;
    let ink = if light > 62.0 { "#1d2633" } else { "#fff" };
    html! {
        td style=(format!("background:hsl(212 45% {light:.0}%);color:{ink}")) title=(format!("{missing} of {}", presence.due)) {
            (percent(missing, presence.due))
        }
    }
}

fn attrition(model: &Model) -> Markup {
    html! {
        h2 { "Attrition" }
        p { "Participants who reached (pale) and completed (dark) each session." }
        @if let Some(svg) = charts::attrition(&model.sessions) { (PreEscaped(svg)) }
        div.scroll tabindex="0" {
            table {
                thead { tr { th scope="col" { "Session" } th scope="col" { "Reached" } th scope="col" { "Completed" } th scope="col" { "Stopped here" } } }
                tbody {
                    @for session in &model.sessions {
                        tr {
                            th scope="row" { (session.display) }
                            td { (session.reached) } td { (session.completed) }
                            td { (session.dropped) " (" (percent(session.dropped, session.reached)) " %)" }
                        }
                    }
                }
            }
        }
    }
}

fn questionnaires(model: &Model) -> Markup {
    html! {
        h2 { "Tables" }
        p { "Empty and coded cells of the columns that are answers." }
        div.scroll tabindex="0" {
            table {
                thead {
                    tr {
                        th scope="col" { "Table" } th scope="col" { "Entries" } th scope="col" { "Participants" }
                        th scope="col" { "Cells" } th scope="col" { "Missing" } th scope="col" { "%" } th scope="col" { "Findings" }
                    }
                }
                tbody { @for table in &model.tables { (row(table)) } }
            }
        }
        @for table in model.tables.iter().filter(|table| table.kind == ScaleKind::Questionnaire && table.missing() > 0) {
            details {
                summary { (table.scale) ": missing per column" }
                div.scroll tabindex="0" {
                    table {
                        thead { tr { th scope="col" { "Column" } th scope="col" { "Empty" } th scope="col" { "Coded" } th scope="col" { "Out of range" } th scope="col" { "% missing" } } }
                        tbody {
                            @for column in &table.columns {
                                tr {
                                    th scope="row" { (column.name) }
                                    td { (column.empty) } td { (column.coded) } td { (column.out_of_range) }
                                    td { (percent(column.missing(), column.cells)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn row(table: &TableStat) -> Markup {
    html! {
        tr {
            th scope="row" title=(table.title) { (table.scale) }
            td { (table.entries) } td { (table.participants) } td { (table.cells()) }
            td { (table.missing()) } td { (percent(table.missing(), table.cells())) } td { (table.findings.len()) }
        }
    }
}

fn files() -> Markup {
    let names = ["questionnaires.csv", "columns.csv", "participants.csv", "attrition.csv", "checks.csv", "ledger.csv"];
    html! {
        h2 { "The numbers as tables" }
        p { @for name in names { a href=(name) { (name) } " " } }
    }
}

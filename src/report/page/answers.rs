//! What was answered: each item against its range, and the scores over the sessions. Never a text that someone wrote.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{drawing, heat};
use crate::report::chart_tables::{POINT, has_picture, points};
use crate::report::charts;
use crate::report::column::ColumnStat;
use crate::report::findings::ShownFinding;
use crate::report::histogram::{BESIDE, Bins, histogram};
use crate::report::model::Model;
use crate::report::sheet;
use crate::report::tally::Tally;
use crate::report::trajectory::Trajectory;
use crate::study::disclosure_control::DisclosureControl;

/// The value of a finding if it is one that a form could send; what people wrote stays in the tables.
pub fn harmless<'f>(model: &Model, finding: &'f ShownFinding) -> &'f str {
    let free = model
        .table(&finding.scale)
        .is_some_and(|table| table.columns.iter().any(|column| column.name == finding.column && column.free_text));
    let value = finding.value.as_str();
    let own =
        matches!(finding.rule.as_str(), "S1" | "S2" | "S7" | "R5" | "R9" | "R10" | "S5" | "R11" | "R17" | "R18" | "L1");
    if value.parse::<f64>().is_ok() || own && !free && value.len() <= 64 || value.is_empty() { value } else { "(text)" }
}

pub fn distributions(model: &Model) -> Markup {
    let tables: Vec<&Tally> = model.tables.iter().filter(|table| table.columns.iter().any(has_picture)).collect();
    html! {
        @if !tables.is_empty() {
            h3 { "Answers against their range" }
            p { "Percent of the entries that gave each answer, item by item. What lies outside the range and what is missing stand at the right." }
            @for table in tables {
                details {
                    summary { (table.scale) small { (table.title) } }
                    @for (range, items) in by_range(table) { (one_range(table, range, &items, model.disclosure)) }
                }
            }
        }
    }
}

/// A range, and the items that have it.
type SameRange<'t> = ((f64, f64), Vec<&'t ColumnStat>);

/// Items that share a range share a table.
fn by_range(table: &Tally) -> Vec<SameRange<'_>> {
    let mut ranges: BTreeMap<(u64, u64), SameRange<'_>> = BTreeMap::new();
    for column in table.columns.iter().filter(|column| has_picture(column)) {
        if let Some((least, most)) = column.range {
            let key = (least.to_bits(), most.to_bits());
            ranges.entry(key).or_insert_with(|| ((least, most), Vec::new())).1.push(column);
        }
    }
    ranges.into_values().collect()
}

fn one_range(table: &Tally, range: (f64, f64), items: &[&ColumnStat], disclosure: DisclosureControl) -> Markup {
    let bins = Bins::new(range);
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Answers to " (table.scale) } {
            table.heat data-csv={ "answers-" (table.scale) } {
                thead {
                    tr {
                        th scope="col" { "item" }
                        @for name in bins.names() { th scope="col" { (name) } }
                        @for name in BESIDE { th scope="col" { (name) } }
                        th scope="col" { "entries" }
                    }
                }
                tbody {
                    @for column in items {
                        @let parts = histogram(column, bins);
                        @let told = !parts.iter().any(|part| disclosure.hides(*part));
                        tr {
                            th scope="row" { (column.name) }
                            @for part in parts { (share(part, column.entries, told, disclosure)) }
                            td { @if told { (column.entries) } @else { (sheet::HIDDEN) } }
                        }
                    }
                }
            }
        }
    }
}

/// `told`: false when a small count of the same row could be computed from exact ones.
fn share(part: u64, whole: u64, told: bool, disclosure: DisclosureControl) -> Markup {
    if disclosure.hides(part) {
        return html! { td.none title={ "fewer than " (disclosure.least_cell) } { (disclosure.hidden()) } };
    }
    let text = if part == 0 { String::new() } else { format!("{:.0}", part as f64 * 100.0 / whole.max(1) as f64) };
    let text = if text == "0" { "<1" } else { &text };
    let title = if told { format!("{part} of {whole}") } else { format!("{text} percent") };
    heat(part, whole, text, &title)
}

pub fn scores(model: &Model) -> Markup {
    let all: Vec<&Trajectory> =
        model.scored.iter().flat_map(|scored| &scored.trajectories).filter(|score| !score.points.is_empty()).collect();
    html! {
        h2 id="scores" { "Scores over the sessions" }
        @if all.is_empty() { p { "No scored table yet." } } @else {
            p { "The line is the median, the band the middle half, the points the means, n the scored entries. Test accounts are left out; entries with too few answers have no score." }
        }
        div.cards { @for score in all { (card(score, model.disclosure)) } }
    }
}

/// A score as a picture, and folded below it as numbers.
fn card(score: &Trajectory, disclosure: DisclosureControl) -> Markup {
    html! {
        section.card {
            h3 { (score.score) " " small { (score.scale) } }
            @if let Some(svg) = charts::trajectory(score, disclosure) { (drawing(&svg, &format!("Picture of {}", score.score))) }
            details {
                summary { "In numbers" }
                div.scroll tabindex="0" role="region" aria-label={ (score.score) " by session" } {
                    table data-csv=(score.score) {
                        thead { tr { th scope="col" { "session" } @for name in &POINT[1..] { th scope="col" { (name.replace('_', " ")) } } } }
                        tbody {
                            @for row in points(score, disclosure) {
                                tr { th scope="row" { (row[0]) } @for cell in &row[1..] { td { (cell) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

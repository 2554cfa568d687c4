//! What a study team wants to know first: the figures of the whole, what needs attention, how it went over time.

use maud::{Markup, html};

use super::{drawing, sheets, shown_percent};
use crate::report::chart_tables;
use crate::report::charts;
use crate::report::findings::{Severity, rule};
use crate::report::journey::ParticipantStanding;
use crate::report::model::Model;
use crate::study::scale::ScaleKind;

/// A questionnaire that lacks more than this share of what is due deserves a look.
const LACKING: f64 = 0.15;
/// So many of the questionnaires are named.
const NAMED: usize = 6;

pub fn summary(model: &Model) -> Markup {
    let people = || model.journeys.people.iter().filter(|person| person.counts);
    let told = |count: u64| model.disclosure.count(count);
    let standing =
        |standing: ParticipantStanding| told(people().filter(|person| person.standing == standing).count() as u64);
    let (due, missing, lost) =
        people().fold((0, 0, 0), |sum, one| (sum.0 + one.due, sum.1 + one.missing(), sum.2 + one.lost));
    let entries: u64 = model.tables.iter().map(|table| table.entries).sum();
    let answers = model.tables.iter().filter(|table| table.kind == ScaleKind::Questionnaire);
    let (cells, empty) = answers.fold((0, 0), |sum, table| (sum.0 + table.cells(), sum.1 + table.missing()));
    html! {
        h2 id="summary" { "Summary" }
        dl.sum {
            (figure("participants", &told(people().count() as u64), &format!(
                "{} active, {} finished, {} dropped out, {} not started",
                standing(ParticipantStanding::Active), standing(ParticipantStanding::Finished), standing(ParticipantStanding::DroppedOut), standing(ParticipantStanding::NotStarted),
            )))
            (figure("entries", &entries.to_string(), &format!("in {} tables", model.tables.len())))
            (figure("of due questionnaires missing", &shown_percent(missing, due), &format!("{} of {}, {} of them logged", told(missing), told(due), told(lost))))
            (figure("of asked items missing", &shown_percent(empty, cells), &format!("{} of {}", told(empty), told(cells))))
            (figure("findings of checks", &model.total().to_string(), &format!("of {} rules", model.counts.len())))
        }
        h3 { "What needs attention" }
        @let attention = attention(model);
        @if attention.is_empty() { p { "Nothing. Every table is there, nothing is undecrypted, nothing is lost." } } @else {
            ul.care { @for care in attention { (line(&care)) } }
        }
    }
}

fn figure(name: &str, number: &str, beside: &str) -> Markup {
    html! { div { dt { (name) } dd { (grouped(number)) } dd.beside { (grouped(beside)) } } }
}

/// Numbers of five digits and more in groups of three, with a narrow space that no line ends at.
fn grouped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let others = rest[digits..].find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len() - digits);
        for (place, digit) in rest[..digits].chars().enumerate() {
            if place > 0 && digits > 4 && (digits - place).is_multiple_of(3) {
                shown.push('\u{202f}');
            }
            shown.push(digit);
        }
        shown.push_str(&rest[digits..digits + others]);
        rest = &rest[digits + others..];
    }
    shown
}

fn list(names: &[String]) -> String {
    let rest = names.len().saturating_sub(NAMED);
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if rest == 0 { shown } else { format!("{shown} and {rest} more") }
}

/// Something to look after, and where it stands on the page.
struct AttentionItem {
    severity: Severity,
    headline: String,
    text: String,
    place: &'static str,
    /// Shows these findings only.
    filter: Option<String>,
    link: &'static str,
}

impl AttentionItem {
    fn new(severity: Severity, headline: String, text: String, place: &'static str, link: &'static str) -> Self {
        Self { severity, headline, text, place, filter: None, link }
    }
}

fn line(care: &AttentionItem) -> Markup {
    let severity = care.severity.word();
    html! {
        li class=(severity) {
            span.tag { (severity) }
            div {
                b { (care.headline) } " " (care.text) " "
                @match &care.filter {
                    Some(filter) => a href="#findings" data-show="findings" data-filter=(filter) { (care.link) },
                    None => a href=(care.place) { (care.link) },
                }
            }
        }
    }
}

/// The rules whose findings the summary speaks of.
const GRAVE: [&str; 13] =
    ["L1", "R1", "S2", "R3", "correction_refused", "R18", "S8", "R13", "R5", "R10", "S5", "R9", "R16"];

fn attention(model: &Model) -> Vec<AttentionItem> {
    let mut care: Vec<AttentionItem> = GRAVE
        .iter()
        .filter_map(|name| {
            let count = model.counts.get(*name).copied().filter(|count| *count > 0)?;
            let (word, what, severity) = rule(name);
            let word = if word.is_empty() { name } else { word };
            let headline = format!("{} of {word}:", plural(count, "finding"));
            let care = AttentionItem::new(severity, headline, format!("{what}."), "#findings", "Show them");
            Some(AttentionItem { filter: Some(format!("rule={name}")), ..care })
        })
        .collect();
    care.extend([lost(model), absent(model), lacking(model), unknown(model)].into_iter().flatten());
    care.sort_by_key(|care| care.severity);
    care
}

fn lost(model: &Model) -> Option<AttentionItem> {
    let lost: Vec<String> = model
        .log_places
        .iter()
        .filter(|(scale, places)| places.only_log > 0 && model.table(scale).is_some())
        .map(|(scale, places)| {
            format!(
                "{scale} ({} of {})",
                model.disclosure.count(places.only_log),
                model.disclosure.count(places.logged)
            )
        })
        .collect();
    let text = format!("TaskLog says these were filled in, the tables do not have them: {}.", list(&lost));
    let headline = "Logged, but not there:".to_owned();
    (!lost.is_empty())
        .then(|| AttentionItem::new(Severity::Warning, headline, text, "#tables", "See the questionnaires"))
}

fn absent(model: &Model) -> Option<AttentionItem> {
    let absent: Vec<String> = model
        .absent
        .iter()
        .map(|(scale, logged)| format!("{scale} ({} in TaskLog)", model.disclosure.count(*logged)))
        .collect();
    let logged = model.absent.values().any(|logged| *logged > 0);
    let severity = if logged { Severity::Warning } else { Severity::Notice };
    let text = format!("{} of the schedule: {}.", plural(absent.len() as u64, "questionnaire"), list(&absent));
    let headline = "No table at all:".to_owned();
    (!absent.is_empty())
        .then(|| AttentionItem::new(severity, headline, text, "#tables", "See the tables that are there"))
}

fn lacking(model: &Model) -> Option<AttentionItem> {
    let lacking: Vec<String> = model
        .scheduled
        .iter()
        .map(|scale| (scale, model.presence(scale, None)))
        .filter(|(_, presence)| !model.disclosure.hides(presence.missing()) && !model.disclosure.hides(presence.due))
        .filter(|(_, presence)| presence.due > 0 && presence.missing() as f64 > LACKING * presence.due as f64)
        .map(|(scale, presence)| format!("{scale} ({})", shown_percent(presence.missing(), presence.due)))
        .collect();
    let headline = "Missing more often than others:".to_owned();
    let text = format!("{}.", list(&lacking));
    (!lacking.is_empty())
        .then(|| AttentionItem::new(Severity::Warning, headline, text, "#missing", "See when they are missing"))
}

fn unknown(model: &Model) -> Option<AttentionItem> {
    let unknown = model.tables.iter().filter(|table| !table.defined && table.kind == ScaleKind::Questionnaire);
    let unknown: Vec<String> = unknown.map(|table| table.scale.clone()).collect();
    let text = format!("so no codes and ranges are known of {}.", list(&unknown));
    let headline = "No definition says what they hold,".to_owned();
    (!unknown.is_empty())
        .then(|| AttentionItem::new(Severity::Notice, headline, text, "#columns-title", "See their columns"))
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

pub fn over_time(model: &Model) -> Markup {
    // A bar that is too small to be told is none.
    let told = |count: u64| if model.disclosure.hides(count) { 0 } else { count };
    let weeks: Vec<_> =
        chart_tables::weeks(model).iter().map(|week| (week.monday, told(week.entries), told(week.enrolled))).collect();
    html! {
        h2 id="time" { "Enrolment and entries over time" }
        @if let Some(svg) = charts::over_time(&weeks) {
            (drawing(&svg, "Picture of enrolment and entries"))
            ul.key { li { i.c0 {} "entries of questionnaires per week" } li { i.c1 {} "participants enrolled so far" } }
            details {
                summary { "The same in numbers" }
                (sheets::plain("weeks", "Enrolment and entries by week", &chart_tables::over_time(model)))
            }
        } @else { p { "No entry has a date yet." } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_shown_in_groups() {
        for (text, shown) in [
            ("7200000", "7\u{202f}200\u{202f}000"),
            ("9999", "9999"),
            ("12345 of 123456, <5 é", "12\u{202f}345 of 123\u{202f}456, <5 é"),
            ("1.5 %", "1.5 %"),
            ("", ""),
        ] {
            assert_eq!(grouped(text), shown);
        }
    }
}

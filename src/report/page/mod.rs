//! The page: one file that opens from disk without network, for people who look after a study.

mod answers;
mod missing;
mod sheets;
mod summary;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::sheets::Link;
use crate::report::charts;
use crate::report::files;
use crate::report::findings;
use crate::report::model::{Model, percent};
use crate::report::sheet;
use crate::style::STYLE;

const SCRIPT: &str = include_str!("script.js");

const SECTIONS: [(&str, &str); 9] = [
    ("summary", "Summary"),
    ("time", "Over time"),
    ("attrition", "Attrition"),
    ("missing", "Missing"),
    ("people", "Participants"),
    ("tables", "Questionnaires"),
    ("scores", "Scores"),
    ("checks", "Checks"),
    ("provenance", "Provenance"),
];

/// Columns of participants.csv that the page shows.
pub const PARTICIPANTS: &[&str] = &[
    "participant",
    "percent_missing",
    "missing",
    "due",
    "logged_not_there",
    "standing",
    "session",
    "task",
    "condition",
    "extra",
    "second_entries",
    "enrolled",
    "last_activity",
    "days_since",
    "test_account",
];

/// Columns of questionnaires.csv that the page shows.
pub const QUESTIONNAIRES: &[&str] = &[
    "questionnaire",
    "percent_missing",
    "missing",
    "due",
    "percent_cells_missing",
    "entries",
    "participants",
    "logged",
    "only_in_log",
    "only_in_table",
    "second_entries",
    "undecrypted",
    "out_of_range",
    "found",
    "kind",
    "last",
    "title",
];

/// Columns of columns.csv that the page shows.
pub const COLUMNS: &[&str] = &[
    "questionnaire",
    "column",
    "percent_missing",
    "missing",
    "asked",
    "answered",
    "declined",
    "empty",
    "server_blank",
    "not_asked",
    "out_of_range",
    "least",
    "most",
    "range_least",
    "range_most",
    "required",
];

/// From a finding to the participant, the questionnaire and the column that it is about.
const FOLLOW: [Link; 3] = [
    Link::new("participant", "participants", &[("participant", "participant")]),
    Link::new("scale", "questionnaires", &[("questionnaire", "scale")]),
    Link::new("column", "columns", &[("questionnaire", "scale"), ("column", "column")]),
];

/// From a column or questionnaire to what the rules found in it, and from a questionnaire to its columns.
const OF_COLUMN: [Link; 1] =
    [Link::new("out_of_range", "findings", &[("scale", "questionnaire"), ("column", "column")])];
const OF_QUESTIONNAIRE: [Link; 2] = [
    Link::new("questionnaire", "columns", &[("questionnaire", "questionnaire")]),
    Link::new("out_of_range", "findings", &[("scale", "questionnaire")]),
];
/// From a participant to what the rules found of them.
const OF_PARTICIPANT: [Link; 1] = [Link::new("participant", "findings", &[("participant", "participant")])];

/// The whole page.
pub fn render(model: &Model) -> String {
    // Nothing but this very script runs, and nothing is fetched from anywhere.
    let script = STANDARD.encode(digest::digest(&digest::SHA256, SCRIPT.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (model.server) " – data report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "Skip to content" }
                header {
                    h1 { (model.server) }
                    p.lead {
                        @if model.study_title.is_empty() { "No study definition" } @else { (model.study_title) }
                        @if let Some(now) = model.now { " · as of " (now.format("%-d %B %Y, %H:%M (UTC%:z)")) ", the newest entry" }
                    }
                }
                nav aria-label="Sections" {
                    ul {
                        @for (id, name) in SECTIONS { li { a href={ "#" (id) } { (name) } } }
                        li { button type="button" id="theme" { "Theme" } }
                    }
                }
                main id="content" tabindex="-1" {
                    (summary::summary(model))
                    (summary::over_time(model))
                    (attrition(model))
                    (missing::missing(model))
                    (people(model))
                    (tables(model))
                    (answers::scores(model))
                    (checks(model))
                    (provenance(model))
                }
                footer {
                    @if model.disclosure.pseudonyms { p { "Participants stand under pseudonyms that hold for this report." } }
                    @if model.disclosure.least_cell > 0 { p { "Counts below " (model.disclosure.least_cell) " are not told, nor what they could be computed from." } }
                    p { "Test accounts are left out of every percentage. Missing has kinds: what they are stands beside each number." }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn attrition(model: &Model) -> Markup {
    let names: Vec<String> = model.sessions.iter().map(|(name, _)| name.clone()).collect();
    let everyone = &model.arms[0];
    html! {
        h2 id="attrition" { "Attrition" }
        p {
            "Who got how far. Someone counts as dropped out when nothing came from them for "
            (crate::report::journey::IDLE_DAYS) " days longer than the schedule asks them to wait."
        }
        @if let Some(svg) = charts::survival(&model.arms, &names, model.disclosure) {
            (drawing(&svg, "Survival by condition"))
            ul.key {
                @for (number, arm) in model.arms.iter().enumerate() {
                    li { i class={ "c" (charts::series(number)) } {} (arm_name(arm.condition.as_deref())) " (" (model.disclosure.count(arm.enrolled)) ")" }
                }
            }
        }
        h3 { "Flow of participants" }
        ol.flow {
            (step(model, everyone.enrolled, "enrolled", true, &[(everyone.not_started, "not started")]))
            @for stage in &everyone.stages {
                (step(model, stage.reached, &model.sessions[stage.session].1, stage.is_told(model.disclosure), &[
                    (stage.dropped, "dropped out"), (stage.ongoing, "may still go on"), (stage.finished, "finished"),
                ]))
            }
        }
        details {
            summary { "By condition, in numbers" }
            (sheets::plain("attrition", "Attrition by condition and session", &files::attrition(model)))
        }
    }
}

/// A box of the flow, a bar as long as its share, and who does not go on to the next.
fn step(model: &Model, count: u64, name: &str, told: bool, leaving: &[(u64, &str)]) -> Markup {
    let enrolled = model.arms[0].enrolled;
    let width = if told { count * 100 / enrolled.max(1) } else { 0 };
    let hidden = |part: u64| !told && part > 0 && !model.disclosure.hides(part);
    let shown = |part: u64| if hidden(part) { sheet::HIDDEN.to_owned() } else { model.disclosure.count(part) };
    html! {
        li {
            div.box { b { (shown(count)) } span { (name) } }
            div.bar-of { i.part style=(format!("width:{width}%")) {} }
            div.off { @for (part, what) in leaving { @if *part > 0 { span { b { (shown(*part)) } " " (what) } } } }
        }
    }
}

fn arm_name(condition: Option<&str>) -> &str {
    match condition {
        None => "everyone",
        Some("") => "no condition",
        Some(condition) => condition,
    }
}

fn people(model: &Model) -> Markup {
    let sheet = sheets::chosen(&files::participants(model), PARTICIPANTS);
    html! {
        h2 id="people" { "Participants" }
        p {
            "Due is every questionnaire that the schedule places up to where they are. Of the missing, "
            "“logged, not there” are those that TaskLog has; the others were passed over."
        }
        (sheets::data("participants", "participants", "standing=\"dropped out\"", &sheet, &OF_PARTICIPANT))
    }
}

fn tables(model: &Model) -> Markup {
    html! {
        h2 id="tables" { "Questionnaires" }
        p {
            "A table per row: what TaskLog knows of it, what is there, what is missing. “Only in log” and “only in table” count "
            "places (participant, session, tag) where the two disagree; TaskLog itself misses entries, so neither is the truth."
        }
        (sheets::data("questionnaires", "questionnaires", "OA", &sheets::chosen(&files::questionnaires(model), QUESTIONNAIRES), &OF_QUESTIONNAIRE))
        h3 id="columns-title" { "Columns" }
        p {
            "Percent missing is missing of asked: declined, empty and lost by the server, of all entries but those for which "
            "the definition says that the question was not asked."
        }
        (sheets::data("columns", "columns", "questionnaire=OA", &sheets::chosen(&files::columns(model), COLUMNS), &OF_COLUMN))
        (answers::distributions(model))
    }
}

fn checks(model: &Model) -> Markup {
    let rules: Vec<(&String, &u64)> = model.counts.iter().collect();
    let header = &["rule", "scale", "entry_id", "participant", "column", "value", "message"];
    let rows = rules.iter().flat_map(|(rule, _)| {
        model.shown(rule).map(|finding| {
            let value = answers::harmless(model, finding);
            [&finding.rule, &finding.scale, &finding.id, &finding.participant, &finding.column, value, &finding.message]
                .map(ToString::to_string)
                .to_vec()
        })
    });
    let sheet = sheet::Sheet { header, rows: rows.collect() };
    let shown = |rule: &str, count: u64| if rule == "R12" { 0 } else { count.min(findings::SHOWN) };
    html! {
        h2 id="checks" { "Checks" }
        p { "Nothing is dropped: each rule flags. All findings are in " a href="checks.csv" { "checks.csv" } "; below are the first " (findings::SHOWN) " of each rule." }
        @if rules.is_empty() { p { "No rule found anything." } } @else {
            div.scroll tabindex="0" role="region" aria-label="Findings by rule" {
                table data-csv="rules" {
                    thead { tr { th scope="col" { "Rule" } th.t scope="col" { "Finds" } th.t scope="col" { "Severity" } th scope="col" { "Findings" } } }
                    tbody {
                        @for (rule, count) in &rules {
                            @let (name, what, severity) = findings::rule(rule);
                            tr {
                                th scope="row" { (rule) " " (name) }
                                td.t { (what) }
                                td.t { b class=(severity.word()) { (severity.word()) } }
                                td data-value=(count) {
                                    @if shown(rule, **count) > 0 {
                                        a href="#findings" data-show="findings" data-filter={ "rule=" (rule) } { (count) }
                                    } @else { (count) }
                                }
                            }
                        }
                    }
                }
            }
            (sheets::data("findings", "findings", "rule=R13", &sheet, &FOLLOW))
        }
    }
}

fn provenance(model: &Model) -> Markup {
    let names = files::SHEETS.iter().map(|(name, _)| *name).chain(["checks.csv"]);
    let inputs = model.tables.iter().map(|table| (format!("combined/{}.csv", table.scale), table.hash));
    let inputs = inputs.chain(model.scored.iter().map(|scored| (format!("scored/{}.csv", scored.scale), scored.hash)));
    html! {
        h2 id="provenance" { "Provenance" }
        p {
            @if model.study.is_empty() { "No definition of the study was used. " } @else {
                "Definition " b { (model.study) } ", digest " span.hash { (model.study_digest) } ". "
            }
            "The same inputs make the same page, byte for byte."
        }
        p { "The numbers as tables: " @for name in names { a href=(name) { (name) } " " } }
        h3 { "Ledger" }
        p { "Entries archived as they came, and the rows of the combined tables that they became; deletions as the server confirmed them. "
            "Then the answers: what was received is stored, held already or repeated within the answer; pending is what stayed on the "
            "server after the day's last answer although it was to be deleted." }
        (sheets::data("ledger", "ledger", "OA", &files::ledger(model), &[]))
        details {
            summary { "Inputs and their hashes (BLAKE3)" }
            div.scroll tabindex="0" role="region" aria-label="Inputs" {
                table data-csv="inputs" {
                    thead { tr { th scope="col" { "File" } th.t scope="col" { "BLAKE3" } } }
                    tbody { @for (path, hash) in inputs { tr { th scope="row" { (path) } td.t.hash { (hash.to_hex().as_str()) } } } }
                }
            }
        }
    }
}

/// A picture, which a narrow screen scrolls sideways rather than shrinks until nobody can read it.
fn drawing(svg: &str, label: &str) -> Markup {
    html! { figure { div.scroll tabindex="0" role="region" aria-label=(label) { (PreEscaped(svg)) } } }
}

/// A cell of a heat map: `text` on a ground as dark as `part` of `whole` is large.
fn heat(part: u64, whole: u64, text: &str, title: &str) -> Markup {
    if whole == 0 {
        return html! { td.none title=(title) { "–" } };
    }
    // By the root, so that a few percent can be told from none.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most a hundred
    let share = ((part as f64 / whole as f64).sqrt() * 100.0) as u64;
    let class = if share > 50 { "h hi" } else { "h" };
    html! { td class=(class) style=(format!("--s:{share}")) title=(title) { (text) } }
}

/// Percent for people: a dash when there is nothing to be a part of.
fn shown_percent(part: u64, whole: u64) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{} %", percent(part, whole)) }
}

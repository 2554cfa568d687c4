//! The report's numbers as CSV files, one noun each.

use std::io::Write;
use std::path::Path;

use chrono::{DateTime, FixedOffset};

use crate::disk::atomic::Written;
use crate::disk::atomic::{AtomicFile, SHARED};
use crate::report::chart_tables;
use crate::report::findings::HEADER;
use crate::report::model::{Model, percent};
use crate::report::sheet::{CountGroup, Sheet};
use crate::study::scale::ScaleKind;

/// The tables of a report. checks.csv is written as it comes.
pub const SHEETS: [(&str, Maker); 9] = [
    ("questionnaires.csv", questionnaires),
    ("columns.csv", columns),
    ("participants.csv", participants),
    ("attrition.csv", attrition),
    ("sessions.csv", chart_tables::sessions),
    ("weeks.csv", chart_tables::over_time),
    ("answers.csv", chart_tables::answers),
    ("scores.csv", chart_tables::scores),
    ("ledger.csv", ledger),
];

type Maker = fn(&Model) -> Sheet;

/// A moment as the report writes it.
pub fn shown(moment: Option<DateTime<FixedOffset>>) -> String {
    moment.map(|moment| moment.to_rfc3339()).unwrap_or_default()
}

/// The day of a moment in milliseconds since 1970, at the offset of the study's dates.
pub fn day(model: &Model, moment: Option<i64>) -> String {
    let zone = model.now.map(|now| *now.offset());
    let day = moment.and_then(DateTime::from_timestamp_millis).zip(zone);
    day.map(|(moment, zone)| moment.with_timezone(&zone).format("%Y-%m-%d").to_string()).unwrap_or_default()
}

fn kind(kind: ScaleKind) -> &'static str {
    match kind {
        ScaleKind::Questionnaire => "questionnaire",
        ScaleKind::Log => "log",
        ScaleKind::Participants => "participants",
        ScaleKind::Trials => "trials",
    }
}

fn numbers<const N: usize>(numbers: [u64; N]) -> impl Iterator<Item = String> {
    numbers.into_iter().map(|number| number.to_string())
}

const QUESTIONNAIRES: &[&str] = &[
    "questionnaire",
    "title",
    "kind",
    "found",
    "entries",
    "participants",
    "logged",
    "only_in_log",
    "only_in_table",
    "second_entries",
    "superseded",
    "undecrypted",
    "out_of_range",
    "due",
    "missing",
    "percent_missing",
    "cells",
    "cells_missing",
    "percent_cells_missing",
    "scored",
    "first",
    "last",
];

/// questionnaires.csv
pub fn questionnaires(model: &Model) -> Sheet {
    let mut rows: Vec<Vec<String>> = model
        .tables
        .iter()
        .map(|table| {
            let places = model.log_places.get(&table.scale).copied().unwrap_or_default();
            let presence = model.presence(&table.scale, None);
            let mut row =
                vec![table.scale.clone(), table.title.clone(), kind(table.kind).to_owned(), "true".to_owned()];
            row.extend(numbers([
                table.entries,
                table.participants,
                places.logged,
                places.only_log,
                places.only_table,
                table.second,
                table.superseded,
                table.undecrypted,
                table.out_of_range(),
                presence.due,
                presence.missing(),
            ]));
            row.push(percent(presence.missing(), presence.due));
            row.extend(numbers([table.cells(), table.missing()]));
            row.push(percent(table.missing(), table.cells()));
            let scored = model.scored.iter().find(|scored| scored.scale == table.scale);
            row.push(scored.map(|scored| scored.rows.to_string()).unwrap_or_default());
            row.extend([shown(table.first), shown(table.last)]);
            row
        })
        .collect();
    rows.extend(model.absent.iter().map(|(scale, logged)| {
        let mut row = vec![scale.clone(), scale.clone(), "questionnaire".to_owned(), "false".to_owned()];
        row.extend(numbers([0, 0, *logged, *logged]));
        row.resize(QUESTIONNAIRES.len(), String::new());
        row
    }));
    rows.sort();
    Sheet { header: QUESTIONNAIRES, rows }.suppress_small(
        model.disclosure,
        &[
            CountGroup { counts: &["missing", "due"], with: &["percent_missing"] },
            CountGroup { counts: &["cells_missing", "cells"], with: &["percent_cells_missing"] },
            CountGroup { counts: &["logged", "only_in_log", "only_in_table"], with: &[] },
            CountGroup { counts: &["second_entries"], with: &["scored"] },
            CountGroup { counts: &["superseded"], with: &[] },
            CountGroup { counts: &["undecrypted"], with: &[] },
            CountGroup { counts: &["out_of_range"], with: &[] },
            CountGroup { counts: &["entries", "participants"], with: &["first", "last"] },
        ],
    )
}

/// columns.csv
pub fn columns(model: &Model) -> Sheet {
    let header = &[
        "questionnaire",
        "column",
        "required",
        "entries",
        "answered",
        "declined",
        "not_asked",
        "empty",
        "server_blank",
        "missing",
        "asked",
        "percent_missing",
        "out_of_range",
        "least",
        "most",
        "range_least",
        "range_most",
    ];
    let ends = |range: Option<(f64, f64)>| match range {
        Some((least, most)) => [least.to_string(), most.to_string()],
        None => [String::new(), String::new()],
    };
    let answers =
        model.tables.iter().filter(|table| matches!(table.kind, ScaleKind::Questionnaire | ScaleKind::Trials));
    let rows = answers.flat_map(|table| {
        table.columns.iter().map(|column| {
            let mut row = vec![table.scale.clone(), column.name.clone(), column.required.to_string()];
            row.extend(numbers([
                column.entries,
                column.answered,
                column.declined,
                column.not_asked,
                column.empty,
                column.server,
                column.missing(),
                column.asked(),
            ]));
            row.push(percent(column.missing(), column.asked()));
            row.push(column.out_of_range.to_string());
            row.extend(ends(column.seen));
            row.extend(ends(column.range));
            row
        })
    });
    Sheet { header, rows: rows.collect() }.suppress_small(
        model.disclosure,
        &[
            CountGroup {
                counts: &["answered", "declined", "not_asked", "empty", "server_blank", "missing", "asked"],
                with: &["percent_missing", "least", "most"],
            },
            CountGroup { counts: &["out_of_range"], with: &["least", "most"] },
        ],
    )
}

/// participants.csv
pub fn participants(model: &Model) -> Sheet {
    let header = &[
        "participant",
        "test_account",
        "condition",
        "enrolled",
        "standing",
        "session",
        "task",
        "server_session",
        "sessions_completed",
        "due",
        "done",
        "missing",
        "percent_missing",
        "logged_not_there",
        "skipped",
        "ahead",
        "extra",
        "second_entries",
        "entries",
        "last_activity",
        "days_since",
    ];
    let rows = model.journeys.people.iter().map(|person| {
        let session = person.session.map(|session| model.slots.sessions[session].clone()).unwrap_or_default();
        let mut row = vec![
            person.id.clone(),
            person.test_account.to_string(),
            person.condition.clone(),
            day(model, person.enrolled),
            person.standing.word().to_owned(),
            session,
            person.task.clone(),
            person.server_session.clone(),
        ];
        let completed = person.completed.iter().filter(|completed| **completed).count() as u64;
        row.extend(numbers([completed, person.due, person.done, person.missing()]));
        row.push(percent(person.missing(), person.due));
        row.extend(numbers([
            person.lost,
            person.skipped(),
            person.ahead,
            person.extra,
            person.repeated,
            person.entries,
        ]));
        row.push(day(model, person.last));
        row.push(person.idle_days.map(|days| format!("{days:.1}")).unwrap_or_default());
        row
    });
    Sheet { header, rows: rows.collect() }
}

/// Who is meant by which pseudonym, as CSV.
pub fn who_is_who(model: &Model) -> String {
    let mut rows = csv::Writer::from_writer(Vec::new());
    let pairs = model.pseudonyms.iter().map(|(name, id)| [name.as_str(), id.as_str()]);
    for pair in [["pseudonym", "participant"]].into_iter().chain(pairs) {
        // Into memory, which takes everything.
        let _ = rows.write_record(pair);
    }
    String::from_utf8(rows.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// attrition.csv
pub fn attrition(model: &Model) -> Sheet {
    let header = &[
        "condition",
        "session",
        "display",
        "enrolled",
        "reached",
        "completed",
        "dropped",
        "ongoing",
        "finished",
        "percent_reached",
        "percent_completed",
        "percent_dropped",
        "median_days",
    ];
    let rows = model.arms.iter().flat_map(|arm| {
        arm.stages.iter().map(|stage| {
            let (session, display) = model.sessions[stage.session].clone();
            let condition = arm.condition.clone().unwrap_or_else(|| "all".to_owned());
            let mut row = vec![condition, session, display];
            row.extend(numbers([
                arm.enrolled,
                stage.reached,
                stage.completed,
                stage.dropped,
                stage.ongoing,
                stage.finished,
            ]));
            row.extend([stage.reached, stage.completed, stage.dropped].map(|part| percent(part, arm.enrolled)));
            row.push(stage.median_days.map(|days| format!("{days:.1}")).unwrap_or_default());
            row
        })
    });
    Sheet { header, rows: rows.collect() }.suppress_small(
        model.disclosure,
        &[
            CountGroup {
                counts: &["reached", "completed", "dropped", "ongoing", "finished"],
                with: &["percent_reached", "percent_completed", "percent_dropped", "median_days"],
            },
            CountGroup { counts: &["enrolled"], with: &["percent_reached", "percent_completed", "percent_dropped"] },
        ],
    )
}

/// ledger.csv
pub fn ledger(model: &Model) -> Sheet {
    let header = &[
        "scale",
        "day",
        "raw_files",
        "archived",
        "combined",
        "difference",
        "deletions_confirmed",
        "deletions_failed",
        "listed",
        "not_sent",
        "received",
        "stored",
        "already_held",
        "repeated",
        "unrecorded",
        "pending",
        "balanced",
    ];
    let rows = model.reconciliation.iter().flat_map(|(scale, pages)| {
        pages.iter().map(|(day, page)| {
            let shown = |known: Option<String>| known.unwrap_or_default();
            let difference = page.combined.map(|combined| i128::from(page.archived) - i128::from(combined));
            let mut row = vec![scale.clone(), day.map(|day| day.to_string()).unwrap_or_default()];
            row.extend(numbers([page.raw_files, page.archived]));
            row.push(shown(page.combined.map(|combined| combined.to_string())));
            row.push(shown(difference.map(|difference| difference.to_string())));
            let came = &page.came;
            row.extend(numbers([
                page.deletions_confirmed,
                page.deletions_failed,
                came.listed,
                came.not_sent,
                came.received,
                came.stored,
                came.already_held,
                came.repeated,
                page.unrecorded,
                page.pending,
            ]));
            // Of tables without raw files nothing is known that could be balanced.
            row.push(day.map(|_| page.difference().is_none().to_string()).unwrap_or_default());
            row
        })
    });
    Sheet { header, rows: rows.collect() }
}

/// checks.csv: all findings, table by table. The model's own spools are emptied by it.
pub fn checks(path: &Path, model: Model) -> std::io::Result<Written> {
    let mut file = AtomicFile::create(path, SHARED)?;
    file.write_all(HEADER.join(",").as_bytes())?;
    file.write_all(b"\n")?;
    for findings in model.findings {
        findings.append_to(&mut file)?;
    }
    file.commit()
}

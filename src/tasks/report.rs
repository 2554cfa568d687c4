//! Report: a server's numbers as tables and as one page.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Project;
use crate::config::servers::Servers;
use crate::pool::atomic::{self, SHARED};
use crate::pool::index::Index;
use crate::pool::ledger;
use crate::pool::paths::ServerFolder;
use crate::pool::table::TableWriter;
use crate::report::model::{Model, compute, percent};
use crate::report::page;
use crate::study::name::ScaleName;
use crate::study::scale::{Studies, Study};
use crate::task::{Axes, Declaration, Done, Facts, Failure, FailureKind, Output, Task, Work, Written};

/// What a report makes, in the order of [`Report::declare`].
const FILES: [&str; 7] = [
    "index.html",
    "questionnaires.csv",
    "columns.csv",
    "participants.csv",
    "attrition.csv",
    "checks.csv",
    "ledger.csv",
];

/// The reports of all servers.
pub struct Report {
    servers: Arc<Servers>,
    studies: Arc<Studies>,
}

impl Report {
    #[must_use]
    pub fn new(project: &Project) -> Self {
        Self { servers: Arc::clone(&project.servers), studies: Arc::clone(&project.studies) }
    }

    fn study(&self, axes: &Axes) -> Option<&Study> {
        let server = self.servers.get(axes.server.as_ref()?)?;
        self.studies.get(server.study.as_ref()?)
    }
}

impl Task for Report {
    fn revision(&self) -> u32 {
        1
    }

    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration {
        let seen = axes.server.as_ref().and_then(|server| facts.servers.get(server));
        // A server that nothing is known of has nothing to report.
        let Some(seen) = seen.filter(|seen| seen.scales.values().any(|scale| !scale.dates.is_empty())) else {
            return Declaration::default();
        };
        let digest = self.study(axes).map_or_else(|| "none".to_owned(), |study| study.digest.clone());
        Declaration {
            inputs: Vec::new(),
            outputs: FILES.iter().map(|name| Output::required(format!("{}/reports/{name}", seen.path))).collect(),
            parameters: vec![("study", digest)],
        }
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        let Some(server) = work.axes.server.as_ref().and_then(|name| self.servers.get(name)) else {
            return Err(Failure::new(FailureKind::Internal, "a report without server"));
        };
        let tables: Vec<PathBuf> = work.inputs_in("combined").filter(|path| path.exists()).collect();
        let model = compute(server.name.as_str(), self.study(work.axes), &tables)
            .map_err(|(path, error)| Failure::new(FailureKind::Read, format!("{}: {error}", path.display())))?;
        work.cancel.check()?;
        let folder = ServerFolder::new(&server.path);
        let reports = folder.reports();
        let failed = |error: csv::Error| Failure::write(&reports, &std::io::Error::other(error));
        let page = reports.join(FILES[0]);
        let mut written =
            vec![atomic::write(&page, SHARED, page::render(&model).as_bytes()).map_err(|e| Failure::write(&page, &e))?];
        written.push(questionnaires(&reports.join(FILES[1]), &model).map_err(failed)?);
        written.push(columns(&reports.join(FILES[2]), &model).map_err(failed)?);
        written.push(participants(&reports.join(FILES[3]), &model).map_err(failed)?);
        written.push(attrition(&reports.join(FILES[4]), &model).map_err(failed)?);
        written.push(checks(&reports.join(FILES[5]), &model).map_err(failed)?);
        written.push(self::ledger(&reports.join(FILES[6]), &folder, &model).map_err(failed)?);
        Ok(Done { written, ..Done::default() })
    }
}

fn table(path: &Path, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<Written, csv::Error> {
    let mut table = TableWriter::create(path, header)?;
    for row in rows {
        table.row(&row)?;
    }
    Ok(table.finish()?)
}

fn questionnaires(path: &Path, model: &Model) -> Result<Written, csv::Error> {
    let header = [
        "questionnaire",
        "title",
        "entries",
        "participants",
        "superseded",
        "cells",
        "missing",
        "percent_missing",
        "first",
        "last",
    ];
    let date =
        |moment: Option<chrono::DateTime<chrono::FixedOffset>>| moment.map(|m| m.to_rfc3339()).unwrap_or_default();
    table(
        path,
        &header,
        model.tables.iter().map(|one| {
            let (cells, missing) = (one.cells(), one.missing());
            vec![
                one.scale.clone(),
                one.title.clone(),
                one.entries.to_string(),
                one.participants.to_string(),
                one.superseded.to_string(),
                cells.to_string(),
                missing.to_string(),
                percent(missing, cells),
                date(one.first),
                date(one.last),
            ]
        }),
    )
}

fn columns(path: &Path, model: &Model) -> Result<Written, csv::Error> {
    let header = ["questionnaire", "column", "entries", "empty", "coded", "out_of_range", "percent_missing"];
    let rows = model.tables.iter().flat_map(|one| {
        one.columns.iter().map(|column| {
            let numbers = [column.cells, column.empty, column.coded, column.out_of_range];
            let mut row = vec![one.scale.clone(), column.name.clone()];
            row.extend(numbers.map(|number| number.to_string()));
            row.push(percent(column.missing(), column.cells));
            row
        })
    });
    table(path, &header, rows)
}

fn participants(path: &Path, model: &Model) -> Result<Written, csv::Error> {
    let header =
        ["participant", "test_account", "furthest_session", "sessions_completed", "due", "missing", "percent_missing"];
    let rows = model.participants.iter().map(|((_, who), one)| {
        let furthest = one.furthest.and_then(|index| model.sessions.get(index)).map(|session| session.name.clone());
        let missing = one.due - one.answered;
        vec![
            who.clone(),
            one.test_account.to_string(),
            furthest.unwrap_or_default(),
            one.completed.len().to_string(),
            one.due.to_string(),
            missing.to_string(),
            percent(missing, one.due),
        ]
    });
    table(path, &header, rows)
}

fn attrition(path: &Path, model: &Model) -> Result<Written, csv::Error> {
    let header = ["session", "display", "reached", "completed", "dropped", "percent_dropped"];
    let rows = model.sessions.iter().map(|one| {
        let mut row = vec![one.name.clone(), one.display.clone()];
        row.extend([one.reached, one.completed, one.dropped].map(|number| number.to_string()));
        row.push(percent(one.dropped, one.reached));
        row
    });
    table(path, &header, rows)
}

fn checks(path: &Path, model: &Model) -> Result<Written, csv::Error> {
    let header = ["rule", "scale", "entry_id", "participant", "column", "value", "message", "severity"];
    let rows = model.tables.iter().flat_map(|one| &one.findings).map(|finding| {
        let (message, severity) = match finding.rule.as_str() {
            "R13" => ("outside the item's range", "warning"),
            "R16" => ("no date in a known form", "warning"),
            "repeated_id" => ("the id stands there with other content, too", "warning"),
            "no_raw_file" => ("the day's table has no raw file", "notice"),
            _ => ("", "notice"),
        };
        let f = finding.clone();
        vec![f.rule, f.scale, f.id, f.participant, f.column, f.value, message.to_owned(), severity.to_owned()]
    });
    table(path, &header, rows)
}

/// Per scale: entries archived, entries in the combined table, entries gone from the server.
fn ledger(path: &Path, folder: &ServerFolder, model: &Model) -> Result<Written, csv::Error> {
    let header = ["scale", "raw_files", "archived", "combined", "superseded", "deleted_on_server"];
    let mut rows = Vec::new();
    for one in &model.tables {
        let Ok(scale) = ScaleName::new(&one.scale) else { continue };
        let index = Index::open(folder, &scale)?;
        let deleted = ledger::confirmed(folder, &scale)?.len();
        rows.push(vec![
            one.scale.clone(),
            index.files.len().to_string(),
            index.entries().to_string(),
            (one.entries + one.superseded).to_string(),
            one.superseded.to_string(),
            deleted.to_string(),
        ]);
    }
    table(path, &header, rows.into_iter())
}

//! Builds a server's report and prints one table of it.

use std::io::IsTerminal;
use std::path::PathBuf;

use serde_json::{Map, Number, Value};

use crate::cli::arguments::{BuildArguments, ProjectArguments, ReportArguments, ReportKind};
use crate::cli::fitted::{Manner, Sheet};
use crate::cli::{Exit, Fault, build};
use crate::config::Project;
use crate::config::error::wants_colour;
use crate::config::servers::Server;
use crate::output::{self, answer};
use crate::pool::paths::ServerFolder;
use crate::report::page::{COLUMNS, PARTICIPANTS, QUESTIONNAIRES};

pub fn run(arguments: &ProjectArguments, report: &ReportArguments) -> Result<Exit, Fault> {
    let project = build::load(arguments)?;
    let server = report.server.as_deref().filter(|server| *server != ".");
    let targets = build::verb_targets(&project, "report", server, None)?;
    // With --json stdout is the table; a build of its own tells its events.
    let mut options = report.run.clone();
    let json = options.json && !options.dry_run;
    options.json = options.json && !json;
    let exit = build::run(arguments, &BuildArguments { targets, run: options, prune: false })?;
    if report.run.dry_run || !matches!(exit, Exit::Done | Exit::Failed | Exit::Warnings) {
        return Ok(exit);
    }
    let chosen: Vec<&Server> = project
        .servers
        .values()
        .filter(|known| server.map_or(known.ready, |name| known.name.as_str() == name))
        .collect();
    let mut rows = Vec::new();
    for known in &chosen {
        let (path, text) = read(&project, known, report.kind)?;
        let sheet = || parse(&text).map_err(|error| Fault::failed(format!("{}: {error}", path.display())));
        let shown = if json {
            rows.extend(objects(known.name.as_str(), &sheet()?));
            continue;
        } else if report.csv {
            text
        } else {
            let title = if chosen.len() > 1 { format!("{}\n", known.name) } else { String::new() };
            format!("{title}{}\n", sheet()?.show(first(report.kind), manner()))
        };
        output::text(&shown);
    }
    if json {
        answer!("{}", Value::Array(rows));
    }
    Ok(exit)
}

fn manner() -> Manner {
    if !std::io::stdout().is_terminal() {
        return Manner::default();
    }
    // A terminal that does not know its own size is taken for the usual one.
    let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
    Manner { width: Some(width), colour: wants_colour() }
}

/// The columns that matter most, which a narrow terminal shows before others.
fn first(kind: ReportKind) -> &'static [&'static str] {
    match kind {
        ReportKind::Questionnaire => COLUMNS,
        ReportKind::Scale => QUESTIONNAIRES,
        ReportKind::Participant => PARTICIPANTS,
        ReportKind::Attrition => &[],
    }
}

fn read(project: &Project, server: &Server, kind: ReportKind) -> Result<(PathBuf, String), Fault> {
    let name = match kind {
        ReportKind::Questionnaire => "columns.csv",
        ReportKind::Scale => "questionnaires.csv",
        ReportKind::Participant => "participants.csv",
        ReportKind::Attrition => "attrition.csv",
    };
    let path = ServerFolder::new(&server.path).reports().join(name);
    if !path.exists() {
        let pool = project.pool();
        return Err(Fault::failed(format!("{} has no report yet in {}", server.name, build::shown(&pool).display())));
    }
    let shown = build::shown(&path);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((shown, text)),
        Err(error) => Err(Fault::failed(format!("{}: {error}", shown.display()))),
    }
}

fn parse(text: &str) -> Result<Sheet, csv::Error> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let owned = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
    let header = owned(reader.headers()?);
    let rows = reader.records().map(|record| record.map(|record| owned(&record))).collect::<Result<_, _>>()?;
    Ok(Sheet { header, rows })
}

/// A row as an object: numbers as numbers, an empty cell as null; what names something stays a text.
fn objects(server: &str, sheet: &Sheet) -> Vec<Value> {
    let text =
        |name: &str| matches!(name, "participant" | "condition" | "session" | "task" | "questionnaire" | "column");
    let value = |name: &str, cell: &str| match cell {
        "" => Value::Null,
        "true" | "false" if !text(name) => Value::Bool(cell == "true"),
        _ if text(name) => Value::from(cell),
        _ => cell.parse::<Number>().map_or_else(|_| Value::from(cell), Value::Number),
    };
    let object = |row: &Vec<String>| {
        let cells = sheet.header.iter().zip(row).map(|(name, cell)| (name.clone(), value(name, cell)));
        let server = ("server".to_owned(), Value::from(server));
        Value::Object([server].into_iter().chain(cells).collect::<Map<_, _>>())
    };
    sheet.rows.iter().map(object).collect()
}

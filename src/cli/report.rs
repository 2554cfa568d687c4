//! Builds a server's report and prints one table of it.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use comfy_table::Table;

use crate::cli::arguments::{BuildArguments, ProjectArguments, ReportArguments, ReportKind};
use crate::cli::{Exit, Fault, build};
use crate::config::Project;
use crate::config::servers::Server;
use crate::pool::paths::ServerFolder;

pub fn run(arguments: &ProjectArguments, report: &ReportArguments) -> Result<Exit, Fault> {
    let project = build::load(arguments)?;
    let server = report.server.as_deref().filter(|server| *server != ".");
    let targets = build::verb_targets(&project, "report", server, None)?;
    let exit = build::run(arguments, &BuildArguments { targets, run: report.run.clone(), prune: false })?;
    if report.run.dry_run || !matches!(exit, Exit::Done | Exit::Failed | Exit::Warnings) {
        return Ok(exit);
    }
    let chosen: Vec<&Server> = project
        .servers
        .values()
        .filter(|known| server.map_or(known.ready, |name| known.name.as_str() == name))
        .collect();
    for known in &chosen {
        if chosen.len() > 1 && !report.csv && !report.run.json {
            println!("{}", known.name);
        }
        show(&project, known, report)?;
    }
    Ok(exit)
}

fn show(project: &Project, server: &Server, report: &ReportArguments) -> Result<(), Fault> {
    let name = match report.kind {
        ReportKind::Questionnaire => "columns.csv",
        ReportKind::Scale => "questionnaires.csv",
        ReportKind::Participant => "participants.csv",
        ReportKind::Attrition => "attrition.csv",
    };
    let path = ServerFolder::new(&server.path).reports().join(name);
    let failed = |error: &dyn std::fmt::Display| Fault::failed(format!("{}: {error}", build::shown(&path).display()));
    if !path.exists() {
        let pool = project.pool();
        return Err(Fault::failed(format!("{} has no report yet in {}", server.name, build::shown(&pool).display())));
    }
    if report.csv {
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&error))?;
        print!("{text}");
        return Ok(());
    }
    let (header, rows) = read(&path).map_err(|error| failed(&error))?;
    if report.run.json {
        let objects = rows.iter().map(|row| {
            let fields =
                header.iter().zip(row).map(|(name, value)| (name.clone(), serde_json::Value::from(value.as_str())));
            serde_json::Value::Object(fields.collect())
        });
        println!("{}", serde_json::Value::Array(objects.collect()));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY).set_header(header).add_rows(rows);
    if !std::io::stdout().is_terminal() {
        table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    }
    println!("{table}");
    Ok(())
}

fn read(path: &PathBuf) -> Result<(Vec<String>, Vec<Vec<String>>), csv::Error> {
    let mut reader = csv::Reader::from_path(Path::new(path))?;
    let owned = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
    let header = owned(reader.headers()?);
    let rows = reader.records().map(|record| record.map(|record| owned(&record))).collect::<Result<_, _>>()?;
    Ok((header, rows))
}

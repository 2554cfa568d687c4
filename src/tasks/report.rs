//! Report: a server's numbers as tables and as one page.

use std::path::PathBuf;
use std::sync::Arc;

use crate::code::Code;
use crate::config::Project;
use crate::config::servers::{Servers, study_of};
use crate::counts::{Count, Counts};
use crate::disk::atomic::Written;
use crate::disk::atomic::{self, PRIVATE, SHARED};
use crate::failure::Failure;
use crate::pool::paths::ServerFolder;
use crate::report::files;
use crate::report::model::{Model, compute};
use crate::report::sources::{Sources, Unreadable};
use crate::report::{codebook, package, page};
use crate::study::disclosure_control::DisclosureControl;
use crate::study::name::ServerName;
use crate::study::people::{Overrides, accounts};
use crate::study::scale::{Studies, Study, digest};
use crate::task::{Axes, Declaration, Done, Facts, Output, ServerFacts, Task, Work};

/// What a report makes beside its tables.
const FILES: [&str; 2] = ["index.html", "checks.csv"];

/// What it makes beside combined/ and scored/: what their columns mean.
const MEANINGS: [&str; 2] = ["codebook.csv", "datapackage.json"];

/// Beside the report, for those who may know.
const WHO_IS_WHO: &str = "pseudonyms.csv";

/// The reports of all servers.
pub struct ReportTask {
    servers: Arc<Servers>,
    studies: Arc<Studies>,
    accounts: Arc<Overrides>,
    disclosure: DisclosureControl,
}

impl ReportTask {
    pub fn new(project: &Project, disclosure: DisclosureControl) -> Self {
        Self {
            servers: Arc::clone(&project.servers),
            studies: Arc::clone(&project.studies),
            accounts: Arc::clone(&project.accounts),
            disclosure,
        }
    }

    fn study(&self, axes: &Axes) -> Option<&Study> {
        study_of(&self.servers, &self.studies, axes.server.as_ref()?)
    }
}

/// The raw files that the ledger counts, told apart by their names: none of them ever changes.
fn archive(seen: &ServerFacts) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut count = 0_u64;
    for name in seen.scales.values().flat_map(|scale| scale.dates.values()).flat_map(|files| &files.raw) {
        hasher.update(name.as_bytes()).update(&[0]);
        count += 1;
    }
    format!("{count} files, {}", &hasher.finalize().to_hex()[..16])
}

impl Task for ReportTask {
    fn revision(&self) -> u32 {
        7
    }

    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration {
        let seen = axes.server.as_ref().and_then(|server| facts.servers.get(server));
        // A server that nothing is known of has nothing to report.
        let Some(seen) = seen.filter(|seen| seen.scales.values().any(|scale| !scale.dates.is_empty())) else {
            return Declaration::default();
        };
        let study = self.study(axes).map_or_else(|| "none".to_owned(), |study| study.digest.clone());
        let mut parameters = vec![("archive", archive(seen)), ("study", study)];
        let said = accounts(&self.accounts, axes.server.as_ref().map_or("", ServerName::as_str));
        if !said.is_empty() {
            parameters.push(("accounts", digest(&said)));
        }
        let tables = files::SHEETS.iter().map(|(name, _)| name);
        let reports = FILES.iter().chain(tables).map(|name| format!("reports/{name}"));
        let outputs = reports.chain(MEANINGS.iter().map(|name| (*name).to_owned()));
        // Who is who stands outside the folder that is handed on.
        let DisclosureControl { pseudonyms, least_cell } = self.disclosure;
        let outputs = outputs.chain(pseudonyms.then(|| WHO_IS_WHO.to_owned()));
        if self.disclosure != DisclosureControl::default() {
            parameters.push(("discretion", format!("{pseudonyms} {least_cell}")));
        }
        Declaration {
            // What came and what was deleted on the server is part of the ledger; there may be none yet.
            inputs: ["deletions.jsonl", "receipts.jsonl"].map(|name| format!("{}/{name}", seen.path).into()).into(),
            outputs: outputs.map(|name| Output::required(format!("{}/{name}", seen.path))).collect(),
            parameters,
        }
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        let Some(server) = work.axes.server.as_ref().and_then(|name| self.servers.get(name)) else {
            return Err(Failure::new(Code::Internal, "a report without server"));
        };
        let tables = |folder| work.inputs_in(folder).filter(|path| path.exists()).collect::<Vec<PathBuf>>();
        let folder = ServerFolder::new(&server.path);
        let reports = folder.reports();
        atomic::create_folder(&reports, SHARED).map_err(|error| Failure::write(&reports, error))?;
        let none = Study::default();
        let study = self.study(work.axes).unwrap_or(&none);
        let (combined, scored) = (tables("combined"), tables("scored"));
        let accounts = accounts(&self.accounts, server.name.as_str());
        let sources = Sources {
            server: server.name.as_str(),
            study,
            folder: &folder,
            combined,
            scored,
            accounts,
            disclosure: self.disclosure,
        };
        let model = compute(&sources).map_err(unreadable)?;
        work.cancel.check()?;
        let mut counts = Counts::default();
        counts.add(Count::EntriesRead, model.tables.iter().map(|table| table.entries + table.superseded).sum());
        let mut written = Vec::new();
        if self.disclosure.pseudonyms {
            let path = server.path.join(WHO_IS_WHO);
            let text = files::who_is_who(&model);
            let failed = |error: std::io::Error| Failure::write(&path, error);
            written.push(atomic::write(&path, PRIVATE, text.as_bytes()).map_err(failed)?);
        }
        written.extend(write(&reports, model)?);
        written.extend(describe(&sources, &folder)?);
        Ok(Done { counts, written, ..Done::default() })
    }
}

fn unreadable((path, error): Unreadable) -> Failure {
    Failure::new(Code::Read, format!("{}: {error}", path.display()))
}

/// Writes what the tables' columns mean.
fn describe(sources: &Sources<'_>, folder: &ServerFolder) -> Result<[Written; 2], Failure> {
    let tables = codebook::describe(sources).map_err(unreadable)?;
    let [book, described] = MEANINGS.map(|name| folder.path().join(name));
    let failed = |error: csv::Error| Failure::write(&book, std::io::Error::other(error));
    let package = format!("{:#}\n", package::package(sources.server, sources.study, &tables));
    Ok([
        codebook::sheet(&tables).write(&book).map_err(failed)?,
        atomic::write(&described, SHARED, package.as_bytes()).map_err(|error| Failure::write(&described, error))?,
    ])
}

/// Writes all files; the page last, since it is what people open.
fn write(reports: &std::path::Path, model: Model) -> Result<Vec<Written>, Failure> {
    let mut written = Vec::new();
    for (name, sheet) in files::SHEETS {
        let path = reports.join(name);
        let failed = |error: csv::Error| Failure::write(&path, std::io::Error::other(error));
        written.push(sheet(&model).write(&path).map_err(failed)?);
    }
    let text = page::render(&model);
    let checks = reports.join("checks.csv");
    written.push(files::checks(&checks, model).map_err(|error| Failure::write(&checks, error))?);
    let page = reports.join("index.html");
    written.push(atomic::write(&page, SHARED, text.as_bytes()).map_err(|error| Failure::write(&page, error))?);
    Ok(written)
}

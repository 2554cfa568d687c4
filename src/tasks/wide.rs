//! Wide: a row per participant, a column per item and session, as statistics programs like it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use csv::StringRecord;

use crate::config::Project;
use crate::config::servers::{Servers, study_of};
use crate::pool::table::{TableReader, TableWriter, filled};
use crate::study::name::ServerName;
use crate::study::scale::{Duplicates, PARTICIPANT, Scale, ScaleKind, Studies};
use crate::task::{Axes, Count, Counts, Declaration, Done, Facts, Failure, FailureKind, Output, Task, Work};
use crate::tasks::combine::definition;
use crate::tasks::score::places;

/// The widening of all servers' questionnaires.
pub struct Wide {
    servers: Arc<Servers>,
    studies: Arc<Studies>,
}

impl Wide {
    #[must_use]
    pub fn new(project: &Project) -> Self {
        Self { servers: Arc::clone(&project.servers), studies: Arc::clone(&project.studies) }
    }

    fn definition(&self, axes: &Axes) -> Option<&Scale> {
        definition(&self.servers, &self.studies, axes.server.as_ref()?, axes.scale.as_ref()?)
    }

    /// Of what the columns' order and the choice among entries hang on.
    fn frame(&self, server: &ServerName) -> String {
        let study = study_of(&self.servers, &self.studies, server);
        study.map_or_else(|| "none".to_owned(), |study| format!("{}, {}", study.duplicates.word(), study.frame_digest))
    }
}

type Cells = BTreeMap<String, String>;

impl Task for Wide {
    fn revision(&self) -> u32 {
        1
    }

    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration {
        let (Some(name), Some(scale)) = (&axes.server, &axes.scale) else { return Declaration::default() };
        let Some(server) = facts.servers.get(name) else { return Declaration::default() };
        let dated = server.scales.get(scale).is_some_and(|seen| !seen.dates.is_empty());
        let questionnaire = |scale: &&Scale| scale.kind == ScaleKind::Questionnaire && !scale.columns.is_empty();
        let Some(defined) = self.definition(axes).filter(|_| dated).filter(questionnaire) else {
            return Declaration::default();
        };
        Declaration {
            inputs: Vec::new(),
            outputs: vec![Output::required(format!("{}/wide/{scale}.csv", server.path))],
            parameters: vec![("definition", defined.digest.clone()), ("study", self.frame(name))],
        }
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        let Some(scale) = self.definition(work.axes) else {
            return Err(Failure::new(FailureKind::Internal, "a widening without definition"));
        };
        let study = work.axes.server.as_ref().and_then(|name| study_of(&self.servers, &self.studies, name));
        let last = study.is_some_and(|study| study.duplicates == Duplicates::Last);
        let order: Vec<String> = study.into_iter().flat_map(|study| &study.sessions).map(|s| s.name.clone()).collect();
        let (mut rows, mut sessions) = (BTreeMap::new(), BTreeSet::new());
        for source in work.inputs_in("combined") {
            gather(&source, scale, last, &mut rows, &mut sessions)?;
        }
        for source in work.inputs_in("scored").filter(|path| path.exists()) {
            gather_scores(&source, scale, &mut rows)?;
        }
        let path = work.outputs.first().map(|output| work.locate(&output.path)).unwrap_or_default();
        let mut sessions: Vec<String> = sessions.into_iter().collect();
        sessions.sort_by_key(|session| {
            let name = session.split('.').next().unwrap_or_default();
            order.iter().position(|known| known == name).unwrap_or(order.len())
        });
        let failed = |error: csv::Error| Failure::write(&path, &std::io::Error::other(error));
        let names: Vec<String> = scale
            .columns
            .iter()
            .map(|column| column.name.clone())
            .chain(scale.scores.iter().map(|s| s.name.clone()))
            .collect();
        let columns: Vec<String> =
            sessions.iter().flat_map(|session| names.iter().map(move |name| format!("{name}.{session}"))).collect();
        let header = std::iter::once("participant").chain(columns.iter().map(String::as_str));
        let mut table = TableWriter::create(&path, header).map_err(failed)?;
        let mut counts = Counts::default();
        for (participant, cells) in &rows {
            let row = columns.iter().map(|column| cells.get(column).map(String::as_str).unwrap_or_default());
            table.row(std::iter::once(participant.1.as_str()).chain(row)).map_err(failed)?;
            counts.add(Count::RowsOut, 1);
        }
        let written = table.finish().map_err(|error| Failure::write(&path, &error))?;
        Ok(Done { counts, written: vec![written], ..Done::default() })
    }
}

/// Numeric ids sort by number, others after them by text.
type Participant = (u64, String);

fn participant(text: &str) -> Participant {
    (text.parse().unwrap_or(u64::MAX), text.to_owned())
}

fn failure(path: &Path) -> impl Fn(csv::Error) -> Failure + '_ {
    move |error| Failure::new(FailureKind::Read, format!("{}: {error}", path.display()))
}

/// `session`, with the tag behind it where the definition's key has one.
fn occasion(record: &StringRecord, session: &[usize], tag: &[usize]) -> String {
    let (session, tag) = (filled(record, session), filled(record, tag));
    let session = if session.is_empty() { "none" } else { session };
    if tag.is_empty() { session.to_owned() } else { format!("{session}.{tag}") }
}

fn gather(
    source: &Path,
    scale: &Scale,
    last: bool,
    rows: &mut BTreeMap<Participant, Cells>,
    sessions: &mut BTreeSet<String>,
) -> Result<(), Failure> {
    let mut table = TableReader::open(source).map_err(failure(source))?;
    let who = places(&table, PARTICIPANT);
    let tagged = scale.key.iter().any(|column| column == "tag");
    let [session, current] = ["session", "_current"].map(|name| places(&table, &[name]));
    let tag = if tagged { places(&table, &["tag"]) } else { Vec::new() };
    let items: Vec<(String, Option<usize>)> =
        scale.columns.iter().map(|column| (column.name.clone(), table.column(&column.name))).collect();
    let mut record = StringRecord::new();
    while table.next(&mut record).map_err(failure(source))? {
        let name = filled(&record, &who);
        if name.is_empty() || filled(&record, &current) == "false" {
            continue;
        }
        let occasion = occasion(&record, &session, &tag);
        sessions.insert(occasion.clone());
        let cells = rows.entry(participant(name)).or_default();
        // The marker says that this occasion is taken; no item is called so.
        let taken = cells.insert(format!("\u{0}{occasion}"), String::new()).is_some();
        if taken && !last {
            continue;
        }
        for (item, at) in &items {
            let cell = at.and_then(|at| record.get(at)).unwrap_or_default();
            cells.insert(format!("{item}.{occasion}"), cell.to_owned());
        }
    }
    Ok(())
}

fn gather_scores(source: &Path, scale: &Scale, rows: &mut BTreeMap<Participant, Cells>) -> Result<(), Failure> {
    let mut table = TableReader::open(source).map_err(failure(source))?;
    let tagged = scale.key.iter().any(|column| column == "tag");
    let [who, session] = ["participant", "session"].map(|name| places(&table, &[name]));
    let tag = if tagged { places(&table, &["tag"]) } else { Vec::new() };
    let scores: Vec<(String, Option<usize>)> =
        scale.scores.iter().map(|score| (score.name.clone(), table.column(&score.name))).collect();
    let mut record = StringRecord::new();
    while table.next(&mut record).map_err(failure(source))? {
        let name = filled(&record, &who);
        if name.is_empty() {
            continue;
        }
        let occasion = occasion(&record, &session, &tag);
        let cells = rows.entry(participant(name)).or_default();
        for (score, at) in &scores {
            let cell = at.and_then(|at| record.get(at)).unwrap_or_default();
            cells.insert(format!("{score}.{occasion}"), cell.to_owned());
        }
    }
    Ok(())
}

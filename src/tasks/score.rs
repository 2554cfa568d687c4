//! Score: a row per entry that the duplicates policy keeps, with every score, what it rests on and by which rule.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use csv::StringRecord;

use crate::config::Project;
use crate::config::servers::{Servers, study_of};
use crate::pool::table::{TableReader, TableWriter, filled};
use crate::study::moment;
use crate::study::name::ServerName;
use crate::study::scale::{Duplicates, PARTICIPANT, Scale, Studies};
use crate::study::scoring::{Scorer, label};
use crate::task::{Axes, Count, Counts, Declaration, Done, Facts, Failure, FailureKind, Output, Task, Work};
use crate::tasks::combine::definition;

/// The scoring of all servers' scales.
pub struct Score {
    servers: Arc<Servers>,
    studies: Arc<Studies>,
}

impl Score {
    #[must_use]
    pub fn new(project: &Project) -> Self {
        Self { servers: Arc::clone(&project.servers), studies: Arc::clone(&project.studies) }
    }

    fn definition(&self, axes: &Axes) -> Option<&Scale> {
        definition(&self.servers, &self.studies, axes.server.as_ref()?, axes.scale.as_ref()?)
    }

    fn duplicates(&self, server: &ServerName) -> Duplicates {
        study_of(&self.servers, &self.studies, server).map(|study| study.duplicates).unwrap_or_default()
    }
}

impl Task for Score {
    fn revision(&self) -> u32 {
        1
    }

    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration {
        let (Some(name), Some(scale)) = (&axes.server, &axes.scale) else { return Declaration::default() };
        let Some(server) = facts.servers.get(name) else { return Declaration::default() };
        let dated = server.scales.get(scale).is_some_and(|seen| !seen.dates.is_empty());
        let Some(defined) =
            self.definition(axes).filter(|scale| dated && scale.scores.iter().any(|score| score.selected))
        else {
            return Declaration::default();
        };
        Declaration {
            inputs: Vec::new(),
            outputs: vec![Output::required(format!("{}/scored/{scale}.csv", server.path))],
            parameters: vec![
                ("definition", defined.digest.clone()),
                ("duplicates", format!("{:?}", self.duplicates(name)).to_lowercase()),
            ],
        }
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        let (Some(scale), Some(server)) = (self.definition(work.axes), &work.axes.server) else {
            return Err(Failure::new(FailureKind::Internal, "a scoring without definition"));
        };
        let Some(source) = work.inputs_in("combined").next() else {
            return Err(Failure::new(FailureKind::Internal, "a scoring without combined table"));
        };
        let path = work.outputs.first().map(|output| work.locate(&output.path)).unwrap_or_default();
        let mut counts = Counts::default();
        let kept = kept(&source, scale, self.duplicates(server), work)?;
        let written = write(&source, &path, scale, &kept, &mut counts)?;
        Ok(Done { counts, written: vec![written], ..Done::default() })
    }
}

fn failure(path: &Path) -> impl Fn(csv::Error) -> Failure + '_ {
    move |error| Failure::new(FailureKind::Read, format!("{}: {error}", path.display()))
}

/// Where these columns stand, as far as the table has them.
#[must_use]
pub fn places(table: &TableReader, names: &[&str]) -> Vec<usize> {
    names.iter().filter_map(|name| table.column(name)).collect()
}

/// Which rows of the table the policy keeps.
fn kept(source: &Path, scale: &Scale, policy: Duplicates, work: &Work<'_>) -> Result<Vec<bool>, Failure> {
    let mut table = TableReader::open(source).map_err(failure(source))?;
    let participant = places(&table, PARTICIPANT);
    let key: Vec<usize> = scale.key.iter().filter_map(|column| table.column(column)).collect();
    let current = table.column("_current");
    let mut kept: Vec<bool> = Vec::new();
    let mut of: HashMap<Vec<String>, usize> = HashMap::new();
    let mut record = StringRecord::new();
    while table.next(&mut record).map_err(failure(source))? {
        if kept.len().is_multiple_of(4096) {
            work.cancel.check()?;
        }
        let row = kept.len();
        let is_current = current.and_then(|at| record.get(at)) != Some("false");
        kept.push(is_current);
        let who = filled(&record, &participant);
        // Without a participant there is nobody to have answered twice.
        if !is_current || who.is_empty() || policy == Duplicates::All {
            continue;
        }
        let mut identity = vec![who.to_owned()];
        identity.extend(key.iter().map(|&at| record.get(at).unwrap_or_default().to_owned()));
        match (of.get(&identity).copied(), policy) {
            (Some(_), Duplicates::First) => kept[row] = false,
            (Some(before), _) => {
                kept[before] = false;
                of.insert(identity, row);
            }
            (None, _) => drop(of.insert(identity, row)),
        }
    }
    Ok(kept)
}

fn write(
    source: &Path,
    path: &Path,
    scale: &Scale,
    kept: &[bool],
    counts: &mut Counts,
) -> Result<crate::task::Written, Failure> {
    let failed = |error: csv::Error| Failure::write(path, &std::io::Error::other(error));
    let mut table = TableReader::open(source).map_err(failure(source))?;
    let scorer = Scorer::new(scale, |column| table.column(column));
    let mut header: Vec<String> = ["id", "participant", "session", "tag", "date"].map(str::to_owned).to_vec();
    for (_, rule) in scorer.wanted() {
        header.extend([rule.name.clone(), format!("{}_n_valid", rule.name)]);
    }
    header.extend(["_rules".to_owned(), "_flags".to_owned()]);
    let labels = scorer.wanted().map(|(_, rule)| label(rule)).collect::<Vec<_>>().join(";");
    let participant = places(&table, PARTICIPANT);
    let [id, session, tag, flags] = ["id", "session", "tag", "_flags"].map(|name| places(&table, &[name]));
    let date = places(&table, moment::COLUMNS);
    let mut out = TableWriter::create(path, &header).map_err(failed)?;
    let mut record = StringRecord::new();
    let mut made = Vec::new();
    for keep in kept {
        if !table.next(&mut record).map_err(failure(source))? {
            break;
        }
        if !keep {
            continue;
        }
        let mut cells: Vec<String> =
            [&id, &participant, &session, &tag, &date].map(|columns| filled(&record, columns).to_owned()).to_vec();
        let day = || moment::parse(filled(&record, &date)).map(|moment| moment.date_naive());
        scorer.score(|at| record.get(at).unwrap_or_default().as_bytes(), day, &mut made);
        for (at, _) in scorer.wanted() {
            cells.push(made[at].value.map(|value| value.to_string()).unwrap_or_default());
            cells.push(made[at].valid.to_string());
        }
        cells.extend([labels.clone(), filled(&record, &flags).to_owned()]);
        out.row(&cells).map_err(failed)?;
        counts.add(Count::RowsOut, 1);
    }
    out.finish().map_err(|error| Failure::write(path, &error))
}

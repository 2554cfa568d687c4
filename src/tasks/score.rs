//! Score: a row per entry that the duplicates policy keeps, with every score, what it rests on and by which rule.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crate::code::Code;
use crate::config::Project;
use crate::config::servers::{Servers, study_of};
use crate::counts::{Count, Counts};
use crate::disk::atomic::Written;
use crate::disk::atomic::{self, AtomicFile, SHARED};
use crate::failure::Failure;
use crate::study::moment;
use crate::study::name::ServerName;
use crate::study::scale::{Duplicates, PARTICIPANT, Scale, Studies};
use crate::study::scoring::{self, EntryScores, Scorer, label};
use crate::table::batches::{RowBatch, Table, filled, in_order};
use crate::table::rows::{Cells, put};
use crate::table::selection::{Policy, SelectedRows, has_answers, select};
use crate::task::{Axes, Declaration, Done, Facts, Output, Task, Work};
use crate::tasks::combine::definition;

/// The scoring of all servers' scales.
pub struct ScoreTask {
    servers: Arc<Servers>,
    studies: Arc<Studies>,
}

impl ScoreTask {
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

impl Task for ScoreTask {
    fn revision(&self) -> u32 {
        2
    }

    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration {
        let (Some(name), Some(scale)) = (&axes.server, &axes.scale) else { return Declaration::default() };
        let Some(server) = facts.servers.get(name) else { return Declaration::default() };
        let dated = server.scales.get(scale).is_some_and(|seen| !seen.dates.is_empty());
        let defined = self.definition(axes);
        if !dated || !has_answers(defined) {
            return Declaration::default();
        }
        Declaration {
            inputs: Vec::new(),
            outputs: vec![Output::required(format!("{}/scored/{scale}.csv", server.path))],
            parameters: vec![
                ("definition", defined.map_or_else(|| "none".to_owned(), |scale| scale.digest.clone())),
                ("duplicates", self.duplicates(name).word().to_owned()),
            ],
        }
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        let Some(server) = &work.axes.server else {
            return Err(Failure::new(Code::Internal, "a scoring without server"));
        };
        let Some(source) = work.inputs_in("combined").next() else {
            return Err(Failure::new(Code::Internal, "a scoring without combined table"));
        };
        let path = work.outputs.first().map(|output| work.locate(&output.path)).unwrap_or_default();
        let folder = path.parent().unwrap_or(work.root).to_owned();
        atomic::create_folder(&folder, SHARED).map_err(|error| Failure::write(&folder, error))?;
        let scale = self.definition(work.axes);
        let selected = select(&source, &Policy::new(scale, self.duplicates(server)), &folder, work.cancel)?;
        let none = Scale::default();
        let mut counts = Counts::default();
        let written = write(&source, &path, scale.unwrap_or(&none), &selected, work, &mut counts)?;
        Ok(Done { counts, written: vec![written], ..Done::default() })
    }
}

/// How lines of a scored table are made of those of the combined one.
struct ScoredLines<'l> {
    scorer: Scorer,
    /// The rules that are shown, by their number, and how many items each counts.
    shown: Vec<(usize, String)>,
    /// `_rules`, the same for all.
    labels: Vec<u8>,
    /// Of the cells that are copied: the columns that may have each.
    copied: [Vec<usize>; 5],
    date: Vec<usize>,
    flags: Option<usize>,
    selected: &'l SelectedRows,
}

impl<'l> ScoredLines<'l> {
    fn new(scale: &Scale, table: &Table, selected: &'l SelectedRows) -> Self {
        let scorer = Scorer::new(scale, |column| table.column(column));
        let shown = scorer.wanted().map(|(at, _)| (at, scorer.items(at).to_string())).collect();
        let mut labels = Vec::new();
        put(&mut labels, scorer.wanted().map(|(_, rule)| label(rule)).collect::<Vec<_>>().join(";").as_bytes());
        let columns: [&[&str]; 5] = [&["id"], PARTICIPANT, &["session", "sessionName"], &["tag"], moment::COLUMNS];
        let date = table.places(moment::COLUMNS);
        let copied = columns.map(|names| table.places(names));
        Self { scorer, shown, labels, copied, date, flags: table.column("_flags"), selected }
    }

    fn header(&self) -> Vec<u8> {
        let mut names: Vec<String> = ["id", "participant", "session", "tag", "date"].map(str::to_owned).to_vec();
        for (_, rule) in self.scorer.wanted() {
            names.extend(["", "_n_valid", "_n_items"].map(|ending| format!("{}{ending}", rule.name)));
        }
        names.extend(["_rules".to_owned(), "_flags".to_owned()]);
        let mut line = Vec::new();
        for name in names {
            if !line.is_empty() {
                line.push(b',');
            }
            put(&mut line, name.as_bytes());
        }
        line.push(b'\n');
        line
    }

    /// The lines of a batch, and how many they are.
    fn make(&self, batch: &RowBatch) -> (Vec<u8>, u64) {
        let (mut out, mut count) = (Vec::new(), 0);
        let (mut cells, mut made) = (Cells::default(), EntryScores::default());
        for (_, row) in (batch.first..).zip(batch.rows()).filter(|(at, _)| self.selected.has(*at)) {
            cells.split(row);
            for columns in &self.copied {
                put(&mut out, filled(&cells, row, columns));
                out.push(b',');
            }
            let day = || {
                let date = std::str::from_utf8(filled(&cells, row, &self.date)).ok()?;
                moment::parse(date).map(|moment| moment.date_naive())
            };
            self.scorer.score(|at| cells.get(row, at), day, &mut made);
            for (at, items) in &self.shown {
                let scored = made.scores[*at];
                if let Some(value) = scored.value {
                    scoring::put(&mut out, value);
                }
                out.push(b',');
                scoring::put(&mut out, scored.valid as f64);
                out.push(b',');
                out.extend_from_slice(items.as_bytes());
                out.push(b',');
            }
            out.extend_from_slice(&self.labels);
            out.push(b',');
            put(&mut out, self.flags.map(|at| cells.get(row, at)).unwrap_or_default());
            out.push(b'\n');
            count += 1;
        }
        (out, count)
    }
}

fn write(
    source: &Path,
    path: &Path,
    scale: &Scale,
    selected: &SelectedRows,
    work: &Work<'_>,
    counts: &mut Counts,
) -> Result<Written, Failure> {
    let failed = |error: io::Error| Failure::write(path, error);
    let read = |error: io::Error| Failure::read(source, error);
    let mut table = Table::open(source).map_err(read)?;
    let lines = ScoredLines::new(scale, &table, selected);
    let mut file = AtomicFile::create(path, SHARED).map_err(failed)?;
    file.write_all(&lines.header()).map_err(failed)?;
    let mut rows = 0;
    in_order(
        || {
            work.cancel.check()?;
            table.batch().map_err(read)
        },
        |batch| Ok(lines.make(&batch)),
        |(bytes, count)| {
            rows += count;
            file.write_all(&bytes).map_err(failed)
        },
    )?;
    counts.add(Count::RowsOut, rows);
    file.commit().map_err(failed)
}

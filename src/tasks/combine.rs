//! Combine: all days of a scale in one table, every version of an entry kept, exact repeats removed.

mod closed_participants;
mod entries;
mod lines;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::code::Code;
use crate::config::Project;
use crate::config::servers::{Servers, study_of};
use crate::counts::{Count, Counts};
use crate::disk::atomic::Written;
use crate::disk::atomic::{self, AtomicFile, SHARED};
use crate::disk::sorting::Merge;
use crate::failure::Failure;
use crate::pool::paths::{ServerFolder, table_name};
use crate::study::checks::cells::RowRules;
use crate::study::name::{ScaleName, ServerName};
use crate::study::people::{Correction, Corrections, corrections};
use crate::study::scale::{Scale, Studies, Study, digest};
use crate::table::rows::put;
use crate::task::{Axes, Declaration, Done, Facts, Output, Task, Warning, Work};
use crate::tasks::combine::closed_participants::ClosedParticipants;
use crate::tasks::combine::entries::{ActiveTable, ActiveTables, CombinedRow, FirstSeen, place, union};
use crate::tasks::combine::lines::{CombinedLines, MadeLines};

/// Columns that combine adds.
pub const ADDED: [&str; 4] = ["_first_seen", "_n_same_id", "_current", "_flags"];

/// Rows of one batch, and their bytes; some batches are made at once.
const BATCH: (usize, u64) = (1 << 13, 1 << 22);

/// The definition that holds for a scale of a server.
pub fn definition<'s>(
    servers: &Servers,
    studies: &'s Studies,
    server: &ServerName,
    scale: &ScaleName,
) -> Option<&'s Scale> {
    study_of(servers, studies, server)?.scales.get(scale)
}

/// The combining of all servers' scales.
pub struct CombineTask {
    servers: Arc<Servers>,
    studies: Arc<Studies>,
    corrections: Arc<Corrections>,
}

impl CombineTask {
    pub fn new(project: &Project) -> Self {
        Self {
            servers: Arc::clone(&project.servers),
            studies: Arc::clone(&project.studies),
            corrections: Arc::clone(&project.corrections),
        }
    }

    fn study(&self, server: &ServerName) -> Option<&Study> {
        study_of(&self.servers, &self.studies, server)
    }

    /// Of all that decides over flags and corrections.
    fn digests(&self, server: &ServerName, scale: &ScaleName) -> Vec<(&'static str, String)> {
        let study = self.study(server);
        let defined = study.and_then(|study| study.scales.get(scale));
        let own = corrections(&self.corrections, server, scale);
        let mut parameters = vec![
            ("definition", defined.map_or_else(|| "none".to_owned(), |scale| scale.digest.clone())),
            ("rules", study.map_or_else(|| "none".to_owned(), |study| study.frame_digest.clone())),
        ];
        if !own.is_empty() {
            parameters.push(("corrections", digest(&own)));
        }
        parameters
    }
}

impl Task for CombineTask {
    fn revision(&self) -> u32 {
        3
    }

    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration {
        let (Some(name), Some(scale)) = (&axes.server, &axes.scale) else { return Declaration::default() };
        let Some(server) = facts.servers.get(name) else { return Declaration::default() };
        let Some(seen) = server.scales.get(scale).filter(|seen| !seen.dates.is_empty()) else {
            return Declaration::default();
        };
        // Tables of days without a raw file are used as they are.
        let adopted = seen.dates.values().filter(|files| files.raw.is_empty()).flat_map(|files| &files.active);
        Declaration {
            inputs: adopted.map(|table| format!("{}/active_data/{table}", server.path).into()).collect(),
            outputs: vec![Output::required(format!("{}/combined/{scale}.csv", server.path))],
            parameters: self.digests(name, scale),
        }
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        let (Some(name), Some(scale)) = (&work.axes.server, &work.axes.scale) else {
            return Err(Failure::new(Code::Internal, "a combining without server and scale"));
        };
        let path = work.outputs.first().map(|output| work.locate(&output.path)).unwrap_or_default();
        let folder = path.parent().unwrap_or(work.root).to_owned();
        atomic::create_folder(&folder, SHARED).map_err(|error| Failure::write(&folder, error))?;
        let sources = sources(work)?;
        let mut mended: HashMap<i64, Vec<&Correction>> = HashMap::new();
        mended.extend(corrections(&self.corrections, name, scale));
        let alike = sources.iter().all(|source| source.header == sources[0].header);
        let reading =
            ActiveTables { sources: &sources, folder: &folder, corrections: &mended, alike, cancel: work.cancel };
        let pool = self.servers.get(name).map(|server| ServerFolder::new(&server.path));
        let spilled = |error: std::io::Error| Failure::write(&folder, error);
        let (entries, seen) =
            rayon::join(|| reading.entries(), || FirstSeen::read(pool.as_ref(), scale, &folder).map_err(spilled));
        let mut seen = seen?;
        let (rows, repeats) = place(entries?, &sources, &mut seen, &folder).map_err(spilled)?;
        let header = union(&sources);
        let none = Study::default();
        let study = self.study(name).unwrap_or(&none);
        let rules = RowRules::new(study, scale.as_str(), study.scales.get(scale), &header);
        let lines = CombinedLines {
            places: sources.iter().map(|source| source.places(&header)).collect(),
            sources: &sources,
            header: &header,
            rules: &rules,
            raw_files: &seen.files,
            corrections: &mended,
            closed: &ClosedParticipants::read(work, &header)?,
        };
        let mut counts = Counts::default();
        if repeats > 0 {
            counts.add(Count::Duplicates, repeats);
        }
        let mut told = Told::default();
        let written = write(&path, &lines, rows, work, &mut counts, &mut told)?;
        told.tell(&mended, work);
        Ok(Done { counts, written: vec![written], ..Done::default() })
    }
}

/// The active tables by their day: names of the first generation do not sort by it.
fn sources(work: &Work<'_>) -> Result<Vec<ActiveTable>, Failure> {
    let mut paths: Vec<PathBuf> = work.inputs_in("active_data").filter(|path| path.exists()).collect();
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let day = |path: &PathBuf| {
        let name = name(path);
        (table_name(&name).map(|dated| dated.date), name)
    };
    paths.sort_by_cached_key(day);
    paths.dedup();
    let adopted = adopted(work);
    let open = |path: PathBuf| {
        let adopted = adopted.contains(&name(&path));
        ActiveTable::open(path, adopted)
    };
    paths.into_par_iter().map(open).collect()
}

/// Names of active tables that stand without a raw file.
fn adopted(work: &Work<'_>) -> HashSet<String> {
    let seen = work.axes.server.as_ref().and_then(|server| work.facts.servers.get(server));
    let seen = seen.zip(work.axes.scale.as_ref()).and_then(|(server, scale)| server.scales.get(scale));
    let days = seen.into_iter().flat_map(|scale| scale.dates.values()).filter(|files| files.raw.is_empty());
    days.flat_map(|files| files.active.iter().map(ToString::to_string)).collect()
}

/// What became of corrections.
#[derive(Default)]
struct Told {
    applied: BTreeSet<(i64, String)>,
    refused: Vec<String>,
}

impl Told {
    /// A correction that did not fit its entry, or has none, is told: nobody should believe that it was made.
    fn tell(&self, corrections: &HashMap<i64, Vec<&Correction>>, work: &Work<'_>) {
        let mut lost: Vec<String> =
            self.refused.iter().map(|what| format!("{what}: the old value is another")).collect();
        for one in corrections.values().flatten() {
            let what = format!("entry {}, column {}", one.id, one.column);
            if !self.applied.contains(&(one.id, one.column.clone())) && !self.refused.contains(&what) {
                lost.push(format!("{what}: there is no such entry"));
            }
        }
        lost.sort();
        for what in lost {
            work.voice.warn(Warning::new(
                Code::CorrectionRefused,
                format!("{}: a correction was refused, {what}", work.target),
            ));
        }
    }
}

/// Writes the table; while some batches are written, the next ones are made.
fn write(
    path: &Path,
    lines: &CombinedLines<'_>,
    mut rows: Merge<CombinedRow>,
    work: &Work<'_>,
    counts: &mut Counts,
    told: &mut Told,
) -> Result<Written, Failure> {
    let failed = |error: std::io::Error| Failure::write(path, error);
    let mut file = AtomicFile::create(path, SHARED).map_err(failed)?;
    let mut head = Vec::new();
    for name in lines.header.iter().map(String::as_str).chain(ADDED) {
        if !head.is_empty() {
            head.push(b',');
        }
        put(&mut head, name.as_bytes());
    }
    head.push(b'\n');
    file.write_all(&head).map_err(failed)?;
    let mut made: Vec<MadeLines> = Vec::new();
    let mut next = batches(&mut rows).map_err(failed)?;
    loop {
        work.cancel.check()?;
        let (fetched, new) = rayon::join(
            || {
                made.iter().try_for_each(|made| file.write_all(&made.bytes))?;
                batches(&mut rows)
            },
            || next.par_iter().map(|batch| lines.make(batch)).collect::<Result<Vec<MadeLines>, Failure>>(),
        );
        for made in made {
            counts.add(Count::RowsOut, made.rows);
            told.applied.extend(made.applied);
            told.refused.extend(made.refused);
        }
        (next, made) = (fetched.map_err(failed)?, new?);
        if made.is_empty() {
            return file.commit().map_err(failed);
        }
    }
}

/// So many batches as are made at once.
fn batches(rows: &mut Merge<CombinedRow>) -> std::io::Result<Vec<Vec<CombinedRow>>> {
    let mut all = Vec::new();
    for _ in 0..rayon::current_num_threads() * 2 {
        let batch = batch(rows)?;
        if !batch.is_empty() {
            all.push(batch);
        }
    }
    Ok(all)
}

fn batch(rows: &mut Merge<CombinedRow>) -> std::io::Result<Vec<CombinedRow>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH.0 && bytes < BATCH.1 {
        let Some(row) = rows.take()? else { break };
        bytes += u64::from(row.length);
        batch.push(row);
    }
    Ok(batch)
}

//! The tables read, each once: who takes part first, then everything else, numbers and findings from the same rows.

use std::cmp::Reverse;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::disk::hashing::Hashing;
use crate::report::accounts::{read_conditions, read_participants};
use crate::report::findings::Findings;
use crate::report::participation::Participation;
use crate::report::sink::{Redactor, Sink};
use crate::report::sources::{Sources, Unreadable, definition, scale_name, unreadable};
use crate::report::tally::{Setting, TableTally, Tally};
use crate::study::checks::LastSeen;
use crate::study::checks::log::{Log, TaskLogReader};
use crate::study::checks::table::{Context, Examination, Examined};
use crate::study::disclosure_control::Pseudonyms;
use crate::study::roster::{Roster, is_own_table};
use crate::study::scale::ScaleKind;
use crate::study::schedule::Slots;
use crate::table::records::Records;

/// Who takes part: what every other table is held against.
pub struct Everyone<'s> {
    pub roster: Roster,
    /// TaskLog, if there is one.
    log: Option<&'s PathBuf>,
    /// The participants' table.
    pub table: Option<&'s PathBuf>,
    pub pseudonyms: Option<Pseudonyms>,
}

/// What the tables hold.
pub struct TablesRead {
    /// By scale.
    pub tables: Vec<Tally>,
    pub participation: Participation,
    pub seen: LastSeen,
    /// In the order of the tables.
    pub findings: Vec<Findings>,
}

impl<'s> Everyone<'s> {
    /// What findings in a table of this kind must not tell.
    pub fn redactor(&self, kind: Option<ScaleKind>) -> Option<Redactor<'_>> {
        let people_table = kind == Some(ScaleKind::Participants);
        self.pseudonyms.as_ref().map(|names| Redactor { names, people_table })
    }

    /// Reads the participants' tables and the study's own.
    pub fn read(sources: &'s Sources<'_>) -> Result<Self, Unreadable> {
        let defined = |path: &Path| definition(sources.study, path).map(|scale| scale.kind);
        let is = |path: &Path, kind: ScaleKind, name: &str| match defined(path) {
            Some(known) => known == kind && (kind != ScaleKind::Log || scale_name(path) == name),
            None => scale_name(path) == name,
        };
        let mut roster = Roster::default();
        let (people, others): (Vec<&PathBuf>, Vec<&PathBuf>) =
            sources.combined.iter().partition(|path| is(path, ScaleKind::Participants, "ParticipantExport"));
        for path in &people {
            read_participants(&mut roster, path).map_err(unreadable(path))?;
        }
        for path in &others {
            let records = File::open(path).and_then(Records::new).map_err(unreadable(path))?;
            if is_own_table(records.header()) {
                read_conditions(&mut roster, sources.study, path).map_err(unreadable(path))?;
            }
        }
        roster.hear(&sources.accounts);
        let log = others.iter().copied().find(|path| is(path, ScaleKind::Log, "TaskLog"));
        // Exact times of enrolment are in no report; without such a table the answers themselves are the secret.
        let secret = if people.is_empty() { &others } else { &people };
        let pseudonyms = sources.disclosure.pseudonyms.then(|| pseudonyms(secret)).transpose()?;
        Ok(Self { roster, log, table: people.first().copied(), pseudonyms })
    }
}

fn pseudonyms(secret: &[&PathBuf]) -> Result<Pseudonyms, Unreadable> {
    let mut files = Vec::new();
    let mut paths = secret.to_vec();
    paths.sort();
    for path in &paths {
        files.push(File::open(path).map_err(unreadable(path))?);
    }
    Pseudonyms::new(files).map_err(|error| (paths.first().map(|path| (*path).clone()).unwrap_or_default(), error))
}

/// One table, read to its end.
struct ReadTable<'r> {
    tally: Tally,
    examined: Examined<'r>,
    sink: Sink<'r>,
    /// If it is TaskLog: what it says.
    log: Option<Log>,
}

/// Reads all tables, in parallel: TaskLog beside the others, which it closes at the end.
///
/// # Errors
/// The file that cannot be read or written, and why.
pub fn read(sources: &Sources<'_>, slots: &Slots, everyone: &Everyone<'_>) -> Result<TablesRead, Unreadable> {
    let context = Context::new(sources.study, slots, &everyone.roster);
    // The largest first: TaskLog is as large as all others together, and nobody should wait for it at the end.
    let size = |path: &Path| path.metadata().map_or(0, |known| known.len());
    let mut paths: Vec<(String, &PathBuf)> = sources.combined.iter().map(|path| (scale_name(path), path)).collect();
    paths.sort_by_cached_key(|(scale, path)| (Reverse(size(path)), scale.clone()));
    let participation = Mutex::new(Participation::default());
    let read = paths.par_iter().with_max_len(1).map(|(scale, path)| {
        let defined = definition(sources.study, path);
        let setting = Setting { scale, defined, slots, roster: &everyone.roster };
        let sink = Sink::new(&sources.folder.reports(), everyone.redactor(defined.map(|scale| scale.kind)));
        let task_log = everyone.log.is_some_and(|log| log == *path);
        let (read, did) = table(path, setting, &context, sink, task_log).map_err(unreadable(path))?;
        // The order of merging does not matter: sums, minima and maxima.
        participation.lock().unwrap_or_else(PoisonError::into_inner).merge(did, &everyone.roster);
        Ok(read)
    });
    let mut tables = read.collect::<Result<Vec<_>, Unreadable>>()?;
    let log = tables.iter_mut().find_map(|table| table.log.take()).unwrap_or_default();
    let close = |table: ReadTable<'_>| {
        let ReadTable { tally, examined, mut sink, .. } = table;
        let seen = examined.finish(&log, &mut |finding| sink.add(finding));
        let path = sources.folder.reports();
        let findings = sink.done().map_err(unreadable(&path))?;
        Ok((tally, seen, findings))
    };
    let mut read = tables.into_par_iter().with_max_len(1).map(close).collect::<Result<Vec<_>, Unreadable>>()?;
    read.sort_by(|(one, ..), (other, ..)| one.scale.cmp(&other.scale));
    let participation = participation.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut all = TablesRead { tables: Vec::new(), participation, seen: LastSeen::default(), findings: Vec::new() };
    for (tally, seen, findings) in read {
        all.tables.push(tally);
        all.seen.merge(&seen);
        all.findings.push(findings);
    }
    Ok(all)
}

/// Reads one table from end to end; and what it logs if it is TaskLog.
fn table<'r>(
    path: &Path,
    setting: Setting<'r>,
    context: &'r Context<'r>,
    mut sink: Sink<'r>,
    is_log: bool,
) -> io::Result<(ReadTable<'r>, Participation)> {
    let mut file = Hashing::new(File::open(path)?);
    let mut records = Records::new(&mut file)?;
    let columns = records.header().to_vec();
    let mut pass = TableTally::new(setting, &columns);
    let mut task_log = is_log.then(|| TaskLogReader::new(context.slots, &columns));
    let mut examination = Examination::new(context, setting.scale, columns.clone()).expecting(path.metadata()?.len());
    while let Some(record) = records.read()? {
        let stamp = examination.row(&record, &mut |finding| sink.add(finding));
        pass.row(&record, stamp);
        if let (Some(task_log), Some(stamp)) = (&mut task_log, stamp) {
            task_log.row(&record, stamp);
        }
    }
    let examined = examination.judge(&mut |finding| sink.add(finding));
    let (tally, participation) = pass.finish(file.hash());
    Ok((ReadTable { tally, examined, sink, log: task_log.map(TaskLogReader::close) }, participation))
}

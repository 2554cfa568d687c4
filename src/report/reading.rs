//! The tables read, each once: who takes part first, then everything else, numbers and findings from the same rows.

use std::cmp::Reverse;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use csv::StringRecord;
use rayon::prelude::*;

use crate::report::checked::{Sink, Veil};
use crate::report::findings::Findings;
use crate::report::model::{Sources, Unreadable, definition, scale_name};
use crate::report::people::Deeds;
use crate::report::tally::{self, Pass, Setting, Tally};
use crate::study::checks::Seen;
use crate::study::checks::log::Log;
use crate::study::checks::table::{Context, Examination};
use crate::study::discretion::Pseudonyms;
use crate::study::roster::{Roster, is_own_table};
use crate::study::scale::ScaleKind;
use crate::study::schedule::Slots;

/// Who takes part, and what TaskLog says of them: what every other table is held against.
pub struct Everyone<'s> {
    pub roster: Roster,
    pub log: Log,
    /// The participants' table.
    pub table: Option<&'s PathBuf>,
    pub pseudonyms: Option<Pseudonyms>,
}

/// What the tables hold.
pub struct Reading {
    /// By scale.
    pub tables: Vec<Tally>,
    pub deeds: Deeds,
    pub seen: Seen,
    /// In the order of the tables.
    pub findings: Vec<Findings>,
}

fn unreadable(path: &Path) -> impl Fn(csv::Error) -> Unreadable + '_ {
    move |error| (path.to_owned(), error)
}

impl<'s> Everyone<'s> {
    /// What findings in a table of this kind must not tell.
    #[must_use]
    pub fn veil(&self, kind: Option<ScaleKind>) -> Option<Veil<'_>> {
        let people_table = kind == Some(ScaleKind::Participants);
        self.pseudonyms.as_ref().map(|names| Veil { names, people_table })
    }

    /// Reads the participants' tables, the study's own, and TaskLog.
    ///
    /// # Errors
    /// The file that cannot be read, and why.
    pub fn read(sources: &'s Sources<'_>, slots: &Slots) -> Result<Self, Unreadable> {
        let defined = |path: &Path| definition(sources.study, path).map(|scale| scale.kind);
        let is = |path: &Path, kind: ScaleKind, name: &str| match defined(path) {
            Some(known) => known == kind && (kind != ScaleKind::Log || scale_name(path) == name),
            None => scale_name(path) == name,
        };
        let mut roster = Roster::default();
        let (people, others): (Vec<&PathBuf>, Vec<&PathBuf>) =
            sources.combined.iter().partition(|path| is(path, ScaleKind::Participants, "ParticipantExport"));
        for path in &people {
            roster.read_participants(path).map_err(unreadable(path))?;
        }
        for path in &others {
            let mut reader = csv::Reader::from_path(path).map_err(unreadable(path))?;
            if is_own_table(reader.byte_headers().map_err(unreadable(path))?) {
                roster.read_conditions(sources.study, path).map_err(unreadable(path))?;
            }
        }
        roster.hear(&sources.accounts);
        let log = match others.iter().find(|path| is(path, ScaleKind::Log, "TaskLog")) {
            Some(path) => Log::read(slots, &roster, path).map_err(unreadable(path))?,
            None => Log::default(),
        };
        // Exact times of enrolment are in no report; without such a table the answers themselves are the secret.
        let secret = if people.is_empty() { &others } else { &people };
        let pseudonyms = sources.discretion.pseudonyms.then(|| pseudonyms(secret)).transpose()?;
        Ok(Self { roster, log, table: people.first().copied(), pseudonyms })
    }
}

fn pseudonyms(secret: &[&PathBuf]) -> Result<Pseudonyms, Unreadable> {
    let mut files = Vec::new();
    let mut paths = secret.to_vec();
    paths.sort();
    for path in &paths {
        files.push(File::open(path).map_err(|error| unreadable(path)(error.into()))?);
    }
    Pseudonyms::new(files)
        .map_err(|error| (paths.first().map(|path| (*path).clone()).unwrap_or_default(), error.into()))
}

/// Reads all tables, in parallel.
///
/// # Errors
/// The file that cannot be read or written, and why.
pub fn read(sources: &Sources<'_>, slots: &Slots, everyone: &Everyone<'_>) -> Result<Reading, Unreadable> {
    let context = Context::new(sources.study, slots, &everyone.roster, &everyone.log);
    // The largest first: TaskLog is as large as all others together, and nobody should wait for it at the end.
    let size = |path: &Path| path.metadata().map_or(0, |known| known.len());
    let mut paths: Vec<(String, &PathBuf)> = sources.combined.iter().map(|path| (scale_name(path), path)).collect();
    paths.sort_by_cached_key(|(scale, path)| (Reverse(size(path)), scale.clone()));
    let deeds = Mutex::new(Deeds::default());
    let read = |(scale, path): &(String, &PathBuf)| {
        let defined = definition(sources.study, path);
        let setting = Setting { scale, defined, slots, roster: &everyone.roster };
        let sink = Sink::new(&sources.folder.reports(), everyone.veil(defined.map(|scale| scale.kind)));
        let read = table(path, setting, &context, sink);
        let (tally, did, seen, findings) = read.map_err(unreadable(path))?;
        // The order of merging does not matter: sums, minima and maxima.
        deeds.lock().unwrap_or_else(PoisonError::into_inner).merge(did, &everyone.roster);
        Ok((tally, seen, findings))
    };
    let mut read = paths.par_iter().with_max_len(1).map(read).collect::<Result<Vec<_>, Unreadable>>()?;
    read.sort_by(|(one, ..), (other, ..)| one.scale.cmp(&other.scale));
    let deeds = deeds.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut all = Reading { tables: Vec::new(), deeds, seen: Seen::default(), findings: Vec::new() };
    for (tally, seen, findings) in read {
        all.tables.push(tally);
        all.seen.merge(&seen);
        all.findings.push(findings);
    }
    Ok(all)
}

/// Reads one table from end to end.
fn table(
    path: &Path,
    setting: Setting<'_>,
    context: &Context<'_>,
    mut sink: Sink<'_>,
) -> Result<(Tally, Deeds, Seen, Findings), csv::Error> {
    let mut reader = tally::open(path)?;
    let header = reader.headers()?.clone();
    let columns: Vec<String> = header.iter().map(str::to_owned).collect();
    let mut pass = Pass::new(setting, &header);
    let mut examination = Examination::new(context, setting.scale, &columns);
    let mut record = StringRecord::new();
    while reader.read_record(&mut record)? {
        pass.row(&record);
        examination.row(record.as_byte_record(), &mut |finding| sink.add(finding));
    }
    let seen = examination.finish(&mut |finding| sink.add(finding));
    let (tally, deeds) = pass.finish(tally::hash(reader));
    Ok((tally, deeds, seen, sink.done()?))
}

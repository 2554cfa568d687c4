//! What the rules find in a server's tables: each table against the roster, TaskLog and the schedule, many at once.

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::report::books::Books;
use crate::report::findings::Findings;
use crate::report::model::{Sources, Unreadable, definition, scale_name};
use crate::report::tally::{self, STUDY_TABLE, Tally};
use crate::report::trajectory::Scored;
use crate::study::checks::log::Log;
use crate::study::checks::roster::Roster;
use crate::study::checks::table::{Context, examine};
use crate::study::checks::{Finding, Seen, Severity, ledger};
use crate::study::scale::ScaleKind;

/// Findings table by table in the order of their names, last those of several tables.
pub struct Checked(pub Vec<Findings>);

/// Collects findings; the first failed write stops the rest.
struct Sink {
    findings: Findings,
    result: io::Result<()>,
}

impl Sink {
    fn new(folder: &Path) -> Self {
        Self { findings: Findings::new(folder), result: Ok(()) }
    }

    fn add(&mut self, finding: &Finding<'_>) {
        if self.result.is_ok() {
            self.result = self.findings.add(finding);
        }
    }

    fn done(self) -> io::Result<Findings> {
        self.result.map(|()| self.findings)
    }
}

/// Applies every rule.
///
/// # Errors
/// The file that cannot be read or written, and why.
pub fn check(sources: &Sources<'_>, books: &Books, tables: &[Tally], scored: &[Scored]) -> Result<Checked, Unreadable> {
    let spool = sources.folder.reports();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: csv::Error| (path, error)
    };
    let of_kind = |kind: ScaleKind, name: &str| {
        let fits = |path: &&PathBuf| match definition(sources.study, path) {
            Some(scale) => scale.kind == kind && (kind != ScaleKind::Log || scale_name(path) == name),
            None => scale_name(path) == name,
        };
        sources.combined.iter().find(fits)
    };
    let participants = of_kind(ScaleKind::Participants, "ParticipantExport");
    let states = states(sources)?;
    let roster = Roster::read(
        sources.study,
        &sources.accounts,
        participants.map(PathBuf::as_path),
        states.map(PathBuf::as_path),
    );
    let roster = roster.map_err(failed(participants.map_or(spool.as_path(), PathBuf::as_path)))?;
    let log = match of_kind(ScaleKind::Log, "TaskLog") {
        Some(path) => Log::read(sources.study, &roster, path).map_err(failed(path))?,
        None => Log::default(),
    };
    let context = Context::new(sources.study, &roster, &log);
    let mut paths: Vec<&PathBuf> = sources.combined.iter().collect();
    paths.sort_by_cached_key(|path| scale_name(path));
    let examined = paths.par_iter().map(|path| {
        let mut sink = Sink::new(&spool);
        let seen =
            examine(&context, &scale_name(path), path, &mut |finding| sink.add(finding)).map_err(failed(path))?;
        Ok((seen, sink.done().map_err(|error| (spool.clone(), error.into()))?))
    });
    let mut all = Vec::new();
    let mut seen = Seen::default();
    for (one, findings) in examined.collect::<Result<Vec<_>, Unreadable>>()? {
        seen.merge(&one);
        all.push(findings);
    }
    let mut sink = Sink::new(&spool);
    let name = participants.map(|path| scale_name(path)).unwrap_or_default();
    roster.check(sources.study, &name, &seen.last, seen.now, &mut |finding| sink.add(finding));
    add_up(sources, books, tables, scored, &mut sink);
    all.push(sink.done().map_err(|error| (spool.clone(), error.into()))?);
    Ok(Checked(all))
}

/// The study's own table: which condition each of its numbers has.
fn states<'s>(sources: &'s Sources<'_>) -> Result<Option<&'s PathBuf>, Unreadable> {
    for path in &sources.combined {
        let failed = |error: csv::Error| (path.clone(), error);
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 12).from_path(path).map_err(failed)?;
        if tally::columns(reader.headers().map_err(failed)?, STUDY_TABLE).len() == STUDY_TABLE.len() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// L1: archived against combined, day by day, and combined against scored.
fn add_up(sources: &Sources<'_>, books: &Books, tables: &[Tally], scored: &[Scored], sink: &mut Sink) {
    for (scale, pages) in books {
        for (day, page) in pages {
            // Tables that were adopted without raw files are another rule's matter.
            let Some(day) = day.filter(|_| page.archived != page.combined) else { continue };
            let finding = Finding {
                rule: "L1",
                scale,
                id: "",
                participant: "",
                column: "_first_seen",
                value: &day.to_string(),
                message: format!("{} entries archived, {} rows combined", page.archived, page.combined).into(),
                severity: Severity::Error,
            };
            if sources.study.has_rule("L1") {
                sink.add(&finding);
            }
        }
    }
    for scored in scored {
        let Some(table) = tables.iter().find(|table| table.scale == scored.scale) else { continue };
        let rows = table.entries + table.superseded;
        // What the duplicates policy leaves out is at most what came second.
        let second = table.entries.saturating_sub(scored.rows).min(table.second);
        let counts = ledger::Counts {
            combined: Some(rows),
            superseded: table.superseded,
            second,
            scored: Some(scored.rows),
            ..ledger::Counts::default()
        };
        ledger::check(sources.study, &scored.scale, &counts, &mut |finding| sink.add(finding));
    }
}

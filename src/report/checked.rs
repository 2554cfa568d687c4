//! What the rules find in a server's tables, on its way to the page and to checks.csv.

use std::io;
use std::path::Path;

use crate::report::books::Books;
use crate::report::findings::{self, Findings};
use crate::report::model::{Sources, Unreadable, scale_name, unreadable};
use crate::report::reading::Everyone;
use crate::report::tally::Tally;
use crate::report::trajectory::Scored;
use crate::study::checks::{Finding, Seen, Severity, accounts, ledger};
use crate::study::disclosure_control::Pseudonyms;
use crate::study::scale::{PARTICIPANT, ScaleKind};

/// Takes out of findings who they are about.
#[derive(Clone, Copy)]
pub struct Veil<'v> {
    pub names: &'v Pseudonyms,
    /// The entries' ids are the participants'.
    pub people_table: bool,
}

/// Rules whose values or messages name people.
const NAMING: [&str; 5] = ["R1", "R2", "R3", "R4", "R8"];
/// Columns that lead to people, besides those of participants.
const LEADING: [&str; 4] = ["id", "study", "sessionId", "dateCreated"];

impl Veil<'_> {
    fn over<'f>(self, finding: &'f Finding<'_>, participant: &'f str) -> Finding<'f> {
        let naming = NAMING.contains(&finding.rule);
        let leading = LEADING.contains(&finding.column) || PARTICIPANT.contains(&finding.column);
        let message = if naming { findings::rule(finding.rule).1 } else { &finding.message };
        Finding {
            rule: finding.rule,
            scale: finding.scale,
            id: if self.people_table { "" } else { finding.id },
            participant,
            column: finding.column,
            value: if naming || leading { "" } else { finding.value },
            message: message.into(),
            severity: finding.severity,
        }
    }
}

/// Collects findings; the first failed write stops the rest.
pub struct Sink<'v> {
    findings: Findings,
    veil: Option<Veil<'v>>,
    result: io::Result<()>,
}

impl<'v> Sink<'v> {
    pub fn new(folder: &Path, veil: Option<Veil<'v>>) -> Self {
        Self { findings: Findings::new(folder), veil, result: Ok(()) }
    }

    pub fn add(&mut self, finding: &Finding<'_>) {
        if self.result.is_ok() {
            self.result = match self.veil {
                Some(veil) => {
                    let id = finding.participant;
                    let name = if id.is_empty() { String::new() } else { veil.names.name(id) };
                    self.findings.add(&veil.over(finding, &name))
                }
                None => self.findings.add(finding),
            };
        }
    }

    /// # Errors
    /// The first failed write.
    pub fn done(self) -> io::Result<Findings> {
        self.result.map(|()| self.findings)
    }
}

/// What no table shows by itself: accounts, and whether the numbers close.
///
/// # Errors
/// The spool that cannot be written, and why.
pub fn conclude(
    sources: &Sources<'_>,
    everyone: &Everyone<'_>,
    seen: &Seen,
    books: &Books,
    tables: &[Tally],
    scored: &[Scored],
) -> Result<Findings, Unreadable> {
    let spool = sources.folder.reports();
    let mut sink = Sink::new(&spool, everyone.veil(Some(ScaleKind::Participants)));
    let name = everyone.table.map(|path| scale_name(path)).unwrap_or_default();
    accounts::check(&everyone.roster, sources.study, &name, &seen.last, seen.now, &mut |finding| sink.add(finding));
    add_up(sources, books, tables, scored, &mut sink);
    sink.done().map_err(unreadable(&spool))
}

/// L1: received against stored, and archived against combined, day by day; combined against scored.
fn add_up(sources: &Sources<'_>, books: &Books, tables: &[Tally], scored: &[Scored], sink: &mut Sink<'_>) {
    for (scale, pages) in books {
        for (day, page) in pages {
            // Tables that were adopted without raw files are another rule's matter.
            let Some((day, message)) = day.zip(page.difference()) else { continue };
            let finding = Finding {
                rule: "L1",
                scale,
                id: "",
                participant: "",
                column: "_first_seen",
                value: &day.to_string(),
                message: message.into(),
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

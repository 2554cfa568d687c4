//! Where findings are collected on their way to checks.csv, without the people where a report tells none.

use std::io;
use std::path::Path;

use crate::report::findings::{self, Findings};
use crate::study::checks::Finding;
use crate::study::disclosure_control::Pseudonyms;
use crate::study::scale::PARTICIPANT;

/// Takes out of findings who they are about.
#[derive(Clone, Copy)]
pub struct Redactor<'v> {
    pub names: &'v Pseudonyms,
    /// The entries' ids are the participants'.
    pub people_table: bool,
}

/// Rules whose values or messages name people.
const NAMING: [&str; 5] = ["R1", "R2", "R3", "R4", "R8"];
/// Columns that lead to people, besides those of participants.
const LEADING: [&str; 4] = ["id", "study", "sessionId", "dateCreated"];

impl Redactor<'_> {
    fn redact<'f>(self, finding: &'f Finding<'_>, participant: &'f str) -> Finding<'f> {
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
    redactor: Option<Redactor<'v>>,
    result: io::Result<()>,
}

impl<'v> Sink<'v> {
    pub fn new(folder: &Path, redactor: Option<Redactor<'v>>) -> Self {
        Self { findings: Findings::new(folder), redactor, result: Ok(()) }
    }

    pub fn add(&mut self, finding: &Finding<'_>) {
        if self.result.is_ok() {
            self.result = match self.redactor {
                Some(redactor) => {
                    let id = finding.participant;
                    let name = if id.is_empty() { String::new() } else { redactor.names.name(id) };
                    self.findings.add(&redactor.redact(finding, &name))
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

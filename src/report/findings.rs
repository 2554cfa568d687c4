//! What the rules found: counted, the first of each rule kept for the page, all of them spooled for checks.csv.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::SpooledTempFile;

use crate::study::checks::{self, catalogue};

pub use crate::study::checks::Severity;

/// So many of each rule stand on the page.
pub const SHOWN: u64 = 1000;
/// Findings of one table that are kept in memory before they go to a file without name.
const SPOOL: usize = 256 << 10;

pub const HEADER: [&str; 8] = ["rule", "scale", "entry_id", "participant", "column", "value", "message", "severity"];

/// Something a rule found, kept for the page.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShownFinding {
    pub rule: String,
    pub scale: String,
    pub id: String,
    pub participant: String,
    pub column: String,
    pub value: String,
    pub message: String,
}

/// What a rule is called, what it finds, how grave that is.
pub fn rule(name: &str) -> (&'static str, &'static str, Severity) {
    match (catalogue::rule(name), catalogue::mark(name)) {
        (Some(rule), _) => (rule.word, rule.finds, rule.severity),
        (None, Some(mark)) => ("", mark.finds, mark.severity),
        (None, None) => ("", "see the row", Severity::Notice),
    }
}

/// The findings of one table, or of all.
#[derive(Debug)]
pub struct Findings {
    rows: csv::Writer<SpooledTempFile>,
    pub counts: BTreeMap<String, u64>,
    pub shown: Vec<ShownFinding>,
}

impl Findings {
    /// What does not fit into memory goes to a file without name in `folder`.
    pub fn new(folder: &Path) -> Self {
        let spool = tempfile::spooled_tempfile_in(SPOOL, folder);
        let rows = csv::WriterBuilder::new().buffer_capacity(1 << 12).from_writer(spool);
        Self { rows, counts: BTreeMap::new(), shown: Vec::new() }
    }

    pub fn add(&mut self, finding: &checks::Finding<'_>) -> io::Result<()> {
        self.rows.write_record([
            finding.rule,
            finding.scale,
            finding.id,
            finding.participant,
            finding.column,
            finding.value,
            &finding.message,
            finding.severity.word(),
        ])?;
        let count = match self.counts.get_mut(finding.rule) {
            Some(count) => count,
            None => self.counts.entry(finding.rule.to_owned()).or_default(),
        };
        *count += 1;
        // The declared codes are in the tables of columns already.
        if *count <= SHOWN && finding.rule != "R12" {
            self.shown.push(ShownFinding {
                rule: finding.rule.to_owned(),
                scale: finding.scale.to_owned(),
                id: finding.id.to_owned(),
                participant: finding.participant.to_owned(),
                column: finding.column.to_owned(),
                value: finding.value.to_owned(),
                message: finding.message.clone().into_owned(),
            });
        }
        Ok(())
    }

    /// Appends all findings as CSV.
    pub fn append_to(self, out: &mut impl Write) -> io::Result<()> {
        let mut spool = self.rows.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        spool.seek(SeekFrom::Start(0))?;
        io::copy(&mut spool, out)?;
        Ok(())
    }
}

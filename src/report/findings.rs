//! What the rules found: counted, the first of each rule kept for the page, all of them spooled for checks.csv.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::SpooledTempFile;

/// So many of each rule stand on the page.
pub const SHOWN: u64 = 1000;
/// Findings of one table that are kept in memory before they go to a file without name.
const SPOOL: usize = 256 << 10;

pub const HEADER: [&str; 8] = ["rule", "scale", "entry_id", "participant", "column", "value", "message", "severity"];

/// Something a rule found.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub rule: String,
    pub scale: String,
    pub id: String,
    pub participant: String,
    pub column: String,
    pub value: String,
    /// Empty: the rule's own.
    pub message: String,
}

/// How grave a rule's findings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
    Notice,
}

impl Severity {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// What a rule is called, what its findings mean, how grave they are.
#[must_use]
pub fn rule(name: &str) -> (&'static str, &'static str, Severity) {
    use Severity::{Error, Notice, Warning};
    match name {
        "L1" => ("Ledger", "archived entries and rows of the combined table differ", Error),
        "R1" => ("Undecrypted", "no participant can be read from the encrypted column", Error),
        "R3" => ("Orphan", "the participant is not in the participants' table", Warning),
        "R5" => ("Second entry", "more than one entry of this participant for this session", Warning),
        "R9" => ("Session name", "the study's schedule does not have this session", Warning),
        "R11" => ("Test account", "left out of all percentages", Notice),
        "R12" => ("Missing code", "a declared code for \"no answer\"", Notice),
        "R13" => ("Range", "outside the item's range", Warning),
        "R16" => ("Date", "no date in a known form", Warning),
        "S1" => ("Log agreement", "TaskLog and the table disagree", Warning),
        "S5" => ("Impossible task", "the schedule does not place this questionnaire in this session", Warning),
        "S6" => ("Blank column", "no entry has anything in this column", Notice),
        "repeated_id" => ("Repeated id", "the id stands there with other content, too", Warning),
        "no_raw_file" => ("No raw file", "the day's table has no raw file", Notice),
        _ => ("", "see the rule", Notice),
    }
}

/// The findings of one table, or of all.
#[derive(Debug)]
pub struct Findings {
    rows: csv::Writer<SpooledTempFile>,
    pub counts: BTreeMap<String, u64>,
    pub shown: Vec<Finding>,
}

impl Findings {
    /// What does not fit into memory goes to a file without name in `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let spool = tempfile::spooled_tempfile_in(SPOOL, folder);
        let rows = csv::WriterBuilder::new().buffer_capacity(1 << 12).from_writer(spool);
        Self { rows, counts: BTreeMap::new(), shown: Vec::new() }
    }

    /// # Errors
    /// Whatever the file system says.
    pub fn add(&mut self, finding: Finding) -> io::Result<()> {
        let (_, usual, severity) = rule(&finding.rule);
        let message = if finding.message.is_empty() { usual } else { &finding.message };
        let cells = [
            &finding.rule,
            &finding.scale,
            &finding.id,
            &finding.participant,
            &finding.column,
            &finding.value,
            message,
            severity.word(),
        ];
        self.rows.write_record(cells)?;
        let count = match self.counts.get_mut(&finding.rule) {
            Some(count) => count,
            None => self.counts.entry(finding.rule.clone()).or_default(),
        };
        *count += 1;
        // The declared codes are in the tables of columns already.
        if *count <= SHOWN && finding.rule != "R12" {
            self.shown.push(finding);
        }
        Ok(())
    }

    /// Appends all findings as CSV.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn append_to(self, out: &mut impl Write) -> io::Result<()> {
        let mut spool = self.rows.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        spool.seek(SeekFrom::Start(0))?;
        io::copy(&mut spool, out)?;
        Ok(())
    }

    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().filter(|(rule, _)| *rule != "R12").map(|(_, count)| count).sum()
    }
}

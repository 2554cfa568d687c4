//! What a study's questionnaires are: items, ranges, codes for "no answer", schedule, scoring. Data, not code.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::study::name::ScaleName;

/// One study's definitions.
#[derive(Debug, Clone, Default)]
pub struct Study {
    pub name: String,
    pub title: String,
    /// Of the definition files' bytes; a changed definition makes its tables stale.
    pub digest: String,
    /// In the order a participant goes through them.
    pub sessions: Vec<Session>,
    pub scales: BTreeMap<ScaleName, Scale>,
    pub duplicates: Duplicates,
}

/// All studies, by name.
pub type Studies = BTreeMap<String, Study>;

/// One session of the schedule.
#[derive(Debug, Clone, Default)]
pub struct Session {
    pub name: String,
    pub display: String,
    /// Least number of days after the previous session.
    pub gap_days: Option<f64>,
    pub tasks: Vec<ScheduledTask>,
}

/// One task of a session.
#[derive(Debug, Clone)]
pub struct ScheduledTask {
    /// As TaskLog writes it.
    pub name: String,
    /// The questionnaire behind it; `None` for trainings and other tasks without a table.
    pub scale: Option<ScaleName>,
    /// TaskLog's `tag`, where one scale comes twice in a session.
    pub tag: Option<String>,
}

/// Which of a participant's several entries for one key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// The first completed entry: the lab's documented rule.
    #[default]
    First,
    Last,
    All,
}

/// What a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScaleKind {
    #[default]
    Questionnaire,
    /// TaskLog, EmailLog...: rows per event.
    Log,
    /// ParticipantExport: a row per participant.
    Participants,
    /// JsPsychTrial...: only ids can be checked (R6).
    Trials,
}

/// One table's definition.
#[derive(Debug, Clone, Default)]
pub struct Scale {
    pub title: String,
    pub kind: ScaleKind,
    /// Of this definition alone.
    pub digest: String,
    pub columns: Vec<Column>,
    /// Columns that identify one act of answering, beside the participant: `session`, `tag`...
    pub key: Vec<String>,
    pub scores: Vec<ScoreRule>,
}

/// One column.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub label: String,
    pub kind: ColumnKind,
    /// Must be answered when the questionnaire is.
    pub required: bool,
    pub missing: Vec<MissingCode>,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnKind {
    Number {
        least: Option<f64>,
        most: Option<f64>,
    },
    /// One of these values.
    Choice(Vec<String>),
    FreeText,
    List,
    Date,
    /// Ids, tags and whatever has no range.
    Other,
}

/// A value that stands for "no answer".
#[derive(Debug, Clone, PartialEq)]
pub struct MissingCode {
    pub code: String,
    pub meaning: MissingMeaning,
    pub since: Option<NaiveDate>,
    pub until: Option<NaiveDate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingMeaning {
    Declined,
    NotAsked,
    /// The server or a form lost it.
    Server,
}

/// One score: what `scored/` holds as `<name>` and `<name>_n_valid`.
#[derive(Debug, Clone)]
pub struct ScoreRule {
    pub name: String,
    /// `prorated_sum`, `mean`...
    pub rule: String,
    pub version: u32,
    pub items: Vec<String>,
    /// Multiplies the result (DASS-21 doubles its sum).
    pub factor: f64,
    /// Below so many answered items the score is empty.
    pub min_valid: usize,
    /// Variants used by papers are computed only when the project selects them.
    pub selected: bool,
}

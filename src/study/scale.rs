//! What a study's questionnaires are: items, ranges, codes for "no answer", schedule, scoring. Data, not code.

use std::collections::BTreeMap;
use std::fmt::Debug;

use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::Tz;

use crate::study::checks::settings::Settings;
use crate::study::name::ScaleName;

/// Of what a value says, not of how it was written: enough to tell two values apart in a message.
pub fn digest(value: &impl Debug) -> String {
    blake3::hash(format!("{value:?}").as_bytes()).to_hex()[..16].to_owned()
}

/// One study's definitions.
#[derive(Debug, Clone, Default)]
pub struct Study {
    pub name: String,
    pub title: String,
    /// Of everything the definition says; comments and spacing do not count.
    pub digest: String,
    /// Of what row rules look at beside the scale itself: schedule, marks, screening, settings of rules.
    pub frame_digest: String,
    /// In the order a participant goes through them.
    pub sessions: Vec<Session>,
    /// Names that stand in `session` without being part of the schedule: `COMPLETE`, `NOT_STARTED`...
    pub special_sessions: Vec<String>,
    pub screening: Option<Screening>,
    pub enrolment: Option<Enrolment>,
    pub conditions: Option<Conditions>,
    /// Thresholds and severities that differ from the rules' own.
    pub rules: BTreeMap<String, Settings>,
    pub scales: BTreeMap<ScaleName, Scale>,
    pub duplicates: Duplicates,
}

impl Study {
    /// Where a session stands in the schedule.
    pub fn session(&self, name: &str) -> Option<usize> {
        self.sessions.iter().position(|session| session.name == name)
    }

    /// True for entries of this scale and session that were answered to find out who may take part.
    pub fn is_screening(&self, scale: &str, session: &str) -> bool {
        self.screening.as_ref().is_some_and(|screening| {
            screening.scales.iter().any(|known| known.as_str() == scale)
                && screening.sessions.iter().any(|known| known == session)
        })
    }
}

/// Where the participant of an entry stands, whatever the era.
pub const PARTICIPANT: &[&str] =
    &["participant", "participantDAO", "participantRSA", "participantId", "participantdao_id"];

/// All studies, by name.
pub type Studies = BTreeMap<String, Study>;

/// Which entries decide who may take part (R7, R8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Screening {
    pub scales: Vec<ScaleName>,
    /// `ELIGIBLE` and the empty name.
    pub sessions: Vec<String>,
    /// The column that holds one visitor's attempts together.
    pub key: String,
}

/// When the study took people in (S4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    pub from: Option<NaiveDateTime>,
    pub until: Option<NaiveDateTime>,
    pub timezone: Tz,
    /// Lower ids belong to the soft launch.
    pub least_participant: Option<i64>,
}

/// What participants are assigned to (S2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The column that holds it: `conditioning`.
    pub column: String,
    pub control: Vec<String>,
    pub treatment: Vec<String>,
    /// Not yet assigned.
    pub before: Vec<String>,
    /// The session after which nobody's condition may change.
    pub fixed_after: Option<String>,
}

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

impl Duplicates {
    pub fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::All => "all",
        }
    }
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
    /// How many entries of one key are no repeats: SUDS comes before and after the training, without a tag.
    pub times: usize,
    pub scores: Vec<ScoreRule>,
}

impl Scale {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// One column.
#[derive(Debug, Clone, Default)]
pub struct Column {
    pub name: String,
    pub label: String,
    pub kind: ColumnKind,
    /// Must be answered when the questionnaire is.
    pub required: bool,
    pub missing: Vec<MissingCode>,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ColumnKind {
    Number {
        least: Option<f64>,
        most: Option<f64>,
    },
    /// One of these values; of any when there are none.
    Choice(Vec<String>),
    FreeText,
    List,
    Date,
    /// Ids, tags and whatever has no range.
    #[default]
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

impl MissingCode {
    /// True where the code means this on that day; an unknown day excludes nothing.
    pub fn holds_on(&self, date: Option<NaiveDate>) -> bool {
        date.is_none_or(|date| {
            self.since.is_none_or(|since| since <= date) && self.until.is_none_or(|until| date <= until)
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingMeaning {
    Declined,
    NotAsked,
    /// The server or a form lost it.
    Server,
}

impl MissingMeaning {
    pub fn word(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::NotAsked => "not_asked",
            Self::Server => "server",
        }
    }
}

/// One score: what `scored/` holds as `<name>` and `<name>_n_valid`.
#[derive(Debug, Clone, Default)]
pub struct ScoreRule {
    pub name: String,
    pub title: String,
    pub method: Method,
    pub version: u32,
    /// The items it counts; of a quotient or difference the upper ones.
    pub items: Vec<String>,
    /// The lower items of a quotient or difference, the second group of a mean of means.
    pub over: Vec<String>,
    /// The scores that a mean of scores or a cut-off looks at.
    pub of: Vec<String>,
    /// Items whose value counts as least + most - value.
    pub reverse: Vec<String>,
    /// Values that count as another.
    pub recode: Vec<(f64, f64)>,
    /// Codes that the source left in as numbers; for reproducing old results only.
    pub counted: Vec<f64>,
    /// What stands in for a missing item; for reproducing old results only.
    pub impute: BTreeMap<String, f64>,
    /// Multiplies the result (DASS-21 doubles its sum).
    pub factor: f64,
    /// Of a cut-off.
    pub threshold: f64,
    /// Below so many answered items the score is empty.
    pub min_valid: usize,
    /// The nominal range, without codes.
    pub range: Option<(f64, f64)>,
    /// Who scored so: papers, the first generation, the server.
    pub origins: Vec<String>,
    /// Variants used by papers are computed only when the project selects them.
    pub selected: bool,
}

/// How a score is made of its items. Each has a version, which rises when its meaning changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Of the answered items.
    Sum,
    #[default]
    Mean,
    /// Mean of the answered items times the number of items.
    ProratedSum,
    /// Mean of `items` over mean of `over`; empty when that is zero.
    RatioOfMeans,
    /// Mean of `items` less mean of `over`.
    DifferenceOfMeans,
    /// Mean of the two groups' means.
    MeanOfMeans,
    /// Mean of those other scores that are there.
    MeanOfScores,
    /// 1 when another score is at least the threshold, else 0.
    AtLeast,
    /// 1 when another score is above the threshold, else 0.
    Above,
    /// 1 when another score is below the threshold, else 0.
    Below,
}

impl Method {
    /// Every method and its word in a definition.
    pub const ALL: &[(&str, Self)] = &[
        ("sum", Self::Sum),
        ("mean", Self::Mean),
        ("prorated_sum", Self::ProratedSum),
        ("ratio_of_means", Self::RatioOfMeans),
        ("difference_of_means", Self::DifferenceOfMeans),
        ("mean_of_means", Self::MeanOfMeans),
        ("mean_of_scores", Self::MeanOfScores),
        ("at_least", Self::AtLeast),
        ("above", Self::Above),
        ("below", Self::Below),
    ];

    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, method)| *method == self).map_or("mean", |(word, _)| word)
    }

    /// True where `over` has to be given.
    pub fn has_two_groups(self) -> bool {
        matches!(self, Self::RatioOfMeans | Self::DifferenceOfMeans | Self::MeanOfMeans)
    }

    /// True where the score is made of other scores.
    pub fn is_of_scores(self) -> bool {
        matches!(self, Self::MeanOfScores | Self::AtLeast | Self::Above | Self::Below)
    }
}

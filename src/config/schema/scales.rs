//! config/scales/*.toml.

use std::collections::BTreeMap;

use schemars::JsonSchema;

/// What a study's questionnaires are.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)] // only its shape is used
pub struct Study {
    title: Option<String>,
    duplicates: Option<Duplicates>,
    /// Marks that stand in `session` without being one.
    special_sessions: Option<Vec<String>>,
    /// Origins of scores that are made beside the selected ones.
    variants: Option<Vec<String>>,
    screening: Option<Screening>,
    enrolment: Option<Enrolment>,
    conditions: Option<Conditions>,
    /// Settings of the rules of checks.csv: `[rule.R10]`.
    rule: Option<BTreeMap<String, Rule>>,
    /// The schedule, in order.
    session: Option<Vec<Session>>,
    /// The tables, by name.
    scale: Option<BTreeMap<String, Scale>>,
}

/// Which of several entries of one participant and session counts.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code)]
enum Duplicates {
    First,
    Last,
    All,
}

/// Entries that decide who may take part.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Screening {
    scales: Option<Vec<String>>,
    sessions: Option<Vec<String>>,
    /// The column that holds one visitor's attempts together.
    key: String,
}

/// When the study took people in.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Enrolment {
    /// `2019-03-18T17:00`.
    from: Option<String>,
    until: Option<String>,
    timezone: String,
    /// Lower ids belong to the soft launch.
    least_participant: Option<u32>,
}

/// What participants are assigned to.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Conditions {
    column: String,
    control: Option<Vec<String>>,
    treatment: Option<Vec<String>>,
    /// Not yet assigned.
    before: Option<Vec<String>>,
    /// The session after which nobody's condition may change.
    fixed_after: Option<String>,
}

/// A rule's settings; its thresholds are named by `mtdata explain-check`.
#[derive(JsonSchema)]
#[allow(dead_code)]
struct Rule {
    off: Option<bool>,
    severity: Option<Severity>,
    columns: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code)]
enum Severity {
    Error,
    Warning,
    Notice,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Session {
    name: String,
    display: Option<String>,
    /// Least number of days after the session before it.
    gap_days: Option<f64>,
    tasks: Option<Vec<Task>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Task {
    /// As TaskLog writes it.
    name: String,
    /// The questionnaire behind it.
    scale: Option<String>,
    /// Where one scale comes twice in a session.
    tag: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Scale {
    title: Option<String>,
    kind: Option<Kind>,
    /// What tells one entry of a participant from another. Usually `session`.
    key: Option<Vec<String>>,
    /// How often it is answered in one session.
    #[schemars(range(min = 1, max = 100))]
    times: Option<u32>,
    /// Columns with answers, which scores count.
    items: Option<Vec<String>>,
    choices: Option<Vec<String>>,
    booleans: Option<Vec<String>>,
    free_text: Option<Vec<String>>,
    lists: Option<Vec<String>>,
    dates: Option<Vec<String>>,
    other: Option<Vec<String>>,
    /// Items that may be empty.
    optional: Option<Vec<String>>,
    /// Least and most of every item.
    range: Option<[f64; 2]>,
    /// All values of every item.
    values: Option<Vec<String>>,
    missing: Option<BTreeMap<String, Missing>>,
    /// What differs, column by column.
    column: Option<BTreeMap<String, Column>>,
    score: Option<Vec<Score>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code)]
enum Kind {
    Questionnaire,
    Log,
    Participants,
    Trials,
}

/// What a code stands for instead of an answer.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Missing {
    Always(Meaning),
    Sometimes(Period),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Period {
    meaning: Meaning,
    since: Option<String>,
    until: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[allow(dead_code)]
enum Meaning {
    Declined,
    NotAsked,
    Server,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Column {
    label: Option<String>,
    range: Option<[f64; 2]>,
    least: Option<f64>,
    values: Option<Vec<String>>,
    required: Option<bool>,
    missing: Option<BTreeMap<String, Missing>>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Origin {
    One(String),
    Several(Vec<String>),
}

/// One score of the scale.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Score {
    name: String,
    title: Option<String>,
    /// The method: `sum`, `prorated_sum`, `mean`, `at_least`...
    rule: String,
    #[schemars(range(min = 1, max = 1000))]
    version: Option<u32>,
    /// Usually all items of the scale.
    items: Option<Vec<String>>,
    /// Items of the denominator.
    over: Option<Vec<String>>,
    /// Other scores that it is made of.
    of: Option<Vec<String>>,
    reverse: Option<Vec<String>>,
    recode: Option<BTreeMap<String, f64>>,
    counted: Option<Vec<f64>>,
    impute: Option<BTreeMap<String, f64>>,
    factor: Option<f64>,
    threshold: Option<f64>,
    /// So many answers at least.
    #[schemars(range(min = 0, max = 10000))]
    min_valid: Option<u32>,
    range: Option<[f64; 2]>,
    /// Who computes it so: one or several.
    origin: Option<Origin>,
    /// Made without being named in `variants`. Usually true.
    selected: Option<bool>,
}

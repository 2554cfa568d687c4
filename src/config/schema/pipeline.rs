//! Pipeline.toml.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::Duration;

/// What mtdata does, and in which order.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)] // only its shape is used
pub struct Pipeline {
    /// Targets of a call that names none: `TASK`, `TASK/SERVER`, ...
    default: Option<Vec<String>>,
    data: Option<Data>,
    logs: Option<Logs>,
    /// How many tasks of a group run at once.
    #[schemars(range(min = 1, max = 1024))]
    groups: Option<BTreeMap<String, u64>>,
    /// The tasks, by name.
    task: BTreeMap<String, Task>,
}

/// Where the data and the other files are, from this file's folder on.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Data {
    /// Folder of the pool: raw archive, tables, reports. Usually `data`.
    pool: Option<String>,
    /// The study servers. Usually `config/servers.toml`.
    servers: Option<String>,
    /// Folder of the studies' definitions. Usually `config/scales`.
    scales: Option<String>,
    /// Who is told of failures.
    alerts: Option<String>,
    /// Corrections of single values.
    corrections: Option<String>,
    /// Test accounts and other words on participants.
    participants: Option<String>,
}

/// What is logged, and for how long it is kept.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Logs {
    format: Option<LogFormat>,
    /// Days that the log files are kept.
    #[schemars(range(min = 1, max = 36500))]
    keep_days: Option<u32>,
    /// How many runs' own logs are kept.
    #[schemars(range(min = 1, max = 36500))]
    keep_runs: Option<u32>,
    /// Old log files are compressed.
    compress: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code)]
enum LogFormat {
    Text,
    Json,
}

/// One task: either `action` or `command`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Task {
    action: Option<Action>,
    /// The program and its arguments; no shell unless it names one. `{out}`, `{inputs}`, `{outputs}`, `{pool}`,
    /// `{server}`, `{scale}`, `{date}` are filled in.
    #[schemars(length(min = 1))]
    command: Option<Vec<String>>,
    /// Once per server, scale, date.
    each: Option<Vec<Axis>>,
    /// Only these servers.
    servers: Option<Vec<String>>,
    scales: Option<Scales>,
    /// Tasks whose outputs are inputs, and whose failure stops this one.
    needs: Option<Vec<String>>,
    /// Tasks that only go first.
    after: Option<Vec<String>>,
    /// Files a command reads beside what its needs make.
    inputs: Option<Vec<String>>,
    /// Files a command makes.
    outputs: Option<Vec<String>>,
    /// Variables of a command's environment.
    env: Option<BTreeMap<String, String>>,
    /// A name of `[groups]`.
    group: Option<String>,
    /// Further attempts: of an export after failures that may pass, of a command after each failure.
    #[schemars(range(min = 0, max = 100))]
    retries: Option<u32>,
    /// Of one attempt.
    timeout: Option<Duration>,
    /// Asked again when the last success is older.
    every: Option<Duration>,
    /// Runs with the last good outputs of what failed, and says so.
    partial: Option<bool>,
    /// Of reports: ids are replaced by names that hold for this state of the data only.
    pseudonyms: Option<bool>,
    /// Of reports: counts from 1 up to this, itself not included, are not told.
    #[schemars(range(min = 2, max = 1000))]
    suppress_below: Option<u64>,
    alert: Option<Alert>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code)]
enum Action {
    Export,
    Decode,
    Combine,
    Score,
    Wide,
    Report,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code)]
enum Axis {
    Server,
    Scale,
    Date,
}

/// `.` for tables that the server lets be deleted, `static` for the others, `all`, or names.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Scales {
    Word(String),
    Names(Vec<String>),
}

/// Who is told when it fails.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code)]
enum Alert {
    Critical,
    Warning,
    None,
}

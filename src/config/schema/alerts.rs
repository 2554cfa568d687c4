//! config/alerts.toml.

use schemars::JsonSchema;

use super::Duration;
use super::servers::Secret;

/// Who is told when something fails.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)] // only its shape is used
pub struct Alerts {
    mail: Option<Mail>,
    heartbeat: Option<Heartbeat>,
    hook: Option<Hook>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Mail {
    /// `HOST:PORT`.
    smtp: String,
    tls: Option<Tls>,
    user: Option<String>,
    password: Option<Secret>,
    /// `mtdata <mtdata@example.edu>`.
    from: String,
    #[schemars(length(min = 1))]
    to: Vec<String>,
    /// Usually `[mtdata]`.
    subject_prefix: Option<String>,
    /// The same trouble again is told only after so long.
    repeat_after: Option<Duration>,
}

/// `starttls` is required, not merely tried; `none` is for this machine only.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code)]
enum Tls {
    Starttls,
    Implicit,
    None,
}

/// An address that is fetched after each good run.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Heartbeat {
    url: String,
}

/// A command that is given each trouble as JSON.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Hook {
    #[schemars(length(min = 1))]
    command: Vec<String>,
}

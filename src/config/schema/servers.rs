//! config/servers.toml.

use std::collections::BTreeMap;

use schemars::JsonSchema;

/// The studies' web servers, by name.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[allow(dead_code)] // only its shape is used
pub struct Servers(BTreeMap<String, Server>);

/// One study's web server.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Server {
    /// Base of its interface: `https://.../api/`.
    url: String,
    /// An account with the ADMIN role.
    user: String,
    password: Option<Secret>,
    /// The days in file names are those of this zone: `America/New_York`.
    timezone: String,
    /// Part of every build; false: only when named, and never asked. Usually true.
    ready: Option<bool>,
    /// Entries are deleted on the server once they are proven to be archived here. Usually false.
    delete_mode: Option<bool>,
    /// Private keys, tried in order.
    keys: Option<Vec<String>>,
    /// Of encrypted keys.
    passphrase: Option<Secret>,
    /// The study's definitions: a name in config/scales.
    study: Option<String>,
    /// The server's folder; usually its name in the pool.
    path: Option<String>,
    /// The pattern of dates in file names, `%b_%d_%Y`; usually ISO 8601.
    date_format: Option<String>,
    /// Plain HTTP to a host that is not this machine.
    allow_http: Option<bool>,
    /// Group of derived tables and reports.
    group: Option<String>,
    /// Upper bound of one answer, in bytes.
    #[schemars(range(min = 1024))]
    max_answer: Option<u64>,
}

/// Where a secret stands; never the secret itself.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[allow(dead_code)]
pub enum Secret {
    /// A variable of the environment.
    Env(String),
    /// A file that only its owner may read (chmod 600).
    File(String),
}

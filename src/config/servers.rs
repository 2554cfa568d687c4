//! config/servers.toml: the studies' web servers, where their secrets are, and what may be deleted there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono_tz::Tz;

use crate::pool::paths::DateStyle;
use crate::study::name::ServerName;
use crate::study::scale::{Studies, Study};

/// One `[server]` table. Secrets are named here, and read only when they are used.
#[derive(Debug, Clone)]
pub struct Server {
    pub name: ServerName,
    pub ready: bool,
    pub delete_mode: bool,
    /// Base of the interface, ends in `/`.
    pub url: String,
    pub user: String,
    pub password: Option<Secret>,
    /// Private keys, tried in order; absolute.
    pub keys: Vec<PathBuf>,
    pub passphrase: Option<Secret>,
    pub timezone: Tz,
    /// Which study's definitions hold.
    pub study: Option<String>,
    /// The server's folder in the pool; absolute.
    pub path: PathBuf,
    pub date_style: DateStyle,
    /// Group of derived tables and reports.
    pub group: Option<String>,
    /// Upper bound of one answer's size in bytes.
    pub max_answer: u64,
}

/// Where a secret stands; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    Env(String),
    /// Absolute.
    File(PathBuf),
}

/// All of servers.toml, by name.
pub type Servers = BTreeMap<ServerName, Server>;

/// The study whose definitions hold for a server.
pub fn study_of<'s>(servers: &Servers, studies: &'s Studies, server: &ServerName) -> Option<&'s Study> {
    studies.get(servers.get(server)?.study.as_ref()?)
}

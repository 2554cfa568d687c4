//! config/alerts.toml: who is told when something breaks, and how often.

use std::time::Duration;

use crate::config::servers::Secret;

/// All of alerts.toml.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    pub mail: Option<Mail>,
    /// Fetched after each good run.
    pub heartbeat: Option<String>,
    /// `[hook] command`, given the event's JSON on stdin.
    pub hook: Option<Vec<String>>,
}

/// `[mail]`.
#[derive(Debug, Clone)]
pub struct Mail {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub from: String,
    pub to: Vec<String>,
    pub subject_prefix: String,
    pub repeat_after: Duration,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Required, not merely tried.
    StartTls,
    Implicit,
    /// Loopback only.
    None,
}

//! Why something failed, as types: what happened and where, and what to do about it.

use std::path::Path;

use serde::Serialize;

use crate::counts::Counts;

/// What kind of trouble: decides whether to retry, how loud to be, and which page of the runbook helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No connection: name, route, refused, reset.
    Unreachable,
    /// The certificate or the handshake.
    Tls,
    /// 401, 403 or a redirect to a login.
    Refused,
    /// A body that is not JSON: refused credentials or a wrong URL.
    NotJson,
    /// JSON, but not what the interface promises.
    WrongShape,
    /// Fewer bytes or entries than announced.
    Truncated,
    /// 5xx or 429 after all retries.
    ServerError,
    Timeout,
    /// A DELETE that failed or was not confirmed.
    Deletion,
    /// Entries on the server that should be gone.
    ShouldBeGone,
    /// A private key that is missing, refused, or opens nothing.
    Key,
    /// Reading a file of the pool.
    Read,
    /// Writing to the pool: disk full, permission, a file that reads back differently.
    Write,
    /// Data that no rule covers.
    Data,
    /// A user's command that did not exit 0 or left an output out.
    Command,
    Interrupted,
    /// A mistake of mtdata itself.
    Internal,
}

impl FailureKind {
    /// Critical troubles are mailed at once (contract, 8), unless the task's `alert` says otherwise. Who stops a run knows
    /// about it.
    pub fn is_critical(self) -> bool {
        self != Self::Interrupted
    }
}

/// Why an instance failed: what happened and where, and what to do about it.
#[derive(Debug, Clone)]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
    pub advice: Option<String>,
    /// The last lines a command printed.
    pub tail: Vec<String>,
    /// What was done before it failed.
    pub counts: Counts,
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), advice: None, tail: Vec::new(), counts: Counts::default() }
    }

    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Keeps the numbers of what was done before.
    pub fn after(mut self, counts: Counts) -> Self {
        self.counts = counts;
        self
    }

    /// A failed read of `path`.
    pub fn read(path: &Path, error: &std::io::Error) -> Self {
        Self::new(FailureKind::Read, format!("cannot read {}: {error}", path.display()))
    }

    /// A failed write of `path`.
    pub fn write(path: &Path, error: &std::io::Error) -> Self {
        Self::new(FailureKind::Write, format!("cannot write {}: {error}", path.display()))
            .advise("free space or mend the permissions; nothing was lost, the next run tries again")
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The innermost cause says what happened; the outermost repeats the address.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

//! Why something failed, as types: what happened and where, and what to do about it.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use crate::code::Code;
use crate::counts::Counts;

/// Why an instance failed: what happened and where, and what to do about it.
#[derive(Debug, Clone)]
pub struct Failure {
    pub kind: Code,
    pub message: String,
    pub advice: Option<String>,
    /// The last lines a command printed.
    pub tail: Vec<String>,
    /// What was done before it failed.
    pub counts: Counts,
    /// What the system said.
    source: Option<Arc<io::Error>>,
}

impl Failure {
    pub fn new(kind: Code, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), advice: None, tail: Vec::new(), counts: Counts::default(), source: None }
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
    pub fn read(path: &Path, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        let failure = Self::new(Code::Read, format!("cannot read {}: {error}", path.display()));
        let advice = match cause(&error) {
            ErrorKind::PermissionDenied => Some(format!("let the user who runs mtdata read {}", path.display())),
            _ => None,
        };
        Self { advice, source: Some(Arc::new(error)), ..failure }
    }

    /// A failed write of `path`.
    pub fn write(path: &Path, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        let what = match cause(&error) {
            ErrorKind::StorageFull => "the disk is full: free space there",
            ErrorKind::QuotaExceeded => {
                "the quota of the user who runs mtdata is used up: free space, or have it raised"
            }
            ErrorKind::FileTooLarge => "the file system or `ulimit -f` allows no larger file: have the limit raised",
            ErrorKind::PermissionDenied => "let the user who runs mtdata write there: `ls -ld` says who may",
            ErrorKind::ReadOnlyFilesystem => {
                "the file system is read-only, as Linux makes one whose disk fails: see `dmesg` and `mount`"
            }
            _ => "free space or mend the permissions",
        };
        let failure = Self::new(Code::Write, format!("cannot write {}: {error}", path.display()))
            .advise(format!("{what}; nothing was lost, the next run tries again"));
        Self { source: Some(Arc::new(error)), ..failure }
    }
}

/// What kind of error it is, also where a library has wrapped it.
fn cause(error: &io::Error) -> ErrorKind {
    let mut inner: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(found) = inner {
        if let Some(found) = found.downcast_ref::<io::Error>() {
            return cause(found);
        }
        // It does not say so of itself.
        if let Some(csv::ErrorKind::Io(found)) = found.downcast_ref::<csv::Error>().map(csv::Error::kind) {
            return cause(found);
        }
        inner = found.source();
    }
    error.kind()
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

/// The innermost cause says what happened; the outermost repeats the address.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn each_cause_of_a_failed_write_has_its_own_advice() {
        let kinds = [
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::FileTooLarge,
            ErrorKind::PermissionDenied,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::Other,
        ];
        let advice = |error: io::Error| Failure::write(Path::new("data/x"), error).advice.unwrap();
        let told: std::collections::BTreeSet<String> = kinds.iter().map(|kind| advice((*kind).into())).collect();
        assert_eq!(told.len(), kinds.len());
        for kind in kinds {
            // As the csv crate and others wrap what the system says.
            let wrapped = io::Error::other(csv::Error::from(io::Error::from(kind)));
            assert_eq!(advice(wrapped), advice(kind.into()));
        }
        let failure = Failure::write(Path::new("data/x"), io::Error::from(ErrorKind::StorageFull));
        assert_eq!(failure.source().map(ToString::to_string).as_deref(), Some("no storage space"));
    }
}

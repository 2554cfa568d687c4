//! What one instance read and left when it last succeeded: kept whole, so that explanations have the old values.

use crate::disk::content::Content;
use crate::state::names::Name;

/// The trace of an instance's last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub revision: u32,
    /// Name and value.
    pub parameters: Vec<(Name, Name)>,
    pub inputs: Vec<(Name, Content)>,
    pub outputs: Vec<(Name, Content)>,
    /// The run that did it.
    pub run: Name,
    /// Milliseconds since 1970, UTC.
    pub finished: i64,
    /// The work left something that the next run must look at again.
    pub unfinished: bool,
}

/// The last attempt failed; gone with the next success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    pub run: Name,
    /// Milliseconds since 1970, UTC.
    pub when: i64,
    pub message: Name,
}

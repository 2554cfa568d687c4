//! How many of what: the numbers that tasks count and events tell.

use std::collections::BTreeMap;

use serde::Serialize;

/// The numbers of a run's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    Listed,
    Received,
    New,
    Stored,
    Deleted,
    DeletePending,
    AlreadyHeld,
    EntriesRead,
    RsaDecrypted,
    RsaReused,
    RsaFailed,
    RowsOut,
    Quarantined,
    Duplicates,
    BytesIn,
    BytesOut,
}

/// How many of what, of one instance or one run; only what applies is present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Counts(BTreeMap<Count, u64>);

impl Counts {
    /// Adds, and makes the count present even when it is zero.
    pub fn add(&mut self, count: Count, number: u64) {
        *self.0.entry(count).or_default() += number;
    }

    pub fn get(&self, count: Count) -> u64 {
        self.0.get(&count).copied().unwrap_or_default()
    }

    pub fn merge(&mut self, other: &Self) {
        for (&count, &number) in &other.0 {
            self.add(count, number);
        }
    }
}

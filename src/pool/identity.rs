//! What tells two entries apart: the id the server gave, and the bytes it sent.

/// An entry by id and the hash of its bytes: 40 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    pub id: i64,
    pub hash: [u8; 32],
}

/// Stands for the id of an entry that has none, as old raw files may hold them.
pub const NO_ID: i64 = i64::MIN;

impl Identity {
    #[must_use]
    pub fn of(id: Option<i64>, bytes: &[u8]) -> Self {
        Self { id: id.unwrap_or(NO_ID), hash: *blake3::hash(bytes).as_bytes() }
    }
}

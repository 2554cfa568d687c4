//! What one instance read and left when it last succeeded: kept whole, so that explanations have the old values.

use crate::state::names::Name;

/// What stands in a file: nothing at all, or bytes with this hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content([u8; 32]);

impl Content {
    /// No such file.
    pub const ABSENT: Self = Self([0; 32]);

    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub fn is_absent(&self) -> bool {
        *self == Self::ABSENT
    }

    /// For messages: `ab12cd34`, or `none`.
    #[must_use]
    pub fn short(&self) -> String {
        if self.is_absent() { "none".to_owned() } else { self.hex()[..8].to_owned() }
    }

    /// All 64 digits.
    #[must_use]
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl From<blake3::Hash> for Content {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

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

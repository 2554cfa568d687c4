//! What stands in a file, as a hash says it.

/// What stands in a file: nothing at all, or bytes with this hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content([u8; 32]);

impl Content {
    /// No such file.
    pub const ABSENT: Self = Self([0; 32]);

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn is_absent(&self) -> bool {
        *self == Self::ABSENT
    }

    /// For messages: `ab12cd34`, or `none`.
    pub fn short(&self) -> String {
        if self.is_absent() { "none".to_owned() } else { self.hex()[..8].to_owned() }
    }

    /// All 64 digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

impl From<blake3::Hash> for Content {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

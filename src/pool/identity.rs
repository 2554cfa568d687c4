//! What tells two entries apart: the id the server gave, and the bytes it sent.

use crate::disk::multi_hash::{LANES, LONGEST, Lanes};

/// An entry by id and the hash of its bytes: 40 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    pub id: i64,
    pub hash: [u8; 32],
}

/// Stands for the id of an entry that has none, as old raw files may hold them.
pub const NO_ID: i64 = i64::MIN;

impl Identity {
    pub fn of(id: Option<i64>, bytes: &[u8]) -> Self {
        Self { id: id.unwrap_or(NO_ID), hash: *blake3::hash(bytes).as_bytes() }
    }
}

/// The identities of entries that come one after another, hashed several at a time.
#[derive(Debug, Default)]
pub struct Identities {
    /// In the order in which they came; the hashes of those that wait are not yet there.
    all: Vec<Identity>,
    lanes: Lanes,
    /// Where in `all` those stand that wait.
    waiting: [usize; LANES],
}

impl Identities {
    pub fn with_capacity(capacity: usize) -> Self {
        Self { all: Vec::with_capacity(capacity), ..Self::default() }
    }

    pub fn add(&mut self, id: Option<i64>, bytes: &[u8]) {
        if bytes.len() > LONGEST {
            self.all.push(Identity::of(id, bytes));
            return;
        }
        self.waiting[self.lanes.taken()] = self.all.len();
        self.all.push(Identity { id: id.unwrap_or(NO_ID), hash: [0; 32] });
        self.lanes.add(bytes);
        if self.lanes.taken() == LANES {
            self.hash();
        }
    }

    fn hash(&mut self) {
        for (hash, place) in self.lanes.hash().zip(self.waiting) {
            self.all[place].hash = hash;
        }
    }

    /// In the order in which they came.
    pub fn finish(mut self) -> Vec<Identity> {
        self.hash();
        self.all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_are_hashed_together_as_one_by_one(lengths in prop::collection::vec((any::<Option<i64>>(), 0..1300_usize), 0..60)) {
            let texts: Vec<(Option<i64>, Vec<u8>)> =
                lengths.iter().enumerate().map(|(at, (id, length))| (*id, vec![u8::try_from(at).unwrap(); *length])).collect();
            let mut identities = Identities::default();
            for (id, text) in &texts {
                identities.add(*id, text);
            }
            let expected: Vec<Identity> = texts.iter().map(|(id, text)| Identity::of(*id, text)).collect();
            prop_assert_eq!(identities.finish(), expected);
        }
    }
}

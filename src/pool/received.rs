//! What one answer holds, without its texts: each entry's identity and how far it is on its way into the archive.
//! 41 bytes an entry, whatever its size.

use crate::pool::identity::{Identities, Identity};

/// An archived raw file holds this very entry.
const HELD: u8 = 1;
/// An archived raw file holds this id with another content.
const CHANGED: u8 = 2;
/// Written into the raw file that is being made.
const WRITTEN: u8 = 4;
/// Seen in the raw file that is being read back.
const FOUND: u8 = 8;
/// Stands in a raw file that was read back whole and is what it was.
const PROVEN: u8 = 16;

/// The entries of an answer, as they come.
#[derive(Debug, Default)]
pub struct Gathering {
    identities: Identities,
}

/// A listing is believed only so far, in entries.
const LIKELY: u64 = 1 << 14;

impl Gathering {
    /// With room for as many entries as the listing says.
    pub fn of(listed: u64) -> Self {
        Self { identities: Identities::with_capacity(usize::try_from(listed.min(LIKELY)).unwrap_or_default()) }
    }

    pub fn add(&mut self, id: Option<i64>, bytes: &[u8]) {
        self.identities.add(id, bytes);
    }

    /// The answer is whole.
    pub fn finish(self) -> Received {
        Received::of(self.identities.finish())
    }
}

/// The entries of a whole answer.
#[derive(Debug)]
pub struct Received {
    /// Sorted, each content once.
    identities: Vec<Identity>,
    marks: Vec<u8>,
    /// Ids that more than one entry of the answer has, with one content or several.
    repeated: Vec<i64>,
    /// Entries of the answer, exact repeats included.
    pub count: u64,
}

impl Received {
    fn of(mut identities: Vec<Identity>) -> Self {
        let count = identities.len() as u64;
        identities.sort_unstable();
        let mut repeated: Vec<i64> =
            identities.windows(2).filter(|pair| pair[0].id == pair[1].id).map(|pair| pair[0].id).collect();
        repeated.dedup();
        identities.dedup();
        let marks = vec![0; identities.len()];
        Self { identities, marks, repeated, count }
    }

    /// How many different entries there are.
    pub fn distinct(&self) -> usize {
        self.identities.len()
    }

    fn place(&self, identity: &Identity) -> Option<usize> {
        self.identities.binary_search(identity).ok()
    }

    pub fn has_id(&self, id: i64) -> bool {
        let place = self.identities.partition_point(|identity| identity.id < id);
        self.identities.get(place).is_some_and(|identity| identity.id == id)
    }

    fn marked(&self, mark: u8) -> impl Iterator<Item = &Identity> + Clone {
        self.identities.iter().zip(&self.marks).filter(move |(_, marks)| **marks & mark != 0).map(|(one, _)| one)
    }

    /// Ids that more than one entry of this answer has, be their content the same or not.
    pub fn repeated(&self) -> &[i64] {
        &self.repeated
    }

    /// Ids of which another content is archived, beside this one or not.
    pub fn changed(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.marked(CHANGED).map(|identity| identity.id).collect();
        ids.dedup();
        ids
    }

    /// Entries that the archive holds already.
    pub fn held(&self) -> impl Iterator<Item = &Identity> {
        self.marked(HELD)
    }

    /// How many entries the archive does not hold.
    pub fn new_entries(&self) -> usize {
        self.distinct() - self.held().count()
    }

    /// Entries that stand in a raw file that was read back.
    #[cfg(test)]
    pub fn proven(&self) -> impl Iterator<Item = &Identity> {
        self.marked(PROVEN)
    }

    /// Hears of an archived entry; true when the answer has it too.
    pub(super) fn meet(&mut self, archived: &Identity) -> bool {
        let from = self.identities.partition_point(|identity| identity.id < archived.id);
        let mut met = false;
        for (identity, marks) in self.identities[from..].iter().zip(&mut self.marks[from..]) {
            if identity.id != archived.id {
                break;
            }
            met |= identity == archived;
            *marks |= if identity == archived { HELD } else { CHANGED };
        }
        met
    }

    /// True once for each entry that is to be archived.
    pub(super) fn take_new(&mut self, identity: &Identity) -> bool {
        let Some(place) = self.place(identity) else { return false };
        let new = self.marks[place] & (HELD | WRITTEN) == 0;
        if new {
            self.marks[place] |= WRITTEN;
        }
        new
    }

    /// The whole answer is what is archived.
    pub(super) fn take_all(&mut self) {
        for marks in &mut self.marks {
            *marks |= WRITTEN;
        }
    }

    /// A raw file that is being read back holds this entry.
    pub(super) fn find(&mut self, identity: &Identity) {
        if let Some(place) = self.place(identity) {
            self.marks[place] |= FOUND;
        }
    }

    /// The raw file that was read back is what it was, or not: only then do the entries found in it count.
    pub(super) fn settle(&mut self, sound: bool) {
        for marks in &mut self.marks {
            if *marks & FOUND != 0 {
                *marks = (*marks & !FOUND) | if sound { PROVEN } else { 0 };
            }
        }
    }

    /// The raw file that was made was read back and is what was written.
    pub(super) fn prove_written(&mut self) {
        for marks in &mut self.marks {
            if *marks & WRITTEN != 0 {
                *marks |= PROVEN;
            }
        }
    }

    /// Nothing new was left out of the raw file that is being made.
    pub(super) fn is_all_held_or_written(&self) -> bool {
        self.marks.iter().all(|marks| marks & (HELD | WRITTEN) != 0)
    }

    pub(super) fn written(&self) -> impl Iterator<Item = &Identity> + Clone {
        self.marked(WRITTEN)
    }

    /// What was thought to be archived but could not be proven has to be archived again.
    pub(super) fn doubt_unproven(&mut self) {
        for marks in &mut self.marks {
            if *marks & PROVEN == 0 {
                *marks &= !HELD;
            }
        }
    }

    /// The proven entries alone.
    pub(super) fn into_proven(self) -> Vec<Identity> {
        let Self { mut identities, marks, .. } = self;
        let mut marks = marks.iter();
        identities.retain(|_| marks.next().is_some_and(|marks| marks & PROVEN != 0));
        identities
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity(id: i64, content: u8) -> Identity {
        Identity { id, hash: [content; 32] }
    }

    #[test]
    fn ids_that_repeat_or_came_back_changed_are_told() {
        let entries = [(3, 1), (1, 1), (2, 1), (1, 2), (1, 2)];
        let mut received = Received::of(entries.map(|(id, content)| identity(id, content)).to_vec());
        assert_eq!((received.count, received.distinct(), received.repeated()), (5, 4, &[1][..]));
        assert!(received.meet(&identity(2, 1)));
        assert!(!received.meet(&identity(3, 9)));
        assert!(!received.meet(&identity(8, 9)));
        assert_eq!((received.changed(), received.new_entries()), (vec![3], 3));
        assert!(received.meet(&identity(3, 1)));
        assert_eq!((received.changed(), received.new_entries()), (vec![3], 2));
    }

    #[test]
    fn what_was_found_counts_only_when_the_file_is_sound() {
        let mut received = Received::of(vec![identity(1, 1), identity(2, 1)]);
        assert!(received.take_new(&identity(1, 1)) && !received.take_new(&identity(1, 1)));
        received.find(&identity(1, 1));
        received.settle(false);
        assert_eq!(received.proven().count(), 0);
        received.find(&identity(1, 1));
        received.settle(true);
        assert_eq!(received.into_proven(), [identity(1, 1)]);
    }

    proptest! {
        #[test]
        fn nothing_is_both_new_and_held(answer in prop::collection::vec((0..6_i64, 0..3_u8), 0..20),
                                       archive in prop::collection::vec((0..6_i64, 0..3_u8), 0..20)) {
            let mut received = Received::of(answer.iter().map(|(id, content)| identity(*id, *content)).collect());
            for (id, content) in &archive {
                received.meet(&identity(*id, *content));
            }
            for (id, content) in &answer {
                let known = archive.contains(&(*id, *content));
                prop_assert_eq!(received.held().any(|held| *held == identity(*id, *content)), known);
                let other = answer.iter().any(|(one, mine)| {
                    one == id && archive.iter().any(|(other, hash)| other == id && hash != mine)
                });
                prop_assert_eq!(received.changed().contains(id), other);
            }
        }
    }
}

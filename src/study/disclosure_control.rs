//! What a report keeps to itself when it is asked to: who the participants are, and counts so small that they point at someone.

use std::collections::BTreeMap;

/// What a report task says of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct DisclosureControl {
    /// Ids are replaced by names that hold for this state of the data only.
    pub pseudonyms: bool,
    /// Counts from 1 up to this, itself not included, are not told; 0 tells all.
    pub least_cell: u64,
}

impl DisclosureControl {
    pub fn hides(self, count: u64) -> bool {
        count > 0 && count < self.least_cell
    }

    /// A count as it may be told.
    pub fn count(self, count: u64) -> String {
        if self.hides(count) { self.hidden() } else { count.to_string() }
    }

    /// What stands for a count that is not told.
    pub fn hidden(self) -> String {
        format!("<{}", self.least_cell)
    }
}

/// Gives each id its name. The key is made of data that the report does not show: without it nobody can try ids out, and
/// with the same data it is the same everywhere.
#[derive(Clone)]
pub struct Pseudonyms {
    key: [u8; 32],
}

const CONTEXT: &str = "mtdata report pseudonyms 1";
/// Without letters that are taken for another.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl Pseudonyms {
    /// `secret`: what only those can read who can read the ids, too.
    ///
    /// # Errors
    /// Whatever reading it says.
    pub fn new(secret: impl IntoIterator<Item = impl std::io::Read>) -> std::io::Result<Self> {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        for part in secret {
            hasher.update_reader(part)?;
        }
        Ok(Self { key: *hasher.finalize().as_bytes() })
    }

    /// Ten letters after a P: among a million participants two alike come once in two thousand reports.
    pub fn name(&self, id: &str) -> String {
        let hash = blake3::keyed_hash(&self.key, id.as_bytes());
        let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
        ['P'].into_iter().chain(hash.as_bytes().iter().take(10).map(letter)).collect()
    }

    /// By pseudonym, who is meant: for those who may know.
    pub fn key_for<'i>(&self, ids: impl Iterator<Item = &'i str>) -> BTreeMap<String, String> {
        ids.map(|id| (self.name(id), id.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_data_give_other_names_and_the_same_data_the_same() {
        let of = |secret: &str, id: &str| Pseudonyms::new([secret.as_bytes()]).unwrap().name(id);
        assert_eq!(of("monday", "100"), of("monday", "100"));
        assert_ne!(of("monday", "100"), of("tuesday", "100"));
        assert_ne!(of("monday", "100"), of("monday", "101"));
        assert!(of("monday", "100").len() == 11 && !of("monday", "100").contains("100"));
    }

    #[test]
    fn none_is_told_and_few_are_not() {
        let disclosure = DisclosureControl { least_cell: 5, ..DisclosureControl::default() };
        assert_eq!([0, 1, 4, 5].map(|count| disclosure.count(count)), ["0", "<5", "<5", "5"]);
        assert_eq!(DisclosureControl::default().count(1), "1");
    }
}

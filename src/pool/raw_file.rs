//! Reading a raw file in any of its shapes: one array, several appended ones, or a day's object of arrays.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::disk::atomic;
use crate::disk::hashing::Hashing;
use crate::pool::raw_reader::{self, Damage, Piece};
use crate::study::entry::Broken;

/// What a raw file was found to be.
#[derive(Debug)]
pub struct Reading {
    pub hash: blake3::Hash,
    /// In bytes.
    pub size: u64,
    /// The first damage; all entries that are whole were given out.
    pub result: Result<(), Broken>,
    /// In how many places it is damaged.
    pub places: u64,
    /// So many bytes belong to no whole entry.
    pub lost: u64,
}

/// As [`each_entry`], with the hash of the whole file, from one reading. Asks the kernel to read from the device
/// rather than from its memory of what was just written.
pub fn read_back(path: &Path, use_entry: impl FnMut(Option<i64>, &[u8])) -> io::Result<Reading> {
    let mut source = Hashing::new(open_back(path)?);
    let (mut places, mut lost) = (0, 0);
    let count = |damage: &Damage<'_>| {
        places += 1;
        lost += damage.bytes.len() as u64;
    };
    let result = match pieces_of(&mut source, use_entry, count) {
        Err(Broken::Io(error)) => return Err(error),
        result => result,
    };
    // Damage ends the entries, not the bytes.
    io::copy(&mut source, &mut io::sink())?;
    Ok(Reading { hash: source.hash(), size: source.size(), result, places, lost })
}

/// The hash and size of what the device holds of a raw file, as [`read_back`] would find them.
pub fn hash_back(path: &Path) -> io::Result<(blake3::Hash, u64)> {
    let file = open_back(path)?;
    atomic::hash_of(&file)
}

fn open_back(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    // Advice only; a file system that cannot follow it still gives the file's bytes.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    Ok(file)
}

#[cfg(test)]
fn each_entry_of(source: impl Read, use_entry: impl FnMut(Option<i64>, &[u8])) -> Result<(), Broken> {
    pieces_of(source, use_entry, |_| {})
}

fn pieces_of(
    source: impl Read,
    mut use_entry: impl FnMut(Option<i64>, &[u8]),
    mut use_damage: impl FnMut(&Damage<'_>),
) -> Result<(), Broken> {
    let mut broken = None;
    raw_reader::each(source, |piece| match piece {
        Piece::Object { id, bytes, .. } => use_entry(id, bytes),
        Piece::Damage(damage) => {
            use_damage(&damage);
            broken.get_or_insert(Broken::Shape { at: damage.at, what: damage.why });
        }
    })
    .map_err(Broken::Io)?;
    broken.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::study::entry::Entries;

    fn ids(text: &str) -> (Vec<Option<i64>>, bool) {
        let mut ids = Vec::new();
        let result = each_entry_of(text.as_bytes(), |id, _| ids.push(id));
        (ids, result.is_ok())
    }

    #[test]
    fn every_shape_is_read() {
        assert_eq!(ids("[{\"id\":1},\n{\"id\":2}]\n"), (vec![Some(1), Some(2)], true));
        assert_eq!(ids(r#" {"OA_08":[{"id":3}],"OA_09":[{"id":4}]}"#), (vec![Some(3), Some(4)], true));
        assert_eq!(ids("[{\"id\":1}][{\"id\":2}]\n[]"), (vec![Some(1), Some(2)], true));
        assert_eq!(ids("[]"), (vec![], true));
        assert_eq!(ids("[{\"id\":1}][{\"id\":2"), (vec![Some(1)], false));
        assert_eq!(ids(""), (vec![], false));
    }

    /// What of an answer was taken for an entry is one for every later reader of the raw file: an export reads back
    /// bytes and parses them no second time.
    #[test]
    fn the_entries_of_an_answer_are_those_of_its_raw_file() {
        let object = prop::collection::btree_map("[ -~é\u{0}-\u{1f}]{0,4}", value(), 0..5);
        let space = prop::sample::select(vec!["", " ", "\n", "\r\n\t"]);
        proptest!(|(objects in prop::collection::vec(object, 0..6), pretty: bool, space in space)| {
            let text = if pretty { serde_json::to_string_pretty(&objects) } else { serde_json::to_string(&objects) };
            let text = format!("{space}{}{space}", text.unwrap());
            let (mut answer, mut taken) = (Entries::new(text.as_bytes()), Vec::new());
            while let Some(entry) = answer.next() {
                let entry = entry.unwrap();
                taken.push((entry.id, entry.bytes.to_vec()));
            }
            let mut read = Vec::new();
            each_entry_of(text.as_bytes(), |id, bytes| read.push((id, bytes.to_vec()))).unwrap();
            prop_assert_eq!(taken, read);
        });
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf =
            prop_oneof![any::<i64>().prop_map(Into::into), ".*".prop_map(serde_json::Value::from), Just(true.into())];
        leaf.prop_recursive(3, 8, 3, |inner| prop::collection::vec(inner, 0..3).prop_map(serde_json::Value::from))
    }

    #[test]
    fn a_file_is_hashed_to_its_end_even_when_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("OA_2026-11-23_08-00-00.json");
        let text = format!("[{{\"id\":1}}, {}", "x".repeat(200_000));
        std::fs::write(&path, &text).unwrap();
        let mut count = 0;
        let reading = read_back(&path, |_, _| count += 1).unwrap();
        assert_eq!((reading.hash, reading.size, count), (blake3::hash(text.as_bytes()), text.len() as u64, 1));
        assert!(matches!(reading.result, Err(Broken::Shape { .. })));
    }
}

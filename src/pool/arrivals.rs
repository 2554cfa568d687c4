//! Which raw file brought which content of an id, in the order of their arrival: what came first, and what came again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::disk::sorting::{Fixed, Merge, Sorter, long, short};
use crate::pool::identity::NO_ID;
use crate::pool::index::Index;
use crate::pool::paths::raw_name;

/// One archived content of one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Archived {
    pub id: i64,
    /// Of the hash of its bytes.
    pub content: u64,
    /// Its place among all, in the order of their arrival.
    pub file: u32,
}

impl Fixed for Archived {
    const SIZE: usize = 20;

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.content.to_le_bytes());
        out.extend_from_slice(&self.file.to_le_bytes());
    }

    fn take(bytes: &[u8]) -> Self {
        Self { id: long(bytes, 0).cast_signed(), content: long(bytes, 8), file: short(bytes, 16) }
    }
}

/// Names of raw files in the order of their arrival, and what they hold by id. What does not fit into memory goes to
/// files without name in `folder`.
pub fn sorted(index: &Index, folder: &Path) -> io::Result<(Vec<String>, Merge<Archived>)> {
    let mut by_time: Vec<_> = index.files.iter().collect();
    by_time.sort_by_cached_key(|(name, _)| {
        let dated = raw_name(name);
        (dated.map(|dated| (dated.date, dated.time, dated.repeat)), (*name).clone())
    });
    let mut sorter = Sorter::new(folder);
    let mut files = Vec::new();
    for (name, record) in by_time {
        let file = u32::try_from(files.len()).unwrap_or(u32::MAX);
        files.push(name.clone());
        let mut result = Ok(());
        index.each_of(record, |identity| {
            if identity.id != NO_ID && result.is_ok() {
                result = sorter.push(Archived { id: identity.id, content: long(&identity.hash, 0), file });
            }
        })?;
        result?;
    }
    Ok((files, Merge::new([sorter])?))
}

/// How many entries of each raw file had come before, in it or an earlier one: pools of the first generation have many.
pub fn repeats(index: &Index, folder: &Path) -> io::Result<BTreeMap<String, u64>> {
    let (files, mut all) = sorted(index, folder)?;
    let mut repeats = BTreeMap::new();
    let mut last: Option<Archived> = None;
    while let Some(next) = all.take()? {
        let again = last.is_some_and(|last| (last.id, last.content) == (next.id, next.content));
        if let Some(file) = files.get(next.file as usize).filter(|_| again) {
            *repeats.entry(file.clone()).or_default() += 1;
        }
        last = Some(next);
    }
    Ok(repeats)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pool::paths::ServerFolder;
    use crate::study::name::ScaleName;

    #[test]
    fn what_came_before_is_a_repeat_and_another_content_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        fs::create_dir_all(server.raw()).unwrap();
        let raw = |name: &str, text: &str| fs::write(server.raw().join(name), text).unwrap();
        // Names of the first generation do not sort by their days.
        raw("OA_Aug_25_2015_08_54_35.json", r#"[{"id":1},{"id":2},{"id":2}]"#);
        raw("OA_29_10_2015.json", r#"[{"id":1},{"id":2,"a":1},{"id":3}]"#);
        let index = Index::open(&server, &ScaleName::new("OA").unwrap()).unwrap();
        let repeats = repeats(&index, folder.path()).unwrap();
        let expected = [("OA_29_10_2015.json", 1), ("OA_Aug_25_2015_08_54_35.json", 1)];
        assert_eq!(repeats, expected.map(|(name, count)| (name.to_owned(), count)).into());
    }
}

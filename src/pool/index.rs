//! What is archived under which content: per scale the id and hash of every entry of every raw file. Rebuildable; what does
//! not fit the raw files that are there is not believed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::disk::append_log::AppendLog;
use crate::disk::atomic;
use crate::disk::stamp::{self, Stamp};
use crate::pool::identity::{Identities, Identity, NO_ID};
use crate::pool::paths::{ServerFolder, raw_name};
use crate::pool::raw_file::read_back;
use crate::pool::received::Received;
use crate::pool::segments::{
    Care, ENTRY, FileRecord, MAGIC, SAME_ENTRIES, Segments, each_at, header, index_files, look, path_of, read_segments,
};
use crate::study::name::ScaleName;

/// The index of one scale.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    /// Raw files that are there and are what was recorded, by name.
    pub files: BTreeMap<String, FileRecord>,
    /// Raw files whose entries could not all be read or that are not what was recorded, and why.
    pub damaged: Vec<(String, String)>,
    /// Raw files that were recorded and are no longer there.
    pub gone: Vec<String>,
    /// Where the sound part of the index ends.
    end: u64,
}

/// So many bytes are written at once.
const PART: usize = 1 << 16;

impl Index {
    /// Reads a scale's index and brings it up to the raw files that are there.
    ///
    /// # Errors
    /// Whatever the file system says; a damaged index is mended, not an error.
    pub fn open(folder: &ServerFolder, scale: &ScaleName) -> io::Result<Self> {
        let path = path_of(folder, scale);
        let Segments { all, end, .. } = read_segments(&path, Care::Sums)?;
        let mut recorded: BTreeMap<String, Vec<FileRecord>> = BTreeMap::new();
        for (name, record) in all {
            recorded.entry(name).or_default().push(record);
        }
        let mut index = Self { path, files: BTreeMap::new(), damaged: Vec::new(), gone: Vec::new(), end };
        let there = raw_files(folder, scale)?;
        index.gone = recorded.keys().filter(|name| !there.contains_key(*name)).cloned().collect();
        for (name, stamp) in there {
            let path = folder.raw().join(&name);
            let Some(mut records) = recorded.remove(&name) else {
                index.adopt(&path, &name)?;
                continue;
            };
            // A file that was put back is again what an older record says.
            records.retain(|record| record.size == stamp.size);
            match records.iter().rfind(|record| record.stamp == stamp) {
                Some(record) => drop(index.files.insert(name, record.clone())),
                // A matter for recover: what was recorded of it stays as evidence, but no entry of it counts.
                None if records.is_empty() => {
                    index.damaged.push((name, "has another size than recorded".to_owned()));
                }
                None => index.look_again(&path, name, &records)?,
            }
        }
        Ok(index)
    }

    /// A file of the same size that was touched since is read: copied pools look new and are what they were.
    fn look_again(&mut self, path: &Path, name: String, records: &[FileRecord]) -> io::Result<()> {
        let stamp = at_rest(path)?;
        let (hash, size) = match atomic::hash_file(path) {
            Ok(found) => found,
            Err(error) => {
                self.damaged.push((name, error.to_string()));
                return Ok(());
            }
        };
        let same = |record: &&FileRecord| (*hash.as_bytes(), size) == (record.hash, record.size);
        let Some(record) = records.iter().rfind(same) else {
            self.damaged.push((name, "has the size but not the content that was recorded".to_owned()));
            return Ok(());
        };
        let record = FileRecord { stamp, ..record.clone() };
        if stamp != Stamp::default() {
            self.write(&header(&name, &record, SAME_ENTRIES), std::iter::empty())?;
        }
        self.files.insert(name, record);
        Ok(())
    }

    /// Records a raw file that is there as it is now. What was recorded of it before stays, as evidence of what it was.
    pub fn record_again(&mut self, folder: &ServerFolder, name: &str) -> io::Result<()> {
        self.damaged.retain(|(damaged, _)| damaged != name);
        self.adopt(&folder.raw().join(name), name)
    }

    /// Cuts off what is no longer sound.
    pub fn mend(&self) -> io::Result<()> {
        self.open_log().map(|_| ())
    }

    /// How many entries are recorded of each scale, those that old raw files repeat as often as they do: telling them
    /// apart would read everything, and every run asks. Looks at no raw file and at no entry, and writes nothing.
    pub fn recorded(folder: &ServerFolder) -> io::Result<BTreeMap<String, u64>> {
        let mut scales = BTreeMap::new();
        for (scale, path) in index_files(folder)? {
            let files: BTreeMap<String, FileRecord> = read_segments(&path, Care::Heads)?.all.into_iter().collect();
            scales.insert(scale, files.values().map(|record| record.count).sum());
        }
        Ok(scales)
    }

    fn adopt(&mut self, path: &Path, name: &str) -> io::Result<()> {
        let stamp = at_rest(path)?;
        let mut entries = Identities::default();
        let reading = read_back(path, |id, bytes| entries.add(id, bytes))?;
        if let Err(broken) = reading.result {
            self.damaged.push((name.to_owned(), broken.to_string()));
        }
        self.record(path, stamp, reading.size, *reading.hash.as_bytes(), entries.finish().iter())
    }

    /// Adds a raw file that this process wrote and read back.
    ///
    /// # Errors
    /// Whatever the file system says; the raw file is then read again when the index is opened next.
    pub fn append<'e>(
        &mut self,
        path: &Path,
        size: u64,
        hash: [u8; 32],
        entries: impl Iterator<Item = &'e Identity> + Clone,
    ) -> io::Result<()> {
        let stamp = look(path)?.unwrap_or_default();
        self.record(path, stamp, size, hash, entries)
    }

    fn record<'e>(
        &mut self,
        path: &Path,
        stamp: Stamp,
        size: u64,
        hash: [u8; 32],
        entries: impl Iterator<Item = &'e Identity> + Clone,
    ) -> io::Result<()> {
        let highest = entries.clone().map(|identity| identity.id).filter(|id| *id != NO_ID).max();
        let count = entries.clone().count() as u64;
        let mut record = FileRecord { size, hash, count, highest, stamp, at: 0 };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        record.at = self.write(&header(name, &record, count), entries)?;
        self.files.insert(name.to_owned(), record);
        Ok(())
    }

    /// Appends a segment; where its entries begin.
    fn write<'e>(&mut self, header: &[u8], entries: impl Iterator<Item = &'e Identity>) -> io::Result<u64> {
        let beginning: &[u8] = if self.end == 0 { MAGIC } else { b"" };
        let mut log = self.open_log()?;
        log.append(|file| {
            let mut out = BufWriter::with_capacity(PART, file);
            // The file's mark belongs to no segment, and so to no sum.
            out.write_all(beginning)?;
            out.write_all(header)?;
            let mut sum = crc32fast::Hasher::new();
            sum.update(header);
            for identity in entries {
                let mut bytes = [0; ENTRY];
                bytes[..8].copy_from_slice(&identity.id.to_le_bytes());
                bytes[8..].copy_from_slice(&identity.hash);
                sum.update(&bytes);
                out.write_all(&bytes)?;
            }
            out.write_all(&sum.finalize().to_le_bytes())?;
            out.flush()
        })?;
        let at = self.end + (beginning.len() + header.len()) as u64;
        self.end = log.length()?;
        Ok(at)
    }

    /// Opens the index for appending, cut off where it is no longer sound. It is not synced: its sums tell after a
    /// crash what of it can be believed, and the raw files are the truth.
    fn open_log(&self) -> io::Result<AppendLog> {
        AppendLog::of_frames(&self.path, self.end)
    }

    /// Calls `use_entry` with each recorded entry of one raw file.
    pub fn each_of(&self, record: &FileRecord, use_entry: impl FnMut(Identity)) -> io::Result<()> {
        if record.count == 0 {
            return Ok(());
        }
        each_at(&mut File::open(&self.path)?, record, use_entry)
    }

    /// Marks what of an answer is archived already; the names of the raw files that hold it.
    pub fn compare(&self, received: &mut Received) -> io::Result<BTreeSet<String>> {
        let mut concerned = BTreeSet::new();
        if self.files.is_empty() || received.distinct() == 0 {
            return Ok(concerned);
        }
        let mut file = File::open(&self.path)?;
        for (name, record) in &self.files {
            let mut met = false;
            each_at(&mut file, record, |archived| met |= received.meet(&archived))?;
            if met {
                concerned.insert(name.clone());
            }
        }
        Ok(concerned)
    }

    /// Archived ids that an answer does not have, in order.
    pub fn missing_from(&self, received: &Received) -> io::Result<Vec<i64>> {
        let mut missing = Vec::new();
        for record in self.files.values() {
            self.each_of(record, |archived| {
                if archived.id != NO_ID && !received.has_id(archived.id) {
                    missing.push(archived.id);
                }
            })?;
        }
        missing.sort_unstable();
        missing.dedup();
        Ok(missing)
    }

    /// The highest id that is archived; 0 for none.
    pub fn highest(&self) -> i64 {
        self.files.values().filter_map(|record| record.highest).max().unwrap_or_default().max(0)
    }

    /// How many different entries are archived.
    #[cfg(test)]
    pub fn distinct(&self) -> io::Result<usize> {
        let mut seen = std::collections::HashSet::new();
        for record in self.files.values() {
            self.each_of(record, |identity| {
                seen.insert(identity);
            })?;
        }
        Ok(seen.len())
    }
}

/// How a raw file looks that is about to be read; zeros when it may be written again without looking otherwise.
fn at_rest(path: &Path) -> io::Result<Stamp> {
    Ok(look(path)?.filter(|stamp| stamp.is_at_rest(stamp::now())).unwrap_or_default())
}

fn raw_files(folder: &ServerFolder, scale: &ScaleName) -> io::Result<BTreeMap<String, Stamp>> {
    let mut files = BTreeMap::new();
    let entries = match fs::read_dir(folder.raw()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if let Some(name) =
            entry.file_name().to_str().filter(|name| raw_name(name).is_some_and(|d| d.scale == scale.as_str()))
        {
            files.extend(look(&entry.path())?.map(|stamp| (name.to_owned(), stamp)));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::history::History;
    use crate::pool::received::Gathering;

    fn pool() -> (tempfile::TempDir, ServerFolder, ScaleName) {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        fs::create_dir_all(server.raw()).unwrap();
        (folder, server, ScaleName::new("OA").unwrap())
    }

    fn answer(texts: &[(i64, &str)]) -> Received {
        let mut gathering = Gathering::default();
        for (id, text) in texts {
            gathering.add(Some(*id), text.as_bytes());
        }
        gathering.finish()
    }

    #[test]
    fn existing_raw_files_of_all_shapes_are_adopted() {
        let (_folder, server, scale) = pool();
        fs::write(server.raw().join("OA_Aug_25_2015_08_54_35.json"), r#"[{"id":1},{"id":2}]"#).unwrap();
        fs::write(server.raw().join("OA_Aug_26_2015_08_54_35.json"), r#"[{"id":2}][{"id":5}]"#).unwrap();
        fs::write(server.raw().join("OA_29_10_2015.json"), r#"{"OA_08":[{"id":3}],"OA_09":[{"id":4}]}"#).unwrap();
        fs::write(server.raw().join("OA_FU_2026-11-23_00-00-00.json"), r#"[{"id":9}]"#).unwrap();
        let index = Index::open(&server, &scale).unwrap();
        assert_eq!((index.distinct().unwrap(), index.highest(), index.files.len()), (5, 5, 3));
        let mut received = answer(&[(3, r#"{"id":3}"#), (4, r#"{"id":4,"a":1}"#), (9, r#"{"id":9}"#)]);
        let concerned = index.compare(&mut received).unwrap();
        assert_eq!(concerned.into_iter().collect::<Vec<_>>(), ["OA_29_10_2015.json"]);
        assert_eq!((received.new_entries(), received.changed()), (2, vec![4]));
        assert_eq!(index.missing_from(&received).unwrap(), [1, 2, 5]);
        std::thread::sleep(std::time::Duration::from_millis(30));
        let settled = Index::open(&server, &scale).unwrap();
        assert_eq!(Index::open(&server, &scale).unwrap().files, settled.files);
    }

    #[test]
    fn a_changed_raw_file_holds_nothing_and_one_that_is_gone_neither() {
        let (_folder, server, scale) = pool();
        let raw = server.raw().join("OA_2026-11-23_08-00-00.json");
        fs::write(&raw, r#"[{"id":1}]"#).unwrap();
        assert_eq!(Index::open(&server, &scale).unwrap().highest(), 1);
        fs::write(&raw, r#"[{"id":1},{"id":2}]"#).unwrap();
        let changed = Index::open(&server, &scale).unwrap();
        assert_eq!((changed.files.len(), changed.damaged.len()), (0, 1));
        let mut accepted = changed;
        accepted.record_again(&server, "OA_2026-11-23_08-00-00.json").unwrap();
        assert_eq!((accepted.files.len(), accepted.damaged.len(), accepted.highest()), (1, 0, 2));
        assert_eq!(Index::open(&server, &scale).unwrap().highest(), 2);
        let history = History::read(&server, &scale).unwrap();
        assert_eq!(history.first()["OA_2026-11-23_08-00-00.json"].count, 1);
        fs::write(&raw, r#"[{"id":1}]"#).unwrap();
        let restored = Index::open(&server, &scale).unwrap();
        assert_eq!((restored.highest(), restored.damaged.len()), (1, 0));
        fs::remove_file(&raw).unwrap();
        let gone = Index::open(&server, &scale).unwrap();
        assert_eq!((gone.files.len(), gone.damaged.len(), gone.gone.len()), (0, 0, 1));
    }

    #[test]
    fn an_altered_file_of_the_same_size_is_noticed_and_a_touched_one_is_read_once() {
        let (_folder, server, scale) = pool();
        let raw = server.raw().join("OA_2026-11-23_08-00-00.json");
        fs::write(&raw, r#"[{"id":1},{"id":2}]"#).unwrap();
        assert_eq!(Index::open(&server, &scale).unwrap().highest(), 2);
        let touch = |day: u64| {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(day * 86_400);
            File::options().append(true).open(&raw).unwrap().set_modified(time).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(30));
        };
        touch(1);
        let touched = Index::open(&server, &scale).unwrap();
        assert_eq!((touched.distinct().unwrap(), touched.damaged.len()), (2, 0));
        let length = fs::metadata(&touched.path).unwrap().len();
        assert_eq!(Index::open(&server, &scale).unwrap().files, touched.files);
        assert_eq!(fs::metadata(&touched.path).unwrap().len(), length);
        fs::write(&raw, r#"[{"id":1},{"id":3}]"#).unwrap();
        touch(1);
        let altered = Index::open(&server, &scale).unwrap();
        assert_eq!((altered.files.len(), altered.damaged.len()), (0, 1));
        fs::write(&raw, r#"[{"id":1},{"id":2}]"#).unwrap();
        assert_eq!(Index::open(&server, &scale).unwrap().highest(), 2);
    }

    /// Cut anywhere, or any byte of it changed: what the index says afterwards is what the raw files say.
    #[test]
    fn a_damaged_index_is_mended() {
        let (_folder, server, scale) = pool();
        for (second, text) in [r#"[{"id":1},{"id":2}]"#, r#"[{"id":3}]"#].iter().enumerate() {
            fs::write(server.raw().join(format!("OA_2026-11-23_08-00-0{second}.json")), text).unwrap();
        }
        let expected = Index::open(&server, &scale).unwrap();
        let whole = fs::read(&expected.path).unwrap();
        let identities = |index: &Index| {
            let mut all = Vec::new();
            for record in index.files.values() {
                index.each_of(record, |identity| all.push(identity)).unwrap();
            }
            all
        };
        let wanted = identities(&expected);
        let damage = (0..whole.len()).flat_map(|at| {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x41;
            [whole[..at].to_vec(), flipped]
        });
        for bytes in damage {
            fs::write(&expected.path, bytes).unwrap();
            let mended = Index::open(&server, &scale).unwrap();
            assert_eq!(identities(&mended), wanted);
            let again = Index::open(&server, &scale).unwrap();
            assert_eq!(identities(&again), wanted);
        }
    }
}

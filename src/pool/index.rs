//! What is archived under which content: per scale the id and hash of every entry of every raw file, rebuildable.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::pool::atomic;
use crate::pool::paths::{ServerFolder, raw_name};
use crate::study::entry::{Broken, Entries};
use crate::study::name::ScaleName;

/// An entry by id and the hash of its bytes. Entries without an id are kept under [`NO_ID`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    pub id: i64,
    pub hash: [u8; 32],
}

/// Stands for the id of an entry that has none.
pub const NO_ID: i64 = i64::MIN;

impl Identity {
    #[must_use]
    pub fn of(id: Option<i64>, bytes: &[u8]) -> Self {
        Self { id: id.unwrap_or(NO_ID), hash: *blake3::hash(bytes).as_bytes() }
    }
}

/// What is recorded of one raw file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    pub size: u64,
    /// Of the whole file.
    pub hash: [u8; 32],
    pub entries: Vec<Identity>,
}

/// The index of one scale.
#[derive(Debug, Clone)]
pub struct Index {
    path: PathBuf,
    /// By name of the raw file.
    pub files: BTreeMap<String, FileRecord>,
    /// Of all files.
    held: HashSet<Identity>,
    /// Raw files whose entries could not all be read, and why.
    pub damaged: Vec<(String, String)>,
}

const MAGIC: &[u8; 8] = b"mtindex1";

impl Index {
    /// Reads a scale's index and brings it up to the raw files that are there.
    ///
    /// # Errors
    /// Whatever the file system says; a damaged index is rebuilt, not an error.
    pub fn open(folder: &ServerFolder, scale: &ScaleName) -> io::Result<Self> {
        let path = folder.index().join(format!("{scale}.index"));
        let recorded = match fs::read(&path) {
            Ok(bytes) => decode(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let mut index = Self { path, files: recorded, held: HashSet::new(), damaged: Vec::new() };
        let present = raw_files(folder, scale)?;
        let mut changed = index.files.keys().any(|name| !present.contains_key(name));
        index.files.retain(|name, _| present.contains_key(name));
        for (name, size) in present {
            // A file that was changed is a matter for recover: what was recorded of it stays as evidence, but no
            // entry of it counts as held.
            match index.files.get(&name) {
                Some(record) if record.size == size => {}
                Some(_) => index.damaged.push((name, "has another size than recorded".to_owned())),
                None => {
                    let record = index.read_raw(&folder.raw().join(&name), &name)?;
                    index.files.insert(name, record);
                    changed = true;
                }
            }
        }
        for (name, record) in &index.files {
            if !index.damaged.iter().any(|(damaged, why)| damaged == name && why.contains("size")) {
                index.held.extend(record.entries.iter().copied());
            }
        }
        if changed {
            index.write()?;
        }
        Ok(index)
    }

    fn read_raw(&mut self, path: &Path, name: &str) -> io::Result<FileRecord> {
        let (hash, size) = atomic::hash_file(path)?;
        let mut entries = Vec::new();
        let result = each_entry(path, |id, bytes| entries.push(Identity::of(id, bytes)));
        match result {
            Ok(()) => {}
            Err(Broken::Io(error)) => return Err(error),
            Err(broken) => self.damaged.push((name.to_owned(), broken.to_string())),
        }
        Ok(FileRecord { size, hash: *hash.as_bytes(), entries })
    }

    #[must_use]
    pub fn holds(&self, identity: &Identity) -> bool {
        self.held.contains(identity)
    }

    /// The raw file that holds an entry.
    #[must_use]
    pub fn file_of(&self, identity: &Identity) -> Option<&str> {
        let mut files = self.files.iter().filter(|(_, record)| record.entries.contains(identity));
        files.next().map(|(name, _)| name.as_str())
    }

    /// The highest id that is archived; 0 for none.
    #[must_use]
    pub fn highest(&self) -> i64 {
        self.held.iter().map(|identity| identity.id).max().unwrap_or_default().max(0)
    }

    #[must_use]
    pub fn entries(&self) -> usize {
        self.held.len()
    }

    /// Adds a raw file that was just written and read back.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn add(&mut self, name: &str, record: FileRecord) -> io::Result<()> {
        self.held.extend(record.entries.iter().copied());
        self.files.insert(name.to_owned(), record);
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        atomic::write(&self.path, atomic::PRIVATE, &encode(&self.files)).map(|_| ())
    }
}

/// Calls `use_entry` with the id and bytes of each entry of a raw file, in any of its shapes.
///
/// # Errors
/// [`Broken`], after all entries before the damage.
pub fn each_entry(path: &Path, mut use_entry: impl FnMut(Option<i64>, &[u8])) -> Result<(), Broken> {
    let mut file = BufReader::new(File::open(path).map_err(Broken::Io)?);
    if let Some(parts) = daily_object(&mut file)? {
        for part in parts {
            for entry in Entries::new(part.get().as_bytes()) {
                let entry = entry?;
                use_entry(entry.id, &entry.bytes);
            }
        }
        return Ok(());
    }
    let file = File::open(path).map_err(Broken::Io)?;
    for entry in Entries::new(file) {
        let entry = entry?;
        use_entry(entry.id, &entry.bytes);
    }
    Ok(())
}

/// Daily files of the first generation hold one object keyed `<Scale>_<TIME>`, each value an answer.
fn daily_object(file: &mut BufReader<File>) -> Result<Option<Vec<Box<serde_json::value::RawValue>>>, Broken> {
    use std::io::BufRead;
    loop {
        let buffer = file.fill_buf().map_err(Broken::Io)?;
        match buffer.iter().position(|byte| !byte.is_ascii_whitespace()) {
            Some(at) if buffer[at] == b'{' => break,
            Some(_) => return Ok(None),
            None if buffer.is_empty() => return Ok(None),
            None => {
                let length = buffer.len();
                file.consume(length);
            }
        }
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(Broken::Io)?;
    let parts: BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_slice(&text).map_err(|_| Broken::Shape { at: 0, what: "an object that is no JSON begins" })?;
    Ok(Some(parts.into_values().collect()))
}

fn raw_files(folder: &ServerFolder, scale: &ScaleName) -> io::Result<BTreeMap<String, u64>> {
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
            files.insert(name.to_owned(), entry.metadata()?.len());
        }
    }
    Ok(files)
}

fn encode(files: &BTreeMap<String, FileRecord>) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for (name, record) in files {
        out.extend_from_slice(&(name.len() as u64).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&record.size.to_le_bytes());
        out.extend_from_slice(&record.hash);
        out.extend_from_slice(&(record.entries.len() as u64).to_le_bytes());
        for identity in &record.entries {
            out.extend_from_slice(&identity.id.to_le_bytes());
            out.extend_from_slice(&identity.hash);
        }
    }
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<String, FileRecord>> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    let mut files = BTreeMap::new();
    while !rest.is_empty() {
        let length = number(&mut rest)?;
        let name = String::from_utf8(take(&mut rest, length)?.to_vec()).ok()?;
        let size = number(&mut rest)? as u64;
        let hash = <[u8; 32]>::try_from(take(&mut rest, 32)?).ok()?;
        let count = number(&mut rest)?;
        let entries = take(&mut rest, count.checked_mul(40)?)?.chunks_exact(40).map(|chunk| {
            let (id, hash) = chunk.split_first_chunk::<8>()?;
            Some(Identity { id: i64::from_le_bytes(*id), hash: hash.try_into().ok()? })
        });
        files.insert(name, FileRecord { size, hash, entries: entries.collect::<Option<_>>()? });
    }
    Some(files)
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let (head, tail) = rest.split_first_chunk::<8>()?;
    *rest = tail;
    usize::try_from(u64::from_le_bytes(*head)).ok()
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> (tempfile::TempDir, ServerFolder, ScaleName) {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        fs::create_dir_all(server.raw()).unwrap();
        (folder, server, ScaleName::new("OA").unwrap())
    }

    #[test]
    fn existing_raw_files_of_all_shapes_are_adopted() {
        let (_folder, server, scale) = pool();
        fs::write(server.raw().join("OA_Aug_25_2015_08_54_35.json"), r#"[{"id":1},{"id":2}]"#).unwrap();
        fs::write(server.raw().join("OA_29_10_2015.json"), r#"{"OA_08":[{"id":3}],"OA_09":[{"id":4}]}"#).unwrap();
        fs::write(server.raw().join("OA_FU_2026-11-23_00-00-00.json"), r#"[{"id":9}]"#).unwrap();
        let index = Index::open(&server, &scale).unwrap();
        assert_eq!((index.entries(), index.highest()), (4, 4));
        assert!(index.holds(&Identity::of(Some(3), br#"{"id":3}"#)));
        assert_eq!(Index::open(&server, &scale).unwrap().files, index.files);
    }

    #[test]
    fn a_damaged_index_is_rebuilt_and_a_changed_raw_file_holds_nothing() {
        let (_folder, server, scale) = pool();
        let raw = server.raw().join("OA_2026-11-23_08-00-00.json");
        fs::write(&raw, r#"[{"id":1}]"#).unwrap();
        let index = Index::open(&server, &scale).unwrap();
        let mut bytes = fs::read(&index.path).unwrap();
        bytes[20] ^= 1;
        fs::write(&index.path, bytes).unwrap();
        assert_eq!(Index::open(&server, &scale).unwrap().entries(), 1);
        fs::write(&raw, r#"[{"id":1},{"id":2}]"#).unwrap();
        let changed = Index::open(&server, &scale).unwrap();
        assert_eq!((changed.entries(), changed.damaged.len()), (0, 1));
    }
}

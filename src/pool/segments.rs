//! How an index lies on the disk: one file per scale, a segment with a sum for each raw file, only ever appended to. What
//! comes after the first segment that is not whole is not believed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::disk::stamp::Stamp;
use crate::pool::identity::{Identity, NO_ID};
use crate::pool::paths::ServerFolder;
use crate::study::name::ScaleName;

/// What is recorded of one raw file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    pub size: u64,
    /// Of the whole file.
    pub hash: [u8; 32],
    /// Entries, repeats included.
    pub count: u64,
    pub highest: Option<i64>,
    /// How the file looked before it was hashed; zeros when it was not at rest then.
    pub(super) stamp: Stamp,
    /// Where its entries begin in the index.
    pub(super) at: u64,
}

/// How a raw file looks, without its device: a pool may be moved. None when there is no such file.
pub(super) fn look(path: &Path) -> io::Result<Option<Stamp>> {
    Ok(Stamp::of(path)?.map(|stamp| Stamp { device: 0, ..stamp }))
}

pub(super) const MAGIC: &[u8; 8] = b"mtindex3";
/// Bytes of one entry.
pub(super) const ENTRY: usize = 40;
/// In place of a count: no entries follow, only the file's look is new.
pub(super) const SAME_ENTRIES: u64 = u64::MAX;

/// How a segment begins; its entries and the sum of all that follow.
pub(super) fn header(name: &str, record: &FileRecord, count: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(&(name.len() as u64).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&record.size.to_le_bytes());
    out.extend_from_slice(&record.hash);
    out.extend_from_slice(&record.highest.unwrap_or(NO_ID).to_le_bytes());
    out.extend_from_slice(&record.stamp.inode.to_le_bytes());
    out.extend_from_slice(&record.stamp.modified.to_le_bytes());
    out.extend_from_slice(&record.stamp.changed.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out
}

pub(super) fn path_of(folder: &ServerFolder, scale: &ScaleName) -> PathBuf {
    folder.index().join(format!("{scale}.index"))
}

/// Name of the scale and path of each index.
pub(super) fn index_files(folder: &ServerFolder) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(folder.index()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".index"));
        if let Some(scale) = name.filter(|name| !name.starts_with('.')) {
            files.push((scale.to_owned(), path.clone()));
        }
    }
    Ok(files)
}

/// What an index file holds.
pub(super) struct Segments {
    /// In the order they were recorded.
    pub(super) all: Vec<(String, FileRecord)>,
    /// Where its sound part ends; 0 when nothing of it is sound.
    pub(super) end: u64,
    pub(super) length: u64,
}

/// How closely an index is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// Every byte is read and held against its segment's sum.
    Sums,
    /// Entries are passed over unread: for numbers that people look at, and nothing is decided by.
    Heads,
}

pub(super) fn read_segments(path: &Path, care: Care) -> io::Result<Segments> {
    let mut all: Vec<(String, FileRecord)> = Vec::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Segments { all, end: 0, length: 0 }),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let room = if care == Care::Sums { 1 << 16 } else { 1 << 9 };
    let mut source = Summing { source: BufReader::with_capacity(room, file), sum: crc32fast::Hasher::new(), at: 0 };
    let mut magic = [0; 8];
    if source.read_exact(&mut magic).is_err() || magic != *MAGIC {
        return Ok(Segments { all, end: 0, length });
    }
    let mut end = source.at;
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    while let Ok((name, record)) = read_segment(&mut source, length, care) {
        let known = places.entry(name.clone()).or_default();
        if record.count != SAME_ENTRIES {
            known.push(all.len());
            all.push((name, record));
        } else if let Some(&place) = known.iter().rfind(|&&place| all[place].1.hash == record.hash) {
            all[place].1.stamp = record.stamp;
        }
        end = source.at;
    }
    Ok(Segments { all, end, length })
}

fn read_segment(source: &mut Summing, length: u64, care: Care) -> io::Result<(String, FileRecord)> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    source.sum = crc32fast::Hasher::new();
    let name_length = usize::try_from(source.number()?).map_err(|_| bad())?;
    if name_length > 4096 {
        return Err(bad());
    }
    let mut name = vec![0; name_length];
    source.read_exact(&mut name)?;
    let name = String::from_utf8(name).map_err(|_| bad())?;
    let size = source.number()?;
    let mut hash = [0; 32];
    source.read_exact(&mut hash)?;
    let highest = Some(source.number()?.cast_signed()).filter(|id| *id != NO_ID);
    let stamp = Stamp {
        device: 0,
        inode: source.number()?,
        size,
        modified: source.number()?.cast_signed(),
        changed: source.number()?.cast_signed(),
    };
    let count = source.number()?;
    let at = source.at;
    let entries = if count == SAME_ENTRIES { 0 } else { count };
    let bytes = entries.checked_mul(ENTRY as u64).filter(|bytes| at.saturating_add(*bytes) < length).ok_or_else(bad)?;
    match care {
        Care::Sums => drop(io::copy(&mut (&mut *source).take(bytes), &mut io::sink())?),
        Care::Heads => source.pass_over(bytes)?,
    }
    let wanted = source.sum.clone().finalize();
    let mut sum = [0; 4];
    source.read_exact(&mut sum)?;
    if care == Care::Sums && u32::from_le_bytes(sum) != wanted {
        return Err(bad());
    }
    Ok((name, FileRecord { size, hash, count, highest, stamp, at }))
}

struct Summing {
    source: BufReader<File>,
    sum: crc32fast::Hasher,
    at: u64,
}

impl Summing {
    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn pass_over(&mut self, bytes: u64) -> io::Result<()> {
        // At most the length of a file.
        self.source.seek_relative(bytes.cast_signed())?;
        self.at += bytes;
        Ok(())
    }
}

impl Read for Summing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.sum.update(&buffer[..read]);
        self.at += read as u64;
        Ok(read)
    }
}

pub(super) fn each_at(file: &mut File, record: &FileRecord, mut use_entry: impl FnMut(Identity)) -> io::Result<()> {
    file.seek(SeekFrom::Start(record.at))?;
    let mut buffer = vec![0; 40 * 1024];
    let mut left = record.count * ENTRY as u64;
    while left > 0 {
        let part = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        file.read_exact(&mut buffer[..part])?;
        for bytes in buffer[..part].as_chunks::<ENTRY>().0 {
            let (id, hash) = bytes.split_at(8);
            if let (Ok(id), Ok(hash)) = (id.try_into(), hash.try_into()) {
                use_entry(Identity { id: i64::from_le_bytes(id), hash });
            }
        }
        left -= part as u64;
    }
    Ok(())
}

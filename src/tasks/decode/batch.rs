//! A part of a raw file that is decoded at once, all cores on it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use crate::pool::raw_reader::{Care, Piece, Pieces};

/// So many bytes of entries make a batch, unless one entry alone is longer.
const BYTES: usize = 1 << 20;
/// Of the first part of each file, enough to know most columns.
const GLANCE: usize = 1 << 16;

/// What is no entry, and where.
#[derive(Debug)]
pub struct Fragment {
    /// How many entries of the batch come before it.
    pub before: usize,
    pub at: u64,
    pub why: &'static str,
    pub length: usize,
    /// Its beginning.
    pub text: String,
}

/// So much of a damaged part is repeated in the quarantine table, in bytes; the raw file has it all.
const SHOWN: usize = 1 << 16;

/// Entries that follow each other in a raw file.
#[derive(Debug, Default)]
pub struct EntryBatch {
    bytes: Vec<u8>,
    entries: Vec<Range<usize>>,
    pub fragments: Vec<Fragment>,
    /// Where the reading stands, in bytes from the file's beginning.
    pub offset: u64,
}

impl EntryBatch {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.fragments.is_empty()
    }

    pub fn entries(&self) -> &[Range<usize>] {
        &self.entries
    }

    pub fn bytes(&self, entry: &Range<usize>) -> &[u8] {
        &self.bytes[entry.clone()]
    }
}

/// A raw file that is read batch by batch.
pub struct RawBatches {
    pieces: Pieces<File>,
}

impl RawBatches {
    pub fn open(path: &Path, care: Care) -> io::Result<Self> {
        Ok(Self { pieces: Pieces::new(File::open(path)?, care) })
    }

    /// The next entries, in the room of an older batch; none at the end.
    pub fn batch(&mut self, old: EntryBatch) -> io::Result<EntryBatch> {
        self.read(BYTES, old)
    }

    /// A few first entries.
    pub fn glance(&mut self) -> io::Result<EntryBatch> {
        self.read(GLANCE, EntryBatch::default())
    }

    fn read(&mut self, most: usize, old: EntryBatch) -> io::Result<EntryBatch> {
        let EntryBatch { mut bytes, mut entries, .. } = old;
        entries.clear();
        bytes.clear();
        // A single long entry is no reason to keep its room.
        bytes.shrink_to(most * 2);
        bytes.reserve(most + most / 8);
        let mut batch = EntryBatch { bytes, entries, ..EntryBatch::default() };
        while batch.bytes.len() < most && batch.fragments.len() < 1024 {
            match self.pieces.next()? {
                None => break,
                Some(Piece::Object { at, bytes, .. }) => {
                    let start = batch.bytes.len();
                    batch.bytes.extend_from_slice(bytes);
                    batch.entries.push(start..batch.bytes.len());
                    batch.offset = at + bytes.len() as u64;
                }
                Some(Piece::Damage(damage)) => batch.fragments.push(Fragment {
                    before: batch.entries.len(),
                    at: damage.at,
                    why: damage.why,
                    length: damage.bytes.len(),
                    text: String::from_utf8_lossy(&damage.bytes[..damage.bytes.len().min(SHOWN)]).into_owned(),
                }),
            }
        }
        Ok(batch)
    }
}

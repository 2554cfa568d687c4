//! What raw files once were, by the index: the evidence when one is gone or altered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::pool::identity::Identity;
use crate::pool::paths::ServerFolder;
use crate::pool::segments::{Care, FileRecord, Segments, each_at, index_files, path_of, read_segments};
use crate::study::name::ScaleName;

/// All that was ever recorded of the raw files of one scale, those that are gone included: never rewritten, so the
/// first record of a file says what it was when it was archived or adopted.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    segments: Vec<(String, FileRecord)>,
    /// There is an index at all.
    pub found: bool,
    /// All of it is sound.
    pub whole: bool,
}

impl History {
    pub fn read(folder: &ServerFolder, scale: &ScaleName) -> io::Result<Self> {
        let path = path_of(folder, scale);
        let Segments { all, end, length } = read_segments(&path, Care::Sums)?;
        Ok(Self { found: path.exists(), whole: end == length, path, segments: all })
    }

    /// The first record of each raw file, by name.
    pub fn first(&self) -> BTreeMap<&str, &FileRecord> {
        let mut first = BTreeMap::new();
        for (name, record) in &self.segments {
            first.entry(name.as_str()).or_insert(record);
        }
        first
    }

    /// The highest id that was ever recorded; 0 for none.
    pub fn highest(&self) -> i64 {
        self.segments.iter().filter_map(|(_, record)| record.highest).max().unwrap_or_default().max(0)
    }

    /// Calls `use_entry` with every entry that first stood in a raw file, and the name of that file. What a file held
    /// after it was changed is no evidence.
    pub fn each(&self, mut use_entry: impl FnMut(&str, Identity)) -> io::Result<()> {
        for (name, record) in self.first().into_iter().filter(|(_, record)| record.count > 0) {
            each_at(&mut File::open(&self.path)?, record, |identity| use_entry(name, identity))?;
        }
        Ok(())
    }

    /// Scales that have an index.
    pub fn scales(folder: &ServerFolder) -> io::Result<BTreeSet<ScaleName>> {
        Ok(index_files(folder)?.into_iter().filter_map(|(scale, _)| ScaleName::new(&scale).ok()).collect())
    }
}

//! Which entries a combined table has, and in what order: found by two sorts that need no more memory for more rows.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::cancel::Cancel;
use crate::disk::sorting::{Fixed, Merge, Sorter, long, short};
use crate::failure::Failure;
use crate::pool::arrivals::{Archived, sorted};
use crate::pool::index::Index;
use crate::pool::paths::ServerFolder;
use crate::study::moment;
use crate::study::name::ScaleName;
use crate::study::people::Correction;
use crate::table::rows::{Cells, Rows, put};

/// Stands for an id that is none: such entries are never versions of each other.
pub const NONE: i64 = i64::MAX;

/// A row of an active table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActiveRow {
    pub id: i64,
    /// Milliseconds since 1970; entries without a date come last.
    pub moment: i64,
    /// Of the cells by their columns; absent and empty are the same.
    pub content: u64,
    pub file: u32,
    pub offset: u64,
    pub length: u32,
}

impl Fixed for ActiveRow {
    const SIZE: usize = 40;

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.moment.to_le_bytes());
        out.extend_from_slice(&self.content.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.file.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
    }

    fn take(bytes: &[u8]) -> Self {
        let [id, moment, content, offset] = [0, 8, 16, 24].map(|at| long(bytes, at));
        Self {
            id: id.cast_signed(),
            moment: moment.cast_signed(),
            content,
            offset,
            file: short(bytes, 32),
            length: short(bytes, 36),
        }
    }
}

/// A row of the combined table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CombinedRow {
    pub moment: i64,
    pub id: i64,
    /// The order of arrival among the versions of one id, the content of entries without one.
    pub rank: u64,
    pub file: u32,
    pub offset: u64,
    pub length: u32,
    /// The raw file that brought it, of all there are, or `u32::MAX`.
    pub seen: u32,
    /// How many versions the id has.
    pub same: u32,
    pub current: bool,
}

impl Fixed for CombinedRow {
    const SIZE: usize = 49;

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.moment.to_le_bytes());
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.rank.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        for number in [self.file, self.length, self.seen, self.same] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.push(u8::from(self.current));
    }

    fn take(bytes: &[u8]) -> Self {
        let [moment, id, rank, offset] = [0, 8, 16, 24].map(|at| long(bytes, at));
        let [file, length, seen, same] = [32, 36, 40, 44].map(|at| short(bytes, at));
        let (moment, id) = (moment.cast_signed(), id.cast_signed());
        Self { moment, id, rank, file, offset, length, seen, same, current: bytes.last() == Some(&1) }
    }
}

/// One active table.
pub struct ActiveTable {
    pub path: PathBuf,
    /// Its columns as they stand there.
    pub header: Vec<String>,
    /// It stands without a raw file.
    pub adopted: bool,
}

impl ActiveTable {
    pub fn open(path: PathBuf, adopted: bool) -> Result<Self, Failure> {
        let (_, header) = Self::rows(&path)?;
        Ok(Self { path, header, adopted })
    }

    /// Its rows behind the header, and the header.
    fn rows(path: &Path) -> Result<(Rows<std::fs::File>, Vec<String>), Failure> {
        let failed = |error: io::Error| Failure::read(path, error);
        let mut rows = Rows::open(path).map_err(failed)?;
        let mut cells = Cells::default();
        let mut header = Vec::new();
        if let Some((_, row)) = rows.next_row().map_err(failed)? {
            cells.split(row);
            header.extend((0..cells.len()).map(|at| String::from_utf8_lossy(cells.get(row, at)).into_owned()));
        }
        Ok((rows, header))
    }

    /// Where its columns stand among all columns, which are sorted.
    pub fn places(&self, all: &[String]) -> Vec<usize> {
        self.header.iter().map(|column| all.binary_search(column).unwrap_or_default()).collect()
    }
}

/// All columns of some tables, sorted.
pub fn union(sources: &[ActiveTable]) -> Vec<String> {
    let all: BTreeSet<&String> = sources.iter().flat_map(|source| &source.header).collect();
    all.into_iter().cloned().collect()
}

/// What is read with all tables in view.
pub struct ActiveTables<'r> {
    pub sources: &'r [ActiveTable],
    /// For what does not fit into memory.
    pub folder: &'r Path,
    pub corrections: &'r HashMap<i64, Vec<&'r Correction>>,
    /// All tables have the same columns: equal rows are equal letters, which is told faster than cell by cell.
    pub alike: bool,
    pub cancel: &'r Cancel,
}

impl ActiveTables<'_> {
    /// Every row of every table, by id. Tables are read in parallel.
    pub fn entries(&self) -> Result<Merge<ActiveRow>, Failure> {
        let next = AtomicUsize::new(0);
        let spilled = |error: io::Error| Failure::write(self.folder, error);
        let workers = rayon::current_num_threads().min(self.sources.len()).max(1);
        let sorters = (0..workers).into_par_iter().map(|_| {
            let mut sorter = Sorter::new(self.folder);
            loop {
                let file = next.fetch_add(1, Ordering::Relaxed);
                let Some(source) = self.sources.get(file) else { return Ok(sorter) };
                self.cancel.check()?;
                self.read(source, u32::try_from(file).unwrap_or(u32::MAX), &mut sorter)?;
            }
        });
        Merge::new(sorters.collect::<Result<Vec<_>, Failure>>()?).map_err(spilled)
    }

    fn read(&self, source: &ActiveTable, file: u32, sorter: &mut Sorter<ActiveRow>) -> Result<(), Failure> {
        let path = &source.path;
        let (mut rows, header) = ActiveTable::rows(path)?;
        let at = |name: &str| header.iter().position(|column| column == name);
        let (id_at, date_at) = (at("id"), moment::COLUMNS.iter().find_map(|name| at(name)));
        let needed = id_at.max(date_at).map_or(0, |last| last + 1);
        let mut contents = RowHasher::new(&header, self.alike);
        let mut cells = Cells::default();
        while let Some((place, row)) = rows.next_row().map_err(|error| Failure::read(path, error))? {
            cells.split_first(row, needed);
            let text =
                |at: Option<usize>| at.map(|at| cells.get(row, at)).and_then(|cell| std::str::from_utf8(cell).ok());
            let id = text(id_at).and_then(|id| id.parse().ok()).unwrap_or(NONE);
            let mended = self.corrections.get(&id).and_then(|all| {
                let (name, old) = (&header[date_at?], text(date_at)?);
                all.iter().find(|one| one.column == *name && one.old == old).map(|one| one.new.as_str())
            });
            let moment = mended.or_else(|| text(date_at)).and_then(moment::millis).unwrap_or(i64::MAX);
            let content = contents.of(row, &mut cells);
            let length = u32::try_from(place.length).unwrap_or(u32::MAX);
            let entry = ActiveRow { id, moment, content, file, offset: place.offset, length };
            sorter.push(entry).map_err(|error| Failure::write(self.folder, error))?;
        }
        Ok(())
    }
}

/// Tells equal rows by a number.
enum RowHasher {
    /// Of the letters of the row, as mtdata would write it.
    Letters(Vec<u8>),
    /// Of the cells by their columns: absent and empty are the same, and the order is any.
    Cells(Vec<u64>),
}

impl RowHasher {
    fn new(header: &[String], alike: bool) -> Self {
        if alike {
            return Self::Letters(Vec::new());
        }
        Self::Cells(header.iter().map(|column| xxh3_64_with_seed(column.as_bytes(), 1)).collect())
    }

    /// Of a row whose first cells are split.
    fn of(&mut self, row: &[u8], cells: &mut Cells) -> u64 {
        match self {
            Self::Letters(_) if cells.is_plain() => xxh3_64(row),
            Self::Letters(written) => {
                cells.split(row);
                if cells.is_plain() {
                    return xxh3_64(row);
                }
                written.clear();
                for at in 0..cells.len() {
                    if at > 0 {
                        written.push(b',');
                    }
                    put(written, cells.get(row, at));
                }
                xxh3_64(written)
            }
            Self::Cells(seeds) => {
                cells.split(row);
                seeds.iter().enumerate().fold(0_u64, |sum, (at, seed)| match cells.get(row, at) {
                    b"" => sum,
                    cell => sum.wrapping_add(xxh3_64_with_seed(cell, *seed)),
                })
            }
        }
    }
}

/// In which raw file each version of an id came first; asked id after id.
pub struct FirstSeen {
    /// Names of raw files in the order of their arrival.
    pub files: Vec<String>,
    all: Merge<Archived>,
}

impl FirstSeen {
    pub fn read(pool: Option<&ServerFolder>, scale: &ScaleName, folder: &Path) -> io::Result<Self> {
        let Some(pool) = pool else { return Ok(Self { files: Vec::new(), all: Merge::new([])? }) };
        let (files, all) = sorted(&Index::open(pool, scale)?, folder)?;
        Ok(Self { files, all })
    }

    /// The files of an id's versions, in their order; ids have to be asked for in ascending order.
    fn of(&mut self, id: i64, found: &mut Vec<u32>) -> io::Result<()> {
        found.clear();
        let mut last = None;
        while self.all.peek().is_some_and(|head| head.id <= id) {
            let Some(archived) = self.all.take()? else { break };
            if archived.id == id && last != Some(archived.content) {
                found.push(archived.file);
                last = Some(archived.content);
            }
        }
        found.sort_unstable();
        Ok(())
    }
}

/// Records that are sorted while the next ones are placed.
const PART: usize = 1 << 17;

/// Leaves exact repeats out, tells versions of an id, and orders by date, then id. Also: how many repeats there were.
pub fn place(
    entries: Merge<ActiveRow>,
    sources: &[ActiveTable],
    seen: &mut FirstSeen,
    folder: &Path,
) -> io::Result<(Merge<CombinedRow>, u64)> {
    let mut sorter = Sorter::new(folder);
    let mut placing = Placing { entries, sources, seen, repeats: 0, versions: Vec::new(), files: Vec::new() };
    let (mut last, mut next) = (Vec::new(), Vec::new());
    loop {
        let (kept, filled) =
            rayon::join(|| last.drain(..).try_for_each(|placed| sorter.push(placed)), || placing.fill(&mut next));
        kept?;
        filled?;
        if next.is_empty() {
            return Ok((Merge::new([sorter])?, placing.repeats));
        }
        std::mem::swap(&mut last, &mut next);
    }
}

/// All entries while they are placed, id after id.
struct Placing<'p> {
    entries: Merge<ActiveRow>,
    sources: &'p [ActiveTable],
    seen: &'p mut FirstSeen,
    repeats: u64,
    /// Of one id, and the raw files that brought them.
    versions: Vec<ActiveRow>,
    files: Vec<u32>,
}

impl Placing<'_> {
    /// Places entries until there are enough, or none is left.
    fn fill(&mut self, out: &mut Vec<CombinedRow>) -> io::Result<()> {
        while out.len() < PART {
            let Some(entry) = self.entries.take()? else { return Ok(()) };
            let same = |one: &ActiveRow| (one.id, one.moment, one.content) == (entry.id, entry.moment, entry.content);
            // The same content has the same date, so repeats are neighbours, the one that came first ahead.
            if self.versions.last().is_some_and(same) {
                self.repeats += 1;
            } else if entry.id == NONE {
                self.versions.clear();
                self.versions.push(entry);
                out.push(placed(&entry, entry.content, u32::MAX, 1, true));
            } else {
                self.versions.push(entry);
            }
            if entry.id != NONE && self.entries.peek().is_none_or(|next| next.id != entry.id) {
                self.settle(entry.id, out)?;
            }
        }
        Ok(())
    }

    /// Places all versions of an id.
    fn settle(&mut self, id: i64, out: &mut Vec<CombinedRow>) -> io::Result<()> {
        self.seen.of(id, &mut self.files)?;
        // Of the same moment, what was decoded from a raw file is the better version: an adopted table may have been
        // written from the same entry with fewer digits.
        let archived = |one: &ActiveRow| self.sources.get(one.file as usize).is_some_and(|source| !source.adopted);
        let age = |one: &ActiveRow| (one.moment, archived(one), one.file, one.offset);
        let newest = self.versions.iter().map(age).max();
        self.versions.sort_unstable_by_key(|one| (one.file, one.offset));
        let same = u32::try_from(self.versions.len()).unwrap_or(u32::MAX);
        let mut arrivals = self.files.iter();
        for (rank, one) in self.versions.iter().enumerate() {
            let file = if archived(one) { arrivals.next().or(self.files.last()) } else { None };
            let file = file.copied().unwrap_or(u32::MAX);
            out.push(placed(one, rank as u64, file, same, newest == Some(age(one))));
        }
        self.versions.clear();
        Ok(())
    }
}

fn placed(entry: &ActiveRow, rank: u64, seen: u32, same: u32, current: bool) -> CombinedRow {
    let ActiveRow { id, moment, file, offset, length, .. } = *entry;
    CombinedRow { moment, id, rank, file, offset, length, seen, same, current }
}

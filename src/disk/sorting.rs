//! Sorting more records than memory should hold: sorted runs in files without a name, merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

/// What can be sorted in files.
pub trait SortRecord: Ord + Sized + Send {
    /// Bytes it takes up in memory, about.
    fn weight(&self) -> usize;
    fn put(&self, out: &mut Vec<u8>);
    /// The next one of a run; `scratch` is used again for each.
    fn read(from: &mut impl Read, scratch: &mut Vec<u8>) -> io::Result<Option<Self>>;
}

/// A record of always the same number of bytes.
pub trait Fixed: Copy + Ord + Send {
    const SIZE: usize;
    fn put(&self, out: &mut Vec<u8>);
    /// From exactly [`Fixed::SIZE`] bytes.
    fn take(bytes: &[u8]) -> Self;
}

impl<T: Fixed> SortRecord for T {
    fn weight(&self) -> usize {
        size_of::<T>()
    }

    fn put(&self, out: &mut Vec<u8>) {
        Fixed::put(self, out);
    }

    fn read(from: &mut impl Read, scratch: &mut Vec<u8>) -> io::Result<Option<Self>> {
        scratch.resize(T::SIZE, 0);
        Ok(fill(from, scratch)?.then(|| T::take(scratch)))
    }
}

/// Fills the bytes; false at the end of the run.
pub fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Eight bytes of a record.
pub fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Four bytes of a record.
pub fn short(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Bytes of records that are kept in memory before they go to a file.
const HELD: usize = 1 << 25;
/// Bytes read of a run at once.
const BLOCK: usize = 1 << 16;

/// Collects records.
pub struct Sorter<T> {
    folder: PathBuf,
    held: Vec<T>,
    weight: usize,
    runs: Vec<File>,
    limit: usize,
}

impl<T: SortRecord> Sorter<T> {
    /// What does not fit into memory goes to files without name in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), held: Vec::new(), weight: 0, runs: Vec::new(), limit: HELD }
    }

    pub fn push(&mut self, record: T) -> io::Result<()> {
        self.weight += record.weight();
        self.held.push(record);
        if self.weight >= self.limit { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        // Records mostly come nearly in order, which the stable sort makes use of.
        self.held.par_sort();
        let mut out = BufWriter::with_capacity(BLOCK, tempfile::tempfile_in(&self.folder)?);
        let mut bytes = Vec::new();
        for record in self.held.drain(..) {
            bytes.clear();
            record.put(&mut bytes);
            out.write_all(&bytes)?;
        }
        self.weight = 0;
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        self.runs.push(file);
        Ok(())
    }
}

/// The records of several sorters in order.
pub struct Merge<T> {
    runs: Vec<SortedRun<T>>,
    /// The heads of all runs but the current one.
    others: BinaryHeap<Reverse<(T, usize)>>,
    current: Option<(T, usize)>,
}

enum SortedRun<T> {
    Held(std::vec::IntoIter<T>),
    File(BufReader<File>, Vec<u8>),
}

impl<T: SortRecord> SortedRun<T> {
    fn next(&mut self) -> io::Result<Option<T>> {
        match self {
            Self::Held(records) => Ok(records.next()),
            Self::File(reader, scratch) => T::read(reader, scratch),
        }
    }
}

impl<T: SortRecord> Merge<T> {
    pub fn new(sorters: impl IntoIterator<Item = Sorter<T>>) -> io::Result<Self> {
        let mut runs = Vec::new();
        for mut sorter in sorters {
            sorter.held.par_sort();
            runs.push(SortedRun::Held(sorter.held.into_iter()));
            runs.extend(
                sorter.runs.into_iter().map(|file| SortedRun::File(BufReader::with_capacity(BLOCK, file), Vec::new())),
            );
        }
        let mut others = BinaryHeap::with_capacity(runs.len());
        for (number, run) in runs.iter_mut().enumerate() {
            others.extend(run.next()?.map(|head| Reverse((head, number))));
        }
        let current = others.pop().map(|Reverse(head)| head);
        Ok(Self { runs, others, current })
    }

    /// The next record in order.
    pub fn take(&mut self) -> io::Result<Option<T>> {
        let Some((record, run)) = self.current.take() else { return Ok(None) };
        let head = self.runs[run].next()?.map(|head| (head, run));
        self.current = match (head, self.others.peek()) {
            // Runs overlap little: most records come from the one before.
            (Some(head), Some(Reverse(other))) if head > *other => {
                let next = self.others.pop().map(|Reverse(next)| next);
                self.others.push(Reverse(head));
                next
            }
            (Some(head), _) => Some(head),
            (None, _) => self.others.pop().map(|Reverse(next)| next),
        };
        Ok(Some(record))
    }

    /// The record that [`Merge::take`] gives.
    pub fn peek(&self) -> Option<&T> {
        self.current.as_ref().map(|(record, _)| record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Fixed for u64 {
        const SIZE: usize = 8;
        fn put(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(&self.to_le_bytes());
        }
        fn take(bytes: &[u8]) -> Self {
            bytes.try_into().map(Self::from_le_bytes).unwrap_or_default()
        }
    }

    proptest! {
        #[test]
        fn runs_in_files_and_memory_come_in_order(parts in prop::collection::vec(prop::collection::vec(0_u64..1000, 0..60), 0..4), limit in 1_usize..40) {
            let folder = tempfile::tempdir().unwrap();
            let sorters = parts.iter().map(|part| {
                let mut sorter = Sorter { limit: limit * 8, ..Sorter::new(folder.path()) };
                for number in part {
                    sorter.push(*number).unwrap();
                }
                sorter
            });
            let mut merge = Merge::new(sorters).unwrap();
            let mut found = Vec::new();
            while let Some(number) = merge.take().unwrap() {
                found.push(number);
            }
            let mut expected = parts.concat();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}

//! A table's rows, many at once: read one after another, worked on by all cores, given back in their order.

use std::fs::File;
use std::io;
use std::path::Path;

use rayon::prelude::*;

use crate::table::rows::{Cells, Rows};

/// Bytes of one batch; some batches are in memory at once.
const BATCH: usize = 1 << 20;

/// A table being read in batches.
pub struct Table {
    rows: Rows<File>,
    pub header: Vec<String>,
    /// The number of the next row, from 0.
    next: u64,
}

/// Some rows that follow each other.
#[derive(Default)]
pub struct RowBatch {
    /// The number of the first one.
    pub first: u64,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl RowBatch {
    /// The rows, without their line ends.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

impl Table {
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut rows = Rows::open(path)?;
        let mut cells = Cells::default();
        let mut header = Vec::new();
        if let Some((_, row)) = rows.next_row()? {
            cells.split(row);
            header.extend((0..cells.len()).map(|at| String::from_utf8_lossy(cells.get(row, at)).into_owned()));
        }
        Ok(Self { rows, header, next: 0 })
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// Where these columns stand, as far as the table has them.
    pub fn places(&self, names: &[&str]) -> Vec<usize> {
        names.iter().filter_map(|name| self.column(name)).collect()
    }

    /// The next rows; none at the end.
    pub fn batch(&mut self) -> io::Result<Option<RowBatch>> {
        self.take(usize::MAX)
    }

    /// The next rows, at most so many.
    pub fn take(&mut self, most: usize) -> io::Result<Option<RowBatch>> {
        let mut batch = RowBatch { first: self.next, ..RowBatch::default() };
        while batch.ends.len() < most && (batch.bytes.len() < BATCH || most < usize::MAX) {
            let Some((_, row)) = self.rows.next_row()? else { break };
            batch.bytes.extend_from_slice(row);
            batch.ends.push(batch.bytes.len());
            self.next += 1;
        }
        Ok((!batch.is_empty()).then_some(batch))
    }
}

/// The first of some cells that a row fills.
pub fn filled<'c>(cells: &'c Cells, row: &'c [u8], columns: &[usize]) -> &'c [u8] {
    columns.iter().map(|at| cells.get(row, *at)).find(|cell| !cell.is_empty()).unwrap_or_default()
}

/// While what `next` gave is made by all cores, what was made before is taken, in order, and more is read.
///
/// # Errors
/// The first of any of the three.
pub fn in_order<B: Send, T: Send, E: Send>(
    mut next: impl FnMut() -> Result<Option<B>, E> + Send,
    make: impl Fn(B) -> Result<T, E> + Sync + Send,
    mut take: impl FnMut(T) -> Result<(), E> + Send,
) -> Result<(), E> {
    let at_once = rayon::current_num_threads() * 2;
    let mut read: Vec<B> = Vec::new();
    let mut ready: Vec<T> = Vec::new();
    loop {
        let waiting = std::mem::take(&mut read);
        let finished = std::mem::take(&mut ready);
        let idle = waiting.is_empty() && finished.is_empty();
        let (one_by_one, together) = rayon::join(
            || {
                for one in finished {
                    take(one)?;
                }
                for _ in 0..at_once {
                    let Some(one) = next()? else { break };
                    read.push(one);
                }
                Ok(())
            },
            || waiting.into_par_iter().map(&make).collect::<Result<Vec<T>, E>>(),
        );
        one_by_one?;
        ready = together?;
        if idle && read.is_empty() && ready.is_empty() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_comes_in_the_order_it_was_read() {
        for count in [0, 1, 3, 4, 5, 1000] {
            let (mut numbers, mut found) = (0..count, Vec::new());
            in_order(
                || Ok::<_, ()>(numbers.next()),
                |number| Ok(number * 2),
                |made| {
                    found.push(made);
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(found, (0..count).map(|number| number * 2).collect::<Vec<i32>>());
        }
        let failed = in_order(|| Ok(Some(1)), Err::<(), _>, |()| Ok(()));
        assert_eq!(failed, Err(1));
    }

    #[test]
    fn batches_are_the_rows_of_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let rows: Vec<String> = (0..200_000).map(|number| format!("{number},\"a\n{number}\"")).collect();
        std::fs::write(&path, format!("id,text\n{}\n", rows.join("\n"))).unwrap();
        let mut table = Table::open(&path).unwrap();
        assert_eq!((table.column("text"), table.places(&["x", "id"])), (Some(1), vec![0]));
        assert_eq!(
            table.take(3).unwrap().unwrap().rows().collect::<Vec<_>>(),
            rows[..3].iter().map(String::as_bytes).collect::<Vec<_>>()
        );
        let mut at = 3;
        while let Some(batch) = table.batch().unwrap() {
            assert_eq!(batch.first, at as u64);
            for row in batch.rows() {
                assert_eq!(row, rows[at].as_bytes());
                at += 1;
            }
        }
        assert_eq!(at, rows.len());
    }
}

//! One row of a table, as rules and reports look at it: taken apart only where somebody looks.

use std::cell::OnceCell;
use std::ops::Range;

use memchr::memchr;
use simd_csv::{ByteRecord, ZeroCopyByteRecord};

/// A row.
#[derive(Debug)]
pub struct Record<'r> {
    raw: ZeroCopyByteRecord<'r>,
    /// Its cells without their quotes, once one was asked for that has quotes within.
    plain: OnceCell<ByteRecord>,
}

impl<'r> Record<'r> {
    pub fn new(raw: ZeroCopyByteRecord<'r>) -> Self {
        Self { raw, plain: OnceCell::new() }
    }

    /// A cell's text; `None` past the last column.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        let cell = self.raw.get(at)?;
        if let [b'"', ..] = cell { self.quoted(at, cell) } else { Some(cell) }
    }

    fn quoted<'c>(&'c self, at: usize, cell: &'c [u8]) -> Option<&'c [u8]> {
        match cell {
            [_, inner @ .., b'"'] if memchr(b'"', inner).is_none() => Some(inner),
            _ => self.plain.get_or_init(|| self.raw.to_byte_record()).get(at),
        }
    }

    /// A cell's text; empty for a column that is not there.
    #[inline]
    pub fn cell(&self, at: Option<usize>) -> &[u8] {
        at.and_then(|at| self.get(at)).unwrap_or_default()
    }

    /// The first of some columns that the row fills.
    #[inline]
    pub fn filled(&self, columns: &[usize]) -> &[u8] {
        columns.iter().filter_map(|at| self.get(*at)).find(|cell| !cell.is_empty()).unwrap_or_default()
    }

    /// Some columns as they stand in the file, with what parts them: two rows have the same there if, and only if, these
    /// cells are the same, for one writer quotes alike what is alike.
    #[inline]
    pub fn between(&self, columns: &Range<usize>) -> Option<&[u8]> {
        let row = self.raw.as_slice();
        let (first, last) = (self.raw.get(columns.start)?, self.raw.get(columns.end.checked_sub(1)?)?);
        // Both are parts of the row.
        let start = first.as_ptr().addr() - row.as_ptr().addr();
        let end = last.as_ptr().addr() + last.len() - row.as_ptr().addr();
        row.get(start..end)
    }

    /// How many bytes it has in the file, with its end.
    pub fn size(&self) -> usize {
        self.raw.as_slice().len() + 1
    }
}

//! Rows of a CSV file as they lie in it: found, split and written an order of magnitude faster than cell by cell, with
//! the same meaning as the csv crate gives them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use memchr::{memchr, memchr3};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;

/// A file's rows, one after another.
pub struct Rows<R> {
    reader: R,
    buffer: Vec<u8>,
    /// What of the buffer is not yet given.
    start: usize,
    end: usize,
    /// Where the buffer begins in the file.
    base: u64,
    done: bool,
}

/// Where a row lies, without its line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub offset: u64,
    pub length: usize,
}

impl Rows<File> {
    /// # Errors
    /// Whatever the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }
}

impl<R: Read> Rows<R> {
    /// # Errors
    /// Whatever the reader says.
    pub fn new(reader: R) -> io::Result<Self> {
        let mut rows = Self { reader, buffer: vec![0; CHUNK], start: 0, end: 0, base: 0, done: false };
        while rows.end < 3 && !rows.done {
            rows.fill()?;
        }
        if rows.buffer[..rows.end].starts_with(b"\xef\xbb\xbf") {
            rows.start = 3;
        }
        Ok(rows)
    }

    /// The next row that is not empty.
    ///
    /// # Errors
    /// Whatever the reader says.
    pub fn next_row(&mut self) -> io::Result<Option<(Place, &[u8])>> {
        while self.start < self.end || !self.done {
            let Some(length) = row_end(&self.buffer[self.start..self.end], self.done) else {
                self.fill()?;
                continue;
            };
            let (start, place) = (self.start, Place { offset: self.base + self.start as u64, length });
            self.start = (start + length + 1).min(self.end);
            if length > 0 {
                return Ok(Some((place, &self.buffer[start..start + length])));
            }
        }
        Ok(None)
    }

    /// Reads on, with the unfinished row at the buffer's beginning.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let read = self.reader.read(&mut self.buffer[self.end..])?;
        self.end += read;
        self.done = read == 0;
        Ok(())
    }
}

/// Where the first row ends; `None` when that is not among these bytes. A lone carriage return ends a row, too.
fn row_end(bytes: &[u8], last: bool) -> Option<usize> {
    let mut at = 0;
    loop {
        let Some(found) = memchr3(b'\n', b'\r', b'"', &bytes[at..]) else { return last.then_some(bytes.len()) };
        let place = at + found;
        if bytes[place] != b'"' {
            return Some(place);
        }
        at = place + 1;
        // A quote opens a text only at the beginning of a cell.
        if place == 0 || bytes[place - 1] == b',' {
            loop {
                let Some(quote) = memchr(b'"', &bytes[at..]) else { return last.then_some(bytes.len()) };
                at += quote + 1;
                match bytes.get(at) {
                    Some(b'"') => at += 1,
                    None if !last => return None,
                    _ => break,
                }
            }
            // What follows a closing quote belongs to the cell, whatever it is; another quote opens nothing.
            while let Some(b'"') = bytes.get(at) {
                at += 1;
            }
        }
    }
}

/// A row split into its cells; used again for the next one.
#[derive(Debug, Default)]
pub struct Cells {
    text: Vec<u8>,
    ends: Vec<(u32, u32)>,
    quoted: bool,
}

impl Cells {
    pub fn split(&mut self, row: &[u8]) {
        self.ends.clear();
        self.quoted = memchr(b'"', row).is_some();
        if self.quoted {
            return self.unquote(row);
        }
        let mut start = 0;
        for comma in memchr::memchr_iter(b',', row) {
            self.ends.push((position(start), position(comma)));
            start = comma + 1;
        }
        self.ends.push((position(start), position(row.len())));
    }

    fn unquote(&mut self, row: &[u8]) {
        self.text.clear();
        let mut at = 0;
        loop {
            let start = self.text.len();
            if row.get(at) == Some(&b'"') {
                at += 1;
                loop {
                    let quote = memchr(b'"', &row[at..]).map_or(row.len(), |found| at + found);
                    self.text.extend_from_slice(&row[at..quote]);
                    at = (quote + 1).min(row.len());
                    if row.get(at) != Some(&b'"') || quote == row.len() {
                        break;
                    }
                    self.text.push(b'"');
                    at += 1;
                }
            }
            let comma = memchr(b',', &row[at..]).map_or(row.len(), |found| at + found);
            self.text.extend_from_slice(&row[at..comma]);
            self.ends.push((position(start), position(self.text.len())));
            if comma == row.len() {
                break;
            }
            at = comma + 1;
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// True when some cell of the row stands in quotes.
    #[must_use]
    pub fn is_quoted(&self) -> bool {
        self.quoted
    }

    /// A cell of the row that was split last; an absent one is empty.
    #[must_use]
    pub fn get<'c>(&'c self, row: &'c [u8], at: usize) -> &'c [u8] {
        let Some((start, end)) = self.ends.get(at) else { return b"" };
        let text = if self.quoted { &self.text } else { row };
        &text[*start as usize..*end as usize]
    }
}

/// Rows are shorter than 4 GiB: the archive refuses longer answers.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Appends a cell, quoted where RFC 4180 asks for it.
pub fn put(out: &mut Vec<u8>, cell: &[u8]) {
    if memchr3(b',', b'"', b'\n', cell).is_none() && memchr(b'\r', cell).is_none() {
        return out.extend_from_slice(cell);
    }
    out.push(b'"');
    for part in cell.split_inclusive(|byte| *byte == b'"') {
        out.extend_from_slice(part);
        if part.ends_with(b"\"") {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A reader that gives a few bytes at a time.
    struct Slow<'s>(&'s [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(self.0.len()).min(buffer.len());
            buffer[..size].copy_from_slice(&self.0[..size]);
            self.0 = &self.0[size..];
            Ok(size)
        }
    }

    fn ours(text: &[u8], step: usize) -> Vec<Vec<Vec<u8>>> {
        let (mut rows, mut cells, mut all) = (Rows::new(Slow(text, step)).unwrap(), Cells::default(), Vec::new());
        while let Some((place, row)) = rows.next_row().unwrap() {
            let offset = usize::try_from(place.offset).unwrap();
            assert_eq!(&text[offset..offset + place.length], row);
            cells.split(row);
            all.push((0..cells.len()).map(|at| cells.get(row, at).to_vec()).collect());
        }
        all
    }

    fn theirs(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
        reader.byte_records().map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect()).collect()
    }

    #[test]
    fn line_ends_marks_and_quotes() {
        let text = b"\xef\xbb\xbfa,b\r\n1,\"x,\"\"y\"\"\nz\"\n\n,\r2,\"\"";
        assert_eq!(ours(text, 1), theirs(text));
        assert_eq!(ours(text, 1).len(), 4);
    }

    proptest! {
        #[test]
        fn rows_are_what_the_csv_crate_reads(cells in prop::collection::vec(prop::collection::vec("[ab\",\r\n é]{0,6}", 3), 0..20), step in 1_usize..50, crlf in any::<bool>()) {
            let end = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
            let mut writer = csv::WriterBuilder::new().terminator(end).from_writer(Vec::new());
            for row in &cells {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let expected: Vec<Vec<Vec<u8>>> = cells.iter().map(|row| row.iter().map(|cell| cell.clone().into_bytes()).collect()).collect();
            prop_assert_eq!(ours(&text, step), expected);
        }

        #[test]
        fn what_is_put_is_read_again(cells in prop::collection::vec("[ab\",\r\n é]{0,6}", 2..5)) {
            let mut out = Vec::new();
            for (at, cell) in cells.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                put(&mut out, cell.as_bytes());
            }
            out.push(b'\n');
            let expected: Vec<Vec<u8>> = cells.iter().map(|cell| cell.clone().into_bytes()).collect();
            prop_assert_eq!(&ours(&out, 7)[0], &expected);
            prop_assert_eq!(&theirs(&out)[0], &expected);
        }
    }
}

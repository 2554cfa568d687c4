//! Rows of the tables that mtdata wrote: found by their commas, taken apart only where somebody looks.
//!
//! Checks and reports read millions of rows and need some cells of each. Tables from elsewhere are read by the csv crate,
//! which is slower and forgives more.

use std::fmt;
use std::io::{self, Read};

use simd_csv::{ZeroCopyReader, ZeroCopyReaderBuilder};

use crate::study::record::Record;

/// A table being read.
pub struct Records<R> {
    reader: ZeroCopyReader<R>,
    header: Vec<String>,
}

impl<R> fmt::Debug for Records<R> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Records").field("header", &self.header).finish_non_exhaustive()
    }
}

impl<R: Read> Records<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// Whatever the source says, and a header that is no UTF-8.
    pub fn new(source: R) -> io::Result<Self> {
        let mut reader = ZeroCopyReaderBuilder::with_capacity(1 << 16).from_reader(source);
        let name = |cell: &[u8]| String::from_utf8(cell.to_vec()).map_err(io::Error::other);
        let header = reader.byte_headers()?.iter().map(name).collect::<io::Result<_>>()?;
        Ok(Self { reader, header })
    }

    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Where this column stands.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// The next row.
    ///
    /// # Errors
    /// Whatever the source says, and a row with more or fewer cells than the header.
    #[inline]
    pub fn read(&mut self) -> io::Result<Option<Record<'_>>> {
        let raw = self.reader.read_byte_record()?;
        Ok(raw.map(Record::new))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table as the csv crate writes it.
    fn written(rows: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows {
            writer.write_record(row).unwrap();
        }
        writer.into_inner().unwrap()
    }

    /// Gives its bytes in pieces: rows lie across the ends of buffers.
    struct InPieces<'b>(&'b [u8], usize);

    impl Read for InPieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(buffer.len());
            let (piece, rest) = self.0.split_at(size.min(self.0.len()));
            self.0 = rest;
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    proptest! {
        #[test]
        fn what_the_csv_crate_wrote_is_read_as_it_reads_it(
            width in 1..5_usize,
            cells in proptest::collection::vec("[a-c,\"\r\n ä]{0,6}", 0..60),
            piece in 1..40_usize,
        ) {
            let header: Vec<Vec<u8>> = (0..width).map(|at| format!("c{at}").into_bytes()).collect();
            let rows = cells.chunks_exact(width).map(|row| row.iter().map(|cell| cell.clone().into_bytes()).collect());
            let rows: Vec<Vec<Vec<u8>>> = std::iter::once(header).chain(rows).collect();
            let text = written(&rows);
            let mut records = Records::new(InPieces(&text, piece)).unwrap();
            let mut read = Vec::new();
            while let Some(record) = records.read().unwrap() {
                let row: Vec<Vec<u8>> = (0..width).map(|at| record.get(at).unwrap().to_vec()).collect();
                prop_assert!(record.get(width).is_none());
                read.push(row);
            }
            prop_assert_eq!(&read, &rows[1..]);
        }
    }

    #[test]
    fn columns_that_are_alike_stand_alike_in_the_file() {
        let text = b"a,b,c\n\"x,\"\"1\",2,3\n\"x,\"\"1\",2,4\nx,12,\n";
        let mut records = Records::new(&text[..]).unwrap();
        let mut spans = Vec::new();
        while let Some(record) = records.read().unwrap() {
            spans.push(record.between(&(0..2)).unwrap().to_vec());
            assert_eq!(record.between(&(0..4)), None);
        }
        assert_eq!(spans, [&b"\"x,\"\"1\",2"[..], b"\"x,\"\"1\",2", b"x,12"]);
    }

    #[test]
    fn a_row_with_too_few_cells_is_an_error_that_says_where() {
        let mut records = Records::new(&b"a,b\n1,2\n3\n"[..]).unwrap();
        assert!(records.read().unwrap().is_some());
        let error = records.read().unwrap_err().to_string();
        assert!(error.contains("record 3") && error.contains("byte: 8"), "{error}");
    }
}

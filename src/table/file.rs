//! Tables of the pool: CSV with one header, streamed, written whole or not at all.

use std::fs::File;
use std::io;
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord, Writer};

use crate::disk::atomic::Written;
use crate::disk::atomic::{AtomicFile, SHARED};

/// A table being read.
pub struct TableReader {
    reader: Reader<File>,
    header: Vec<String>,
}

impl TableReader {
    pub fn open(path: &Path) -> Result<Self, csv::Error> {
        let mut reader = ReaderBuilder::new().buffer_capacity(1 << 16).from_path(path)?;
        let header = reader.headers()?.iter().map(str::to_owned).collect();
        Ok(Self { reader, header })
    }

    pub fn header(&self) -> &[String] {
        &self.header
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// Reads the next row into `record`; false at the end.
    pub fn next(&mut self, record: &mut StringRecord) -> Result<bool, csv::Error> {
        self.reader.read_record(record)
    }

    /// As [`TableReader::next`], for rows whose cells are only copied.
    pub fn next_bytes(&mut self, record: &mut ByteRecord) -> Result<bool, csv::Error> {
        self.reader.read_byte_record(record)
    }
}

/// A table being written.
pub struct TableWriter {
    writer: Writer<AtomicFile>,
}

impl TableWriter {
    pub fn create<I>(path: &Path, header: I) -> Result<Self, csv::Error>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut writer = Writer::from_writer(AtomicFile::create(path, SHARED)?);
        writer.write_record(header)?;
        Ok(Self { writer })
    }

    pub fn row<I>(&mut self, cells: I) -> Result<(), csv::Error>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.writer.write_record(cells)
    }

    /// Gives the table its name.
    pub fn finish(self) -> io::Result<Written> {
        self.writer.into_inner().map_err(csv::IntoInnerError::into_error)?.commit()
    }
}

/// The ids of a table's rows, unsorted; none when it has no such column.
pub fn entry_ids(path: &Path) -> Result<Vec<i64>, csv::Error> {
    let mut table = TableReader::open(path)?;
    let Some(column) = table.column("id") else { return Ok(Vec::new()) };
    let mut ids = Vec::new();
    let mut record = csv::ByteRecord::new();
    while table.next_bytes(&mut record)? {
        let cell = record.get(column).and_then(|cell| std::str::from_utf8(cell).ok());
        ids.extend(cell.and_then(|cell| cell.parse::<i64>().ok()));
    }
    Ok(ids)
}

//! A row's cells as bytes, by the places of their columns; a column that is not there has only empty cells.

use csv::ByteRecord;

#[must_use]
pub fn cell(record: &ByteRecord, at: Option<usize>) -> &[u8] {
    at.and_then(|at| record.get(at)).unwrap_or_default()
}

/// The first of some columns that the row fills.
#[must_use]
pub fn filled<'r>(record: &'r ByteRecord, columns: &[usize]) -> &'r [u8] {
    columns.iter().filter_map(|at| record.get(*at)).find(|cell| !cell.is_empty()).unwrap_or_default()
}

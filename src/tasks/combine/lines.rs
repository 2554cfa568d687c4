//! The lines of a combined table, made many at once from where their rows lie.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::closed_participants::ClosedParticipants;
use super::entries::{ActiveTable, CombinedRow, NONE};
use crate::code::Code;
use crate::failure::Failure;
use crate::study::checks::cells::{CheckedRow, RowRules, flag};
use crate::study::people::Correction;
use crate::table::rows::{Cells, Rows, put};

/// Rows further apart than this are read singly.
const GAP: u64 = 1 << 12;
/// Bytes that are read at once, unless one row has more.
const STRETCH: u64 = 1 << 21;

/// What a line is made with.
pub struct CombinedLines<'l> {
    pub sources: &'l [ActiveTable],
    pub header: &'l [String],
    /// For each source, where its columns stand in the header.
    pub places: Vec<Vec<usize>>,
    pub rules: &'l RowRules,
    /// Names of raw files.
    pub raw_files: &'l [String],
    pub corrections: &'l HashMap<i64, Vec<&'l Correction>>,
    /// Participants' cells that no key opened.
    pub closed: &'l ClosedParticipants,
}

/// Some lines, and what was found while making them.
#[derive(Default)]
pub struct MadeLines {
    pub bytes: Vec<u8>,
    pub rows: u64,
    /// Corrections, by their place in memory, that were applied.
    pub applied: BTreeSet<(i64, String)>,
    pub refused: Vec<String>,
}

impl CombinedLines<'_> {
    /// The lines of some rows, in their order.
    pub fn make(&self, rows: &[CombinedRow]) -> Result<MadeLines, Failure> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_unstable_by_key(|at| (rows[*at].file, rows[*at].offset));
        let mut stretches: Vec<Vec<u8>> = Vec::new();
        // Of each row, its stretch and where in it.
        let mut found = vec![(0_usize, 0_usize); rows.len()];
        let mut rest = order.as_slice();
        let mut opened: Option<(u32, File)> = None;
        while let Some(first) = rest.first().map(|at| rows[*at]) {
            let mut end = first.offset + u64::from(first.length);
            let mut count = 1;
            for row in rest[1..].iter().map(|at| rows[*at]) {
                // Only within one file do places count from the first row's.
                let far = |row: CombinedRow| {
                    row.offset > end + GAP || row.offset + u64::from(row.length) - first.offset > STRETCH
                };
                if row.file != first.file || far(row) {
                    break;
                }
                end = end.max(row.offset + u64::from(row.length));
                count += 1;
            }
            let path = &self.sources[first.file as usize].path;
            let size = usize::try_from(end - first.offset).unwrap_or(usize::MAX);
            if opened.as_ref().is_none_or(|(file, _)| *file != first.file) {
                opened = Some((first.file, File::open(path).map_err(|error| Failure::read(path, error))?));
            }
            let mut bytes = vec![0; size];
            if let Some((_, file)) = &opened {
                file.read_exact_at(&mut bytes, first.offset).map_err(|error| Failure::read(path, error))?;
            }
            stretches.push(bytes);
            for at in &rest[..count] {
                let inside = usize::try_from(rows[*at].offset - first.offset).unwrap_or_default();
                found[*at] = (stretches.len() - 1, inside);
            }
            rest = &rest[count..];
        }
        let length: usize = rows.iter().map(|row| row.length as usize + 64).sum();
        let mut made = MadeLines { bytes: Vec::with_capacity(length), ..MadeLines::default() };
        let (mut split, mut flags) = (Cells::default(), String::new());
        for (row, (stretch, inside)) in rows.iter().zip(found) {
            let bytes = &stretches[stretch][inside..inside + row.length as usize];
            self.line(row, bytes, &mut split, &mut flags, &mut made)?;
        }
        Ok(made)
    }

    fn line(
        &self,
        row: &CombinedRow,
        bytes: &[u8],
        split: &mut Cells,
        flags: &mut String,
        made: &mut MadeLines,
    ) -> Result<(), Failure> {
        split.split(bytes);
        let source = &self.sources[row.file as usize];
        let places = &self.places[row.file as usize];
        if split.len() != places.len() {
            return Err(uneven(source, row.offset, split.len()));
        }
        let mut cells: Vec<&[u8]> = vec![b""; self.header.len()];
        for (at, place) in places.iter().enumerate() {
            cells[*place] = split.get(bytes, at);
        }
        flags.clear();
        let corrected = self.correct(row, &mut cells, flags, made);
        if row.same > 1 && row.id != NONE {
            word(flags, "repeated_id");
        }
        if source.adopted {
            word(flags, "no_raw_file");
        }
        let closed = self.closed.of(row.id);
        self.rules.flags(&CheckedRow { cells: &cells, dated: row.moment != i64::MAX, closed }, flags);
        let out = &mut made.bytes;
        // Tables of mtdata's own writing have the same columns and quotes already.
        let as_it_is = !corrected && split.is_plain() && places.len() == self.header.len();
        if as_it_is && places.iter().enumerate().all(|(at, place)| at == *place) {
            out.extend_from_slice(bytes);
        } else {
            for (at, cell) in cells.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                put(out, cell);
            }
        }
        out.push(b',');
        put(out, self.raw_files.get(row.seen as usize).map(String::as_bytes).unwrap_or_default());
        out.push(b',');
        number(out, row.same);
        out.extend_from_slice(if row.current { b",true," } else { b",false," });
        put(out, flags.as_bytes());
        out.push(b'\n');
        made.rows += 1;
        Ok(())
    }

    /// Applies what the corrections file says of an entry, where the old value is what it expects.
    fn correct<'c>(
        &'c self,
        row: &CombinedRow,
        cells: &mut [&'c [u8]],
        flags: &mut String,
        made: &mut MadeLines,
    ) -> bool {
        let Some(corrections) = self.corrections.get(&row.id).filter(|_| row.id != NONE) else { return false };
        let mut changed = false;
        for one in corrections {
            let at = self.header.binary_search(&one.column).ok();
            match at {
                Some(at) if cells[at] == one.old.as_bytes() => {
                    cells[at] = one.new.as_bytes();
                    flag(flags, "corrected", &one.column);
                    made.applied.insert((one.id, one.column.clone()));
                    changed = true;
                }
                _ => {
                    flag(flags, "correction_refused", &one.column);
                    if row.current {
                        made.refused.push(format!("entry {}, column {}", one.id, one.column));
                    }
                }
            }
        }
        changed
    }
}

fn word(flags: &mut String, word: &str) {
    if !flags.is_empty() {
        flags.push(';');
    }
    flags.push_str(word);
}

fn number(out: &mut Vec<u8>, number: u32) {
    match number {
        0..=9 => out.push(b'0' + u8::try_from(number).unwrap_or_default()),
        _ => out.extend_from_slice(number.to_string().as_bytes()),
    }
}

/// A row that has not as many cells as its header: the table was not written by mtdata, or was damaged.
fn uneven(source: &ActiveTable, offset: u64, cells: usize) -> Failure {
    let path = &source.path;
    let before = |rows: &mut Rows<File>| -> io::Result<u64> {
        let mut count = 0;
        while rows.next_row()?.is_some_and(|(place, _)| place.offset < offset) {
            count += 1;
        }
        Ok(count)
    };
    match Rows::open(path).and_then(|mut rows| before(&mut rows)) {
        Ok(row) => {
            let (path, columns) = (path.display(), source.header.len());
            Failure::new(Code::Data, format!("{path}: row {row} has {cells} cells, its header {columns}"))
                .advise("remove the table: the next build decodes the day's raw files again")
        }
        Err(error) => Failure::read(path, error),
    }
}

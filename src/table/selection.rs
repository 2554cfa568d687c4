//! Which entries count: the newest version of each, and of several for one key those that the study's policy keeps.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use crate::cancel::Cancel;
use crate::disk::sorting::{Fixed, Merge, Sorter};
use crate::failure::Failure;
use crate::study::scale::{Duplicates, PARTICIPANT, Scale, ScaleKind};
use crate::table::batches::{RowBatch, Table, filled, in_order};
use crate::table::rows::Cells;

/// What makes two entries one response, and which of them then counts.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Columns beside the participant.
    pub key: Vec<String>,
    duplicates: Duplicates,
    /// So many entries of one key are no repeats.
    pub times: usize,
}

impl Policy {
    /// Of a scale without definition every entry counts: nobody said what a repeat would be.
    pub fn new(scale: Option<&Scale>, duplicates: Duplicates) -> Self {
        match scale {
            Some(scale) => Self { key: scale.key.clone(), duplicates, times: scale.times },
            None => Self { key: ["session", "tag"].map(str::to_owned).to_vec(), duplicates: Duplicates::All, times: 1 },
        }
    }
}

/// True for tables of answers: questionnaires, and what has no definition.
pub fn has_answers(scale: Option<&Scale>) -> bool {
    scale.is_none_or(|scale| scale.kind == ScaleKind::Questionnaire)
}

/// Where a table has what identifies a response.
#[derive(Debug, Clone)]
pub struct KeyColumns {
    pub participant: Vec<usize>,
    key: Vec<Option<usize>>,
    current: Option<usize>,
}

impl KeyColumns {
    pub fn new(table: &Table, policy: &Policy) -> Self {
        Self {
            participant: table.places(PARTICIPANT),
            key: policy.key.iter().map(|name| table.column(name)).collect(),
            current: table.column("_current"),
        }
    }

    fn is_current(&self, cells: &Cells, row: &[u8]) -> bool {
        self.current.is_none_or(|at| cells.get(row, at) != b"false")
    }

    /// The key's cells as one text that only the same cells give.
    pub fn occasion_key(&self, cells: &Cells, row: &[u8], out: &mut Vec<u8>) {
        for at in &self.key {
            encode(out, at.map(|at| cells.get(row, at)).unwrap_or_default());
        }
    }
}

/// Appends a cell so that [`parts`] finds it again.
pub fn encode(out: &mut Vec<u8>, cell: &[u8]) {
    out.extend_from_slice(&(cell.len() as u64).to_le_bytes());
    out.extend_from_slice(cell);
}

/// The cells of an occasion.
pub fn parts(mut occasion: &[u8]) -> Vec<&[u8]> {
    let mut cells = Vec::new();
    while let Some((size, rest)) = occasion.split_first_chunk() {
        let size = usize::try_from(u64::from_le_bytes(*size)).unwrap_or_default();
        let (cell, rest) = rest.split_at_checked(size).unwrap_or((rest, &[]));
        cells.push(cell);
        occasion = rest;
    }
    cells
}

/// An entry, by the hash of participant and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Response {
    key: u128,
    row: u64,
    occasion: u32,
}

impl Fixed for Response {
    const SIZE: usize = 28;

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.to_le_bytes());
        out.extend_from_slice(&self.row.to_le_bytes());
        out.extend_from_slice(&self.occasion.to_le_bytes());
    }

    fn take(bytes: &[u8]) -> Self {
        let mut response = Self { key: 0, row: 0, occasion: 0 };
        if let Some((key, rest)) = bytes.split_first_chunk()
            && let Some((row, rest)) = rest.split_first_chunk()
            && let Some(occasion) = rest.first_chunk()
        {
            response = Self {
                key: u128::from_le_bytes(*key),
                row: u64::from_le_bytes(*row),
                occasion: u32::from_le_bytes(*occasion),
            };
        }
        response
    }
}

/// Rows of a combined table that count.
#[derive(Debug, Default)]
pub struct SelectedRows {
    /// A bit per row.
    rows: Vec<u64>,
    /// Sessions, with whatever else is in the key, and how many entries one participant has there at most.
    pub occasion_keys: HashMap<Vec<u8>, usize>,
}

impl SelectedRows {
    pub fn has(&self, row: u64) -> bool {
        let word = usize::try_from(row / 64).unwrap_or(usize::MAX);
        self.rows.get(word).is_some_and(|bits| bits >> (row % 64) & 1 == 1)
    }

    fn add(&mut self, row: u64) {
        let word = usize::try_from(row / 64).unwrap_or_default();
        if self.rows.len() <= word {
            self.rows.resize(word + 1, 0);
        }
        self.rows[word] |= 1 << (row % 64);
    }
}

/// What one batch has.
struct BatchResponses {
    responses: Vec<Response>,
    occasions: Vec<Vec<u8>>,
    /// Rows without a participant: there is nobody to have answered twice.
    alone: Vec<u64>,
}

fn find(batch: &RowBatch, places: &KeyColumns) -> BatchResponses {
    let mut found =
        BatchResponses { responses: Vec::with_capacity(batch.len()), occasions: Vec::new(), alone: Vec::new() };
    let mut numbers: HashMap<Vec<u8>, u32> = HashMap::new();
    let (mut cells, mut text) = (Cells::default(), Vec::new());
    for (at, row) in (batch.first..).zip(batch.rows()) {
        cells.split(row);
        if !places.is_current(&cells, row) {
            continue;
        }
        let who = filled(&cells, row, &places.participant);
        if who.is_empty() {
            found.alone.push(at);
            continue;
        }
        text.clear();
        places.occasion_key(&cells, row, &mut text);
        let occasion = numbers.get(&text).copied().unwrap_or_else(|| {
            let next = u32::try_from(found.occasions.len()).unwrap_or(u32::MAX);
            numbers.insert(text.clone(), next);
            found.occasions.push(text.clone());
            next
        });
        encode(&mut text, who);
        found.responses.push(Response { key: xxh3_128(&text), row: at, occasion });
    }
    found
}

/// Finds the rows that count; `spill` is a folder for what does not fit into memory.
///
/// # Errors
/// A table that cannot be read, a folder that cannot be written to.
pub fn select(source: &Path, policy: &Policy, spill: &Path, cancel: &Cancel) -> Result<SelectedRows, Failure> {
    let read = |error: io::Error| Failure::read(source, error);
    let spilled = |error: io::Error| Failure::write(spill, error);
    let mut table = Table::open(source).map_err(read)?;
    let places = KeyColumns::new(&table, policy);
    let mut selected = SelectedRows::default();
    let mut sorter = Sorter::new(spill);
    let mut known: Vec<Vec<u8>> = Vec::new();
    let mut numbers: HashMap<Vec<u8>, u32> = HashMap::new();
    in_order(
        || {
            cancel.check()?;
            table.batch().map_err(read)
        },
        |batch| Ok(find(&batch, &places)),
        |found| {
            let mut here = Vec::with_capacity(found.occasions.len());
            for occasion in found.occasions {
                here.push(*numbers.entry(occasion).or_insert_with_key(|occasion| {
                    known.push(occasion.clone());
                    u32::try_from(known.len() - 1).unwrap_or(u32::MAX)
                }));
            }
            found.alone.into_iter().for_each(|row| selected.add(row));
            for response in found.responses {
                sorter.push(Response { occasion: here[response.occasion as usize], ..response }).map_err(spilled)?;
            }
            Ok(())
        },
    )?;
    let mut most = vec![0; known.len()];
    let mut merge = Merge::new([sorter]).map_err(spilled)?;
    let mut group: Vec<u64> = Vec::new();
    while let Some(response) = merge.take().map_err(spilled)? {
        group.push(response.row);
        if merge.peek().is_some_and(|next| next.key == response.key) {
            continue;
        }
        let count = match policy.duplicates {
            Duplicates::All => group.len(),
            Duplicates::First | Duplicates::Last => group.len().min(policy.times),
        };
        let from = if policy.duplicates == Duplicates::Last { group.len() - count } else { 0 };
        group[from..from + count].iter().for_each(|row| selected.add(*row));
        let most = &mut most[response.occasion as usize];
        *most = count.max(*most);
        group.clear();
    }
    selected.occasion_keys = known.into_iter().zip(most).collect();
    Ok(selected)
}

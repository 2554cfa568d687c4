//! The ledger of the pool: per scale and day what the server sent, what of it was archived, what of that the combined
//! table holds, what was deleted and what waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use chrono::NaiveDate;

use crate::disk::append_log;
use crate::pool::arrivals::repeats;
use crate::pool::index::Index;
use crate::pool::paths::{ServerFolder, raw_name};
use crate::pool::receipts::{self, Receipt};
use crate::report::tally::Tally;
use crate::study::name::ScaleName;

/// One scale on one day, by the day in the raw files' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReconciledDay {
    pub raw_files: u64,
    /// Entries in those files, each content once: what an earlier file brought counts there.
    pub archived: u64,
    /// Rows of the combined table that these files brought first; `None` when there is no such table.
    pub combined: Option<u64>,
    /// By the day (UTC) on which it was recorded.
    pub deletions_confirmed: u64,
    pub deletions_failed: u64,
    /// Entries of the answers of the day; none of those that brought and changed nothing.
    pub came: Came,
    /// Entries of raw files that no receipt tells of: adopted, or of a run that was killed.
    pub unrecorded: u64,
    /// Entries that stayed on the server after the day's last answer although they were to be deleted.
    pub pending: u64,
}

/// What receipts say of the answers of a day, in entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Came {
    pub listed: u64,
    pub not_sent: u64,
    pub received: u64,
    pub stored: u64,
    pub already_held: u64,
    pub repeated: u64,
    /// What those raw files hold that were made of the answers; it should be what was stored.
    pub kept: u64,
    /// One of the answers does not add up by itself.
    unbalanced: bool,
}

impl Came {
    fn add(&mut self, receipt: &Receipt) {
        self.listed += receipt.listed;
        self.not_sent += receipt.not_sent;
        self.received += receipt.received;
        self.stored += receipt.stored;
        self.already_held += receipt.already_held;
        self.repeated += receipt.repeated;
        self.unbalanced |= !receipt.is_balanced();
    }
}

impl ReconciledDay {
    /// What does not add up, if anything.
    pub fn difference(&self) -> Option<String> {
        let Came { received, stored, already_held, repeated, kept, unbalanced, .. } = self.came;
        if unbalanced {
            return Some(format!(
                "{received} entries received, but {stored} stored, {already_held} held already and {repeated} repeated"
            ));
        }
        if stored != kept {
            return Some(format!("{stored} entries stored, {kept} in their raw files"));
        }
        let (archived, combined) = (self.archived, self.combined?);
        (archived != combined).then(|| format!("{archived} entries archived, {combined} rows combined"))
    }
}

/// By scale, then day; `None` for rows whose raw file is unknown.
pub type Reconciliation = BTreeMap<String, BTreeMap<Option<NaiveDate>, ReconciledDay>>;

#[derive(serde::Deserialize)]
struct DeletionLine<'l> {
    #[serde(borrow)]
    at: &'l str,
    #[serde(borrow)]
    step: &'l str,
    #[serde(borrow)]
    scale: &'l str,
}

/// Reads the pool's own records of every table.
pub fn read(folder: &ServerFolder, tables: &[Tally]) -> io::Result<Reconciliation> {
    let mut reconciliation = Reconciliation::new();
    let recorded = answers(folder, &mut reconciliation)?;
    for table in tables {
        reconciliation.entry(table.scale.clone()).or_default();
    }
    for (scale, pages) in &mut reconciliation {
        let table = tables.iter().find(|table| table.scale == *scale);
        if let Ok(scale) = ScaleName::new(scale) {
            archive(&Index::open(folder, &scale)?, folder, table, &recorded, pages)?;
        }
        for (name, rows) in table.iter().flat_map(|table| &table.first_seen) {
            let page = pages.entry(raw_name(name).map(|dated| dated.date)).or_default();
            *page.combined.get_or_insert_default() += rows;
        }
    }
    deletions(folder, &mut reconciliation)?;
    for table in tables {
        for page in reconciliation.get_mut(&table.scale).into_iter().flat_map(BTreeMap::values_mut) {
            page.combined.get_or_insert_default();
        }
    }
    Ok(reconciliation)
}

/// Takes in the raw files of one scale.
fn archive(
    index: &Index,
    folder: &ServerFolder,
    table: Option<&Tally>,
    recorded: &BTreeSet<String>,
    pages: &mut BTreeMap<Option<NaiveDate>, ReconciledDay>,
) -> io::Result<()> {
    let stored: u64 = index.files.values().map(|file| file.count).sum();
    // Only where something came twice do the two differ, and telling what costs a sort.
    let came_again = table.is_none_or(|table| stored != table.first_seen.values().sum::<u64>());
    let repeats = if came_again { repeats(index, &folder.reports())? } else { BTreeMap::new() };
    for (name, file) in &index.files {
        let page = pages.entry(raw_name(name).map(|dated| dated.date)).or_default();
        page.raw_files += 1;
        page.archived += file.count - repeats.get(name).copied().unwrap_or_default();
        if recorded.contains(name) {
            page.came.kept += file.count;
        } else {
            page.unrecorded += file.count;
        }
    }
    Ok(())
}

/// Takes in the receipts; the names of the raw files that they tell of.
fn answers(folder: &ServerFolder, reconciliation: &mut Reconciliation) -> io::Result<BTreeSet<String>> {
    let mut raw = BTreeSet::new();
    receipts::each(folder, |receipt| {
        let page = reconciliation.entry(receipt.scale.clone()).or_default().entry(Some(receipt.day)).or_default();
        page.came.add(&receipt);
        page.pending = receipt.pending;
        raw.extend(receipt.raw);
    })?;
    Ok(raw)
}

fn deletions(folder: &ServerFolder, reconciliation: &mut Reconciliation) -> io::Result<()> {
    append_log::each_line(&folder.deletions(), 0, |line| {
        // A line that a crash left half says nothing.
        let Ok(DeletionLine { at, step, scale }) = serde_json::from_slice(line) else { return };
        let count: fn(&mut ReconciledDay) -> &mut u64 = match step {
            "confirmed" => |page| &mut page.deletions_confirmed,
            "failed" => |page| &mut page.deletions_failed,
            _ => return,
        };
        let day = at.get(..10).and_then(|day| day.parse().ok());
        *count(reconciliation.entry(scale.to_owned()).or_default().entry(day).or_default()) += 1;
    })
}

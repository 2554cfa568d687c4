//! The ledger of the pool: per scale and day what was archived, what of it the combined table holds, what was deleted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use chrono::NaiveDate;

use crate::pool::arrivals::repeats;
use crate::pool::index::Index;
use crate::pool::paths::{ServerFolder, raw_name};
use crate::report::tally::Tally;
use crate::study::name::ScaleName;

/// One scale on one day, by the day in the raw files' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub raw_files: u64,
    /// Entries in those files, each content once: what an earlier file brought counts there.
    pub archived: u64,
    /// Rows of the combined table that these files brought first.
    pub combined: u64,
    /// By the day (UTC) on which it was recorded.
    pub deletions_confirmed: u64,
    pub deletions_failed: u64,
}

/// By scale, then day; `None` for rows whose raw file is unknown.
pub type Books = BTreeMap<String, BTreeMap<Option<NaiveDate>, Page>>;

#[derive(serde::Deserialize)]
struct Line<'l> {
    #[serde(borrow)]
    at: &'l str,
    #[serde(borrow)]
    step: &'l str,
    #[serde(borrow)]
    scale: &'l str,
}

/// Reads the pool's own records of every table.
///
/// # Errors
/// Whatever the file system says.
pub fn read(folder: &ServerFolder, tables: &[Tally]) -> io::Result<Books> {
    let mut books = Books::new();
    for table in tables {
        let pages = books.entry(table.scale.clone()).or_default();
        if let Ok(scale) = ScaleName::new(&table.scale) {
            let index = Index::open(folder, &scale)?;
            let stored: u64 = index.files.values().map(|file| file.count).sum();
            // Only where something came twice do the two differ, and telling what costs a sort.
            let came_again = stored != table.first_seen.values().sum::<u64>();
            let repeats = if came_again { repeats(&index, &folder.reports())? } else { BTreeMap::new() };
            for (name, file) in &index.files {
                let page = pages.entry(raw_name(name).map(|dated| dated.date)).or_default();
                page.raw_files += 1;
                page.archived += file.count - repeats.get(name).copied().unwrap_or_default();
            }
        }
        for (name, rows) in &table.first_seen {
            pages.entry(raw_name(name).map(|dated| dated.date)).or_default().combined += rows;
        }
    }
    deletions(folder, &mut books)?;
    Ok(books)
}

fn deletions(folder: &ServerFolder, books: &mut Books) -> io::Result<()> {
    let file = match File::open(folder.deletions()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        // A line that a crash left half says nothing.
        if let Ok(Line { at, step, scale }) = serde_json::from_slice(&line) {
            let day = at.get(..10).and_then(|day| day.parse().ok());
            if !matches!(step, "confirmed" | "failed") {
                line.clear();
                continue;
            }
            let page = books.entry(scale.to_owned()).or_default().entry(day).or_default();
            match step {
                "confirmed" => page.deletions_confirmed += 1,
                _ => page.deletions_failed += 1,
            }
        }
        line.clear();
    }
    Ok(())
}

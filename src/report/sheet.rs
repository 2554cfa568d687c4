//! A table of the report: its cells, and which of them are too small to be told.

use std::path::Path;

use crate::disk::atomic::Written;
use crate::study::disclosure_control::DisclosureControl;
use crate::table::file::TableWriter;

/// Header and rows of one file.
pub struct Sheet {
    pub header: &'static [&'static str],
    pub rows: Vec<Vec<String>>,
}

impl Sheet {
    pub fn write(&self, path: &Path) -> Result<Written, csv::Error> {
        let mut table = TableWriter::create(path, self.header)?;
        for row in &self.rows {
            table.row(row)?;
        }
        Ok(table.finish()?)
    }

    /// Takes out counts that are too small to be told, and with each what could be computed from it: the figures in `with`.
    pub fn suppress_small(mut self, disclosure: DisclosureControl, groups: &[CountGroup]) -> Self {
        if disclosure.least_cell == 0 {
            return self;
        }
        let at = |name: &str| self.header.iter().position(|header| *header == name);
        let places = |names: &[&str]| names.iter().filter_map(|name| at(name)).collect::<Vec<_>>();
        let groups: Vec<(Vec<usize>, Vec<usize>)> =
            groups.iter().map(|group| (places(group.counts), places(group.with))).collect();
        for row in &mut self.rows {
            for (counts, with) in &groups {
                let small = |place: &usize| row[*place].parse().is_ok_and(|count| disclosure.hides(count));
                if !counts.iter().any(small) {
                    continue;
                }
                // One alone hidden would be what the others leave of the whole.
                for place in counts {
                    if row[*place] != "0" && !row[*place].is_empty() {
                        let count = row[*place].parse().unwrap_or_default();
                        row[*place] = if disclosure.hides(count) { disclosure.hidden() } else { HIDDEN.to_owned() };
                    }
                }
                for place in with {
                    row[*place].clear();
                }
            }
        }
        self
    }
}

/// Counts that hide each other, and figures that are computed from them.
pub struct CountGroup {
    pub counts: &'static [&'static str],
    pub with: &'static [&'static str],
}

/// Stands for a count that is large enough, but would tell a small one.
pub const HIDDEN: &str = "hidden";

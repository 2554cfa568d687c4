//! Rules about whole columns: S6, and the free text that S9 names.

use xxhash_rust::xxh3::xxh3_64;

use super::Finding;
use super::table::{Facts, NOBODY};
use crate::study::scale::{ColumnKind, PARTICIPANT};

/// How much a column varies.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Blank {
    rows: u64,
    filled: u64,
    /// Hash of the only value so far; of several there is none.
    only: Option<u64>,
    several: bool,
}

impl Blank {
    pub fn see(&mut self, cell: &[u8]) {
        self.rows += 1;
        if cell.is_empty() {
            return;
        }
        self.filled += 1;
        if !self.several {
            let hash = xxh3_64(cell);
            match self.only {
                None if self.filled == 1 => self.only = Some(hash),
                Some(known) if known == hash => {}
                _ => self.several = true,
            }
        }
    }
}

/// Columns that are blank or alike for good reasons.
const FRAME: &[&str] = &["id", "session", "sessionName", "tag", "date", "study", "sessionId", "taskName"];

/// Below so many entries a column says nothing about itself.
const LEAST: u64 = 20;

pub(super) fn check(table: &Facts<'_>, header: &[String], blanks: &[Blank], sink: &mut impl FnMut(&Finding<'_>)) {
    let settled = table.context.study.rules.get("S6").map(|rule| rule.columns.as_slice()).unwrap_or_default();
    for (name, blank) in header.iter().zip(blanks) {
        let plain = !name.starts_with('_') && !FRAME.contains(&name.as_str()) && !PARTICIPANT.contains(&name.as_str());
        // The definition may say that it is meant to be so.
        let told = settled.iter().any(|known| known == name || *known == format!("{}.{name}", table.scale));
        if plain && !told && blank.rows >= LEAST {
            let alike = !blank.several && blank.filled == blank.rows;
            let message = match (blank.filled, alike) {
                (0, _) => Some(format!("empty in all {} entries", blank.rows)),
                (_, true) => Some(format!("the same value in all {} entries", blank.rows)),
                _ => None,
            };
            if let Some(message) = message {
                table.find(sink, "S6", None, NOBODY, name, "", message);
            }
        }
        let free = table.defined.and_then(|scale| scale.column(name));
        if free.is_some_and(|column| column.kind == ColumnKind::FreeText) && blank.filled > 0 {
            table.find(sink, "S9", None, NOBODY, name, "", format!("free text in {} entries", blank.filled));
        }
    }
}

//! Rules about whole columns: S6, S8, and the free text that S9 names.

use xxhash_rust::xxh3::xxh3_64;

use super::Finding;
use super::facts::{NOBODY, TableFacts};
use crate::study::cell::{KINDS, kind};
use crate::study::moment::day_of;
use crate::study::record::Record;
use crate::study::scale::{ColumnKind, PARTICIPANT, Scale};

/// How much a column varies.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Blank {
    filled: u64,
    /// Hash of the only value so far; of several there is none.
    only: Option<u64>,
    several: bool,
    /// By kind of value: how many, the first and the last row.
    kinds: [ColumnSpan; KINDS.len()],
}

/// Of the rows in which a column looks so.
#[derive(Debug, Clone, Copy, Default)]
struct ColumnSpan {
    count: u64,
    first: u64,
    last: u64,
    /// When these rows were entered, in milliseconds since 1970, `i64::MAX` for no date.
    since: i64,
    until: i64,
}

impl Blank {
    /// Takes in the cell of a row, the first is 1; `moment` is when the row was entered.
    pub fn see(&mut self, cell: &[u8], row: u64, moment: i64) {
        if cell.is_empty() {
            return;
        }
        self.filled += 1;
        let span = &mut self.kinds[kind(cell)];
        if span.count == 0 {
            span.first = row;
            span.since = moment;
        }
        span.count += 1;
        span.last = row;
        span.until = moment;
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

impl Blank {
    /// S8: what changed for good in the course of the table, whose rows are in the order of their dates.
    fn drift(&self, rows: u64) -> Option<String> {
        let spans: Vec<(usize, &ColumnSpan)> =
            self.kinds.iter().enumerate().filter(|(_, span)| span.count > 0).collect();
        let first = spans.iter().map(|(_, span)| span.first).min()?;
        let last = spans.iter().map(|(_, span)| span.last).max()?;
        let day = |word: &str, at: i64| if at == i64::MAX { String::new() } else { format!(" {word} {}", day_of(at)) };
        let since = spans.iter().min_by_key(|(_, span)| span.first).map_or(i64::MAX, |(_, span)| span.since);
        let until = spans.iter().max_by_key(|(_, span)| span.last).map_or(i64::MAX, |(_, span)| span.until);
        // Where it is there at all, nearly every entry has it.
        let dense = (last - first + 1) * 9 <= self.filled * 10 && self.filled >= LEAST;
        if dense && first > LEAST {
            return Some(format!("new{}: the {} entries before do not have it", day("since", since), first - 1));
        }
        if dense && rows - last >= LEAST {
            return Some(format!("gone{}: the last {} entries do not have it", day("after", until), rows - last));
        }
        let both = |a: &ColumnSpan, b: &ColumnSpan| a.count >= LEAST && b.count >= LEAST && a.last < b.first;
        let change = spans
            .iter()
            .find_map(|(was, a)| spans.iter().find(|(_, b)| both(a, b)).map(|(is, b)| (*was, *is, b.since)));
        change.map(|(was, is, at)| format!("of another kind{}: {}, then {}", day("since", at), KINDS[was], KINDS[is]))
    }
}

/// Columns that are blank or alike for good reasons.
const FRAME: &[&str] = &["id", "session", "sessionName", "tag", "date", "study", "sessionId", "taskName"];

/// Below so many entries a column says nothing about itself.
const LEAST: u64 = 20;

/// True for columns whose filling says something.
fn is_plain(name: &str) -> bool {
    !name.starts_with('_') && !FRAME.contains(&name) && !PARTICIPANT.contains(&name)
}

/// The columns of a table that these rules look at.
#[derive(Debug)]
pub(super) struct Watch {
    /// With the place of each.
    columns: Vec<(usize, Blank)>,
    rows: u64,
}

impl Watch {
    pub fn new(header: &[String], defined: Option<&Scale>) -> Self {
        let wanted = |name: &str| is_plain(name) || is_free(defined, name);
        let columns = header.iter().enumerate().filter(|(_, name)| wanted(name));
        Self { columns: columns.map(|(at, _)| (at, Blank::default())).collect(), rows: 0 }
    }

    /// Takes in the next row; `moment` is when it was entered, `i64::MAX` for no date.
    pub fn see(&mut self, record: &Record<'_>, moment: i64) {
        self.rows += 1;
        for (at, blank) in &mut self.columns {
            blank.see(record.get(*at).unwrap_or_default(), self.rows, moment);
        }
    }
}

fn is_free(defined: Option<&Scale>, name: &str) -> bool {
    defined.and_then(|scale| scale.column(name)).is_some_and(|column| column.kind == ColumnKind::FreeText)
}

pub(super) fn check(table: &TableFacts<'_>, header: &[String], watch: &Watch, sink: &mut impl FnMut(&Finding<'_>)) {
    let settled = table.context.study.rules.get("S6").map(|rule| rule.columns.as_slice()).unwrap_or_default();
    let rows = watch.rows;
    for (at, blank) in &watch.columns {
        let name = header[*at].as_str();
        let plain = is_plain(name);
        // The definition may say that it is meant to be so.
        let told = settled.iter().any(|known| *known == name || *known == format!("{}.{name}", table.scale));
        if plain && !told && rows >= LEAST {
            let alike = !blank.several && blank.filled == rows;
            let message = match (blank.filled, alike) {
                (0, _) => Some(format!("empty in all {rows} entries")),
                (_, true) => Some(format!("the same value in all {rows} entries")),
                _ => None,
            };
            if let Some(message) = message {
                table.find(sink, "S6", None, NOBODY, name, "", message);
            }
        }
        if plain && let Some(message) = blank.drift(rows) {
            table.find(sink, "S8", None, NOBODY, name, "", message);
        }
        if is_free(table.defined, name) && blank.filled > 0 {
            table.find(sink, "S9", None, NOBODY, name, "", format!("free text in {} entries", blank.filled));
        }
    }
}

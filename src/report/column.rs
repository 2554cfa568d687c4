//! How a column was filled. Cells are counted by their text, and each distinct text is judged only once.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rustc_hash::FxHashMap;

use crate::study::scale::{Column, ColumnKind, MissingMeaning, Scale};
use crate::study::scoring::{CellAnswer, answer};

/// More distinct texts than this are judged and forgotten before going on.
const DISTINCT: usize = 4096;

/// The numbers of one column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnStat {
    pub name: String,
    pub label: String,
    /// Must be answered when the questionnaire is.
    pub required: bool,
    /// The definition's range.
    pub range: Option<(f64, f64)>,
    /// Its text never leaves the tables.
    pub free_text: bool,
    pub entries: u64,
    /// Something stands there that is no code for "no answer"; values outside the range are among them.
    pub answered: u64,
    pub declined: u64,
    pub not_asked: u64,
    pub empty: u64,
    /// Lost by the server: a declared code, question marks, broken characters.
    pub server: u64,
    pub out_of_range: u64,
    /// Of numbers, out of range or not.
    pub seen: Option<(f64, f64)>,
    /// Numbers and how often each was given; empty when there are too many.
    pub values: BTreeMap<Ordered, u64>,
    too_many: bool,
}

impl ColumnStat {
    /// Entries that should have an answer here.
    pub fn asked(&self) -> u64 {
        self.entries - self.not_asked
    }

    pub fn missing(&self) -> u64 {
        self.declined + self.empty + self.server
    }

    /// True when `values` holds every number given.
    pub fn is_counted(&self) -> bool {
        !self.too_many
    }

    fn see(&mut self, number: f64, times: u64) {
        // What people wrote leaves no trace here, a number no more than a word.
        if self.free_text {
            return;
        }
        let (least, most) = self.seen.unwrap_or((number, number));
        self.seen = Some((least.min(number), most.max(number)));
        if self.range.is_none() || self.too_many {
            return;
        }
        *self.values.entry(Ordered(number)).or_default() += times;
        if self.values.len() > DISTINCT {
            self.values.clear();
            self.too_many = true;
        }
    }
}

/// A number that sorts.
#[derive(Debug, Clone, Copy)]
pub struct Ordered(pub f64);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Days on which the meaning of codes changes: between two of them a text means one thing.
#[derive(Debug, Clone, Default)]
pub struct Regimes(Vec<NaiveDate>);

impl Regimes {
    pub fn new(scale: Option<&Scale>) -> Self {
        let codes = scale.into_iter().flat_map(|scale| &scale.columns).flat_map(|column| &column.missing);
        let mut days: Vec<NaiveDate> =
            codes.flat_map(|code| [code.since, code.until.and_then(|day| day.succ_opt())]).flatten().collect();
        days.sort_unstable();
        days.dedup();
        Self(days)
    }

    /// The number of the regime a day lies in; entries without date are their own.
    pub fn of(&self, day: impl FnOnce() -> Option<NaiveDate>) -> u8 {
        if self.0.is_empty() {
            return 0;
        }
        match day() {
            None => u8::MAX,
            Some(day) => u8::try_from(self.0.partition_point(|change| *change <= day)).unwrap_or(u8::MAX - 1),
        }
    }

    /// Some day of that regime.
    fn day(&self, regime: u8) -> Option<NaiveDate> {
        match (regime, self.0.first()) {
            (u8::MAX, _) | (_, None) => None,
            (0, Some(first)) => first.pred_opt(),
            (number, _) => self.0.get(usize::from(number) - 1).copied(),
        }
    }
}

/// A short text and its regime in one number.
fn short(cell: &[u8], regime: u8) -> Option<u128> {
    if cell.len() > 14 {
        return None;
    }
    let mut key = [0_u8; 16];
    key[..cell.len()].copy_from_slice(cell);
    key[14] = u8::try_from(cell.len()).unwrap_or_default();
    key[15] = regime;
    Some(u128::from_le_bytes(key))
}

fn text_of(key: u128) -> (Vec<u8>, u8) {
    let key = key.to_le_bytes();
    (key[..usize::from(key[14])].to_vec(), key[15])
}

/// Counts the cells of one column.
#[derive(Debug)]
pub struct ColumnCounter {
    pub stat: ColumnStat,
    /// Most answers are one digit: in the first regime their counts stand at the digit.
    digits: [u64; 10],
    /// Few texts are found faster by looking along a line.
    few: Vec<(u128, u64)>,
    many: FxHashMap<u128, u64>,
}

impl ColumnCounter {
    pub fn new(name: &str, defined: Option<&Column>) -> Self {
        let range = defined.and_then(|column| match column.kind {
            ColumnKind::Number { least: Some(least), most: Some(most) } => Some((least, most)),
            _ => None,
        });
        let stat = ColumnStat {
            name: name.to_owned(),
            label: defined.map(|column| column.label.clone()).unwrap_or_default(),
            required: defined.is_some_and(|column| column.required),
            free_text: defined.is_some_and(|column| matches!(column.kind, ColumnKind::FreeText)),
            range,
            ..ColumnStat::default()
        };
        Self { stat, digits: [0; 10], few: Vec::new(), many: FxHashMap::default() }
    }

    /// Takes in a cell; how many there were is told at the end.
    pub fn add(&mut self, cell: &[u8], regime: u8, scale: Option<&Scale>, regimes: &Regimes) {
        match cell {
            [] => {
                self.stat.empty += 1;
                return;
            }
            [digit @ b'0'..=b'9'] if regime == 0 => {
                self.digits[usize::from(digit - b'0')] += 1;
                return;
            }
            _ => {}
        }
        let Some(key) = short(cell, regime) else {
            return judge(&mut self.stat, &String::from_utf8_lossy(cell), scale, regimes.day(regime), 1);
        };
        if let Some((_, count)) = self.few.iter_mut().find(|(known, _)| *known == key) {
            *count += 1;
        } else if self.few.len() < 16 {
            self.few.push((key, 1));
        } else {
            *self.many.entry(key).or_default() += 1;
            if self.many.len() > DISTINCT {
                self.settle(scale, regimes);
            }
        }
    }

    /// The numbers, with how many cells were taken in.
    pub fn finish(mut self, entries: u64, scale: Option<&Scale>, regimes: &Regimes) -> ColumnStat {
        self.settle(scale, regimes);
        self.stat.entries = entries;
        self.stat
    }

    /// Judges all texts counted so far.
    fn settle(&mut self, scale: Option<&Scale>, regimes: &Regimes) {
        for (text, times) in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"].iter().zip(&mut self.digits) {
            if *times > 0 {
                judge(&mut self.stat, text, scale, regimes.day(0), std::mem::take(times));
            }
        }
        for (key, times) in self.few.drain(..).chain(self.many.drain()) {
            let (text, regime) = text_of(key);
            let text = String::from_utf8_lossy(&text);
            judge(&mut self.stat, &text, scale, regimes.day(regime), times);
        }
    }
}

fn judge(stat: &mut ColumnStat, cell: &str, scale: Option<&Scale>, day: Option<NaiveDate>, times: u64) {
    let answer = scale.map_or(CellAnswer::Text, |scale| answer(scale, &stat.name, cell, day));
    let number = || cell.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    match answer {
        CellAnswer::Empty => stat.empty += times,
        CellAnswer::Missing(MissingMeaning::Declined) => stat.declined += times,
        CellAnswer::Missing(MissingMeaning::NotAsked) => stat.not_asked += times,
        CellAnswer::Missing(MissingMeaning::Server) => stat.server += times,
        CellAnswer::OutOfRange | CellAnswer::Text if lost(cell) => stat.server += times,
        CellAnswer::Number(number) => {
            stat.answered += times;
            stat.see(number, times);
        }
        CellAnswer::OutOfRange => {
            stat.answered += times;
            stat.out_of_range += times;
            if let Some(number) = number() {
                stat.see(number, times);
            }
        }
        CellAnswer::Text => {
            stat.answered += times;
            if let Some(number) = number() {
                stat.see(number, times);
            }
        }
    }
}

/// Question marks or broken characters where a form's answer was.
fn lost(cell: &str) -> bool {
    cell.len() > 1 && cell.chars().all(|c| c == '?' || c == '\u{fffd}') || cell == "\u{fffd}"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::scale::MissingCode;

    fn counted(cells: &[(&str, Option<NaiveDate>)], scale: &Scale) -> ColumnStat {
        let regimes = Regimes::new(Some(scale));
        let mut counter = ColumnCounter::new("avoid", scale.columns.first());
        for (cell, day) in cells {
            counter.add(cell.as_bytes(), regimes.of(|| *day), Some(scale), &regimes);
        }
        counter.finish(cells.len() as u64, Some(scale), &regimes)
    }

    fn scale() -> Scale {
        let day = NaiveDate::from_ymd_opt(2016, 6, 8);
        let code = |code: &str, meaning, since| MissingCode { code: code.to_owned(), meaning, since, until: None };
        let column = Column {
            name: "avoid".to_owned(),
            label: String::new(),
            kind: ColumnKind::Number { least: Some(0.0), most: Some(4.0) },
            required: true,
            missing: vec![
                code("555", MissingMeaning::Declined, None),
                code("999", MissingMeaning::NotAsked, day),
                code("-2", MissingMeaning::Server, None),
            ],
        };
        Scale { columns: vec![column], ..Scale::default() }
    }

    #[test]
    fn kinds_of_missing_are_told_apart() {
        let cells = ["1", "4", "555", "555.0", "", "????", "-2", "9", "a rather long text", "1"];
        let found = counted(&cells.map(|cell| (cell, None)), &scale());
        assert_eq!((found.entries, found.answered, found.declined, found.empty, found.server), (10, 5, 2, 1, 2));
        assert_eq!((found.out_of_range, found.missing(), found.asked()), (2, 5, 10));
        assert_eq!(found.seen, Some((1.0, 9.0)));
        assert_eq!(found.values.get(&Ordered(1.0)), Some(&2));
    }

    #[test]
    fn a_code_means_what_it_meant_on_that_day() {
        let before = NaiveDate::from_ymd_opt(2016, 6, 7);
        let after = NaiveDate::from_ymd_opt(2016, 6, 8);
        let found = counted(&[("999", before), ("999", after), ("999", after)], &scale());
        assert_eq!((found.out_of_range, found.not_asked, found.asked()), (1, 2, 1));
    }

    #[test]
    fn more_texts_than_are_kept_are_all_counted() {
        let texts: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
        let cells: Vec<_> = texts.iter().map(|text| (text.as_str(), None)).collect();
        let found = counted(&cells, &scale());
        assert_eq!((found.answered, found.declined, found.not_asked), (9998, 1, 1));
        assert_eq!(found.out_of_range, 9998 - 5);
    }
}

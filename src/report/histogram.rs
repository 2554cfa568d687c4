//! How the answers to an item spread over its range: what a picture of them shows, and the table beside it says.

use crate::report::column::ColumnStat;

/// Wider ranges are put into ten bins.
const OPTIONS: f64 = 11.0;

/// What stands right of the range.
pub const BESIDE: [&str; 4] = ["outside", "declined", "empty", "lost"];

/// The answers a range offers, or ten parts of it.
#[derive(Debug, Clone, Copy)]
pub struct Bins {
    least: f64,
    most: f64,
    width: f64,
    count: u32,
    whole: bool,
}

impl Bins {
    pub fn new((least, most): (f64, f64)) -> Self {
        let whole = most - least < OPTIONS && least.fract() == 0.0 && most.fract() == 0.0;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most eleven
        let count = if whole { (most - least) as u32 + 1 } else { 10 };
        let width = if whole { 1.0 } else { (most - least) / 10.0 };
        Self { least, most, width, count, whole }
    }

    fn from(&self, place: u32) -> f64 {
        self.least + f64::from(place) * self.width
    }

    /// Of each bin, from the least on.
    pub fn names(&self) -> Vec<String> {
        let name = |place| {
            if self.whole {
                return self.from(place).to_string();
            }
            let end = if place + 1 == self.count { self.most } else { self.from(place + 1) };
            format!("{}–{end}", self.from(place))
        };
        (0..self.count).map(name).collect()
    }

    /// The bin of a number, if it lies in the range. An end between two belongs to the upper one.
    fn of(&self, number: f64) -> Option<usize> {
        let inside = number >= self.least && number <= self.most;
        let place = || (0..self.count).rev().find(|place| number >= self.from(*place));
        inside.then(place).flatten().map(|place| place as usize)
    }
}

/// How often each answer was given, then what stands beside the range: together all entries that were asked.
pub fn histogram(column: &ColumnStat, bins: Bins) -> Vec<u64> {
    let mut counts = vec![0; bins.count as usize];
    for (value, times) in &column.values {
        if let Some(place) = bins.of(value.0) {
            counts[place] += times;
        }
    }
    counts.extend([column.out_of_range, column.declined, column.empty, column.server]);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::column::Ordered;

    #[allow(clippy::field_reassign_with_default)] // one field is private
    fn counts(range: (f64, f64), values: &[f64]) -> Vec<u64> {
        let mut column = ColumnStat::default();
        column.values = values.iter().map(|value| (Ordered(*value), 1)).collect();
        let mut counts = histogram(&column, Bins::new(range));
        counts.truncate(counts.len() - BESIDE.len());
        counts
    }

    #[test]
    fn each_answer_has_its_place_and_what_lies_outside_has_none() {
        assert_eq!(counts((0.0, 3.0), &[-0.5, 0.0, 1.0, 1.5, 3.0, 3.5]), [1, 2, 0, 1]);
        assert_eq!(counts((0.0, 100.0), &[0.0, 9.9, 10.0, 99.0, 100.0, 100.1]), [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    }

    #[test]
    fn bins_are_named_by_their_answers_or_their_ends() {
        assert_eq!(Bins::new((1.0, 3.0)).names(), ["1", "2", "3"]);
        assert_eq!(Bins::new((0.0, 100.0)).names()[9], "90–100");
    }
}

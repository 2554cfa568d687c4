//! How scores move over the sessions: their number, mean and quartiles, from the scored tables.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use rustc_hash::FxHashSet;

use crate::disk::hashing::Hashing;
use crate::report::tally::TallyColumns;
use crate::study::cell::decimal;
use crate::study::labels::Labels;
use crate::study::schedule::Slots;
use crate::table::records::Records;

/// One score of one scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    pub scale: String,
    pub score: String,
    /// In the schedule's order, then sessions it does not have, by name.
    pub points: Vec<Point>,
}

/// One session.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub session: String,
    pub n: u64,
    pub mean: f64,
    pub least: f64,
    pub lower: f64,
    pub median: f64,
    pub upper: f64,
    pub most: f64,
}

/// A scored table.
#[derive(Debug, Clone)]
pub struct ScoredTable {
    pub scale: String,
    pub rows: u64,
    pub trajectories: Vec<Trajectory>,
    pub hash: blake3::Hash,
}

/// Reads a scored table; answers of test accounts are left out.
pub fn read(path: &Path, scale: &str, slots: &Slots, test: &BTreeSet<&str>) -> io::Result<ScoredTable> {
    let mut file = Hashing::new(File::open(path)?);
    let mut records = Records::new(&mut file)?;
    let header = records.header().to_vec();
    let at = TallyColumns::new(&header);
    let scores: Vec<(usize, &str)> = header
        .iter()
        .enumerate()
        .map(|(at, name)| (at, name.as_str()))
        .filter(|(_, name)| header.iter().any(|other| other.strip_suffix("_n_valid") == Some(name)))
        .collect();
    let test: FxHashSet<&[u8]> = test.iter().map(|id| id.as_bytes()).collect();
    // By session as the table writes it, then score.
    let mut sessions: Vec<(usize, String)> = Vec::new();
    let mut values: Vec<Vec<Vec<f64>>> = Vec::new();
    let mut labels = Labels::default();
    let mut rows = 0;
    while let Some(record) = records.read()? {
        rows += 1;
        if test.contains(record.filled(&at.participant)) {
            continue;
        }
        let session = record.filled(&at.session);
        let number = labels.find([session]).unwrap_or_else(|| {
            let (number, name) = (sessions.len(), String::from_utf8_lossy(session).into_owned());
            sessions.push((slots.session(&name).unwrap_or(usize::MAX), name));
            values.push(vec![Vec::new(); scores.len()]);
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            labels.learn(number);
            number
        });
        for ((place, _), values) in scores.iter().zip(&mut values[number as usize]) {
            values.extend(record.get(*place).and_then(decimal));
        }
    }
    let mut order: Vec<usize> = (0..sessions.len()).collect();
    order.sort_unstable_by_key(|number| &sessions[*number]);
    let trajectories = scores
        .iter()
        .enumerate()
        .map(|(at, (_, score))| {
            let given = order.iter().map(|number| (&sessions[*number].1, std::mem::take(&mut values[*number][at])));
            let given = given.filter(|(_, values)| !values.is_empty());
            Trajectory {
                scale: scale.to_owned(),
                score: (*score).to_owned(),
                points: given.map(|(session, values)| point(session.clone(), values)).collect(),
            }
        })
        .collect();
    Ok(ScoredTable { scale: scale.to_owned(), rows, trajectories, hash: file.hash() })
}

fn point(session: String, mut values: Vec<f64>) -> Point {
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len() as u64;
    let mean = values.iter().sum::<f64>() / n as f64;
    let at = |share: f64| quantile(&values, share);
    Point { session, n, mean, least: at(0.0), lower: at(0.25), median: at(0.5), upper: at(0.75), most: at(1.0) }
}

/// Between neighbours in proportion, as R's default and numpy's do. The values are sorted and not empty.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a place in a list
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor();
    let (low, high) = (sorted[below as usize], sorted[(place.ceil()) as usize]);
    low + (high - low) * (place - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_r() {
        // quantile(c(1, 2, 3, 4, 10))
        let found = point(String::new(), vec![10.0, 4.0, 1.0, 3.0, 2.0]);
        let all = [found.least, found.lower, found.median, found.upper, found.most, found.mean];
        assert_eq!(all.map(|number| number.to_string()), ["1", "2", "3", "4", "10", "4"]);
        assert!((point(String::new(), vec![1.0, 2.0]).lower - 1.25).abs() < 1e-12);
    }
}

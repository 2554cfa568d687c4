//! S7: people forget one by one, servers forget by the day.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::Finding;
use super::facts::{Fact, NOBODY, TableFacts};
use crate::study::each::Each;
use crate::study::moment::day_of;

/// Somewhere an entry is missing, or is there twice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
    pub person: u32,
    pub moment: i64,
    pub session: Option<usize>,
}

impl Gap {
    pub fn of(fact: &Fact, session: Option<usize>) -> Self {
        Self { person: fact.person, moment: fact.moment, session }
    }
}

/// What all entries of a table fall into: what its gaps are held against.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// By days since 1970.
    days: FxHashMap<i64, u64>,
    /// By number in the study.
    sessions: BTreeMap<usize, u64>,
    people: Each<u64>,
}

const DAY: i64 = 86_400_000;

impl Totals {
    pub fn new(table: &TableFacts<'_>) -> Self {
        let mut all = Self::default();
        let mut places = vec![0_u64; table.places.len()];
        for fact in &table.entries {
            if fact.moment != i64::MAX {
                *all.days.entry(fact.moment.div_euclid(DAY)).or_default() += 1;
            }
            if (fact.person as usize) < table.context.roster.people.len() {
                *all.people.at(fact.person) += 1;
            }
            places[fact.place as usize] += 1;
        }
        for (place, count) in table.places.iter().zip(places) {
            if let Some(session) = place.session {
                *all.sessions.entry(session).or_default() += count;
            }
        }
        all
    }
}

/// By a value that entries share: how many.
type CountByValue = BTreeMap<String, u64>;

fn counts(values: impl Iterator<Item = (Option<String>, u64)>) -> CountByValue {
    let mut counts = CountByValue::new();
    for (value, count) in values {
        if let Some(value) = value {
            *counts.entry(value).or_default() += count;
        }
    }
    counts
}

/// Tells when many of a table's gaps fall on one day, in one session or one condition, and its entries do not.
pub(super) fn clusters(table: &TableFacts<'_>, gaps: &[Gap], totals: &Totals, sink: &mut impl FnMut(&Finding<'_>)) {
    let study = table.context.study;
    if (gaps.len() as f64) < study.threshold("S7", "least").max(1.0) {
        return;
    }
    let share = study.threshold("S7", "share");
    let day = |day: i64| Some(day_of(day * DAY).to_string());
    let session = |session: usize| study.sessions.get(session).map(|session| session.name.clone());
    let condition = |person: u32| table.context.roster.people.get(person as usize)?.conditions.last().cloned();
    let each = |of: &dyn Fn(&Gap) -> Option<String>| counts(gaps.iter().map(|gap| (of(gap), 1)));
    let dated = |gap: &Gap| (gap.moment != i64::MAX).then_some(gap.moment.div_euclid(DAY));
    let views = [
        ("date", each(&|gap| day(dated(gap)?)), counts(totals.days.iter().map(|(at, count)| (day(*at), *count)))),
        (
            "session",
            each(&|gap| session(gap.session?)),
            counts(totals.sessions.iter().map(|(at, count)| (session(*at), *count))),
        ),
        (
            "condition",
            each(&|gap| condition(gap.person)),
            counts((0..totals.people.end()).map(|person| (condition(person), totals.people.get(person)))),
        ),
    ];
    for (column, these, others) in views {
        // What everything falls into is no cluster.
        let total: u64 = others.values().sum();
        for (value, count) in &these {
            let part = *count as f64 / gaps.len() as f64;
            let usual = others.get(value).copied().unwrap_or_default() as f64 / total.max(1) as f64;
            if part >= share && part >= 2.0 * usual {
                let message = format!(
                    "{count} of {} gaps and second entries, but {:.0}% of the entries",
                    gaps.len(),
                    usual * 100.0
                );
                table.find(sink, "S7", None, NOBODY, column, value, message);
            }
        }
    }
}

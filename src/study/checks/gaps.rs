//! S7: people forget one by one, servers forget by the day.

use std::collections::BTreeMap;

use super::Finding;
use super::facts::{Fact, Facts, NOBODY};
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

/// What a gap falls into.
type Of<'o> = &'o dyn Fn(&Gap) -> Option<String>;

/// Tells when many of a table's gaps fall on one day, in one session or one condition, and its entries do not.
pub(super) fn clusters(table: &Facts<'_>, gaps: &[Gap], sink: &mut impl FnMut(&Finding<'_>)) {
    let study = table.context.study;
    if (gaps.len() as f64) < study.threshold("S7", "least").max(1.0) {
        return;
    }
    let share = study.threshold("S7", "share");
    let place = |fact: &Fact| table.places[fact.place as usize].session;
    let all: Vec<Gap> = table.entries.iter().map(|fact| Gap::of(fact, place(fact))).collect();
    let condition = |gap: &Gap| {
        let person = table.context.roster.people.get(gap.person as usize)?;
        person.conditions.last().cloned()
    };
    let session = |gap: &Gap| Some(study.sessions.get(gap.session?)?.name.clone());
    let day = |gap: &Gap| (gap.moment != i64::MAX).then(|| day_of(gap.moment).to_string());
    let views: [(&str, Of<'_>); 3] = [("date", &day), ("session", &session), ("condition", &condition)];
    for (column, of) in views {
        let (these, others) = (counts(gaps, of), counts(&all, of));
        // What everything falls into is no cluster.
        let total: usize = others.values().sum();
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

fn counts(gaps: &[Gap], of: Of<'_>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for value in gaps.iter().filter_map(of) {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

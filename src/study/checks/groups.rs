//! Rules about several entries of one table: R3, R4, R5, R7, R8, R18.

use std::collections::BTreeMap;

use super::facts::{Fact, NOBODY, TableFacts};
use super::gaps::Gap;
use super::{Finding, Severity, report};
use crate::study::moment::day_of;

/// R3: participants that the roster does not have, each once.
pub(super) fn strangers(table: &TableFacts<'_>, sink: &mut impl FnMut(&Finding<'_>)) {
    if !table.context.roster.found {
        return;
    }
    let first = table.context.roster.people.len();
    for (number, (_, id)) in table.strangers.iter().enumerate() {
        let person = u32::try_from(first + number).unwrap_or(NOBODY);
        table.find(
            sink,
            "R3",
            Some(*id),
            person,
            "participant",
            "",
            "the participants' table does not have it".to_owned(),
        );
    }
}

/// The values that are there more often than `most` times, sorted; `most` is at least 1. Of millions only few are: two
/// rows of bits, one for what came, one for what came again, leave little to sort. The values should differ in their
/// lowest bits.
fn crowded(values: impl Iterator<Item = u64> + Clone, most: usize) -> Vec<u64> {
    let bits = (values.clone().count() * 8).next_power_of_two().max(64);
    let (mut once, mut again) = (vec![0_u64; bits / 64], vec![0_u64; bits / 64]);
    let place = |value: u64| {
        let bit = usize::try_from(value & (bits as u64 - 1)).unwrap_or_default();
        (bit / 64, 1_u64 << (bit % 64))
    };
    for value in values.clone() {
        let (word, bit) = place(value);
        again[word] |= once[word] & bit;
        once[word] |= bit;
    }
    let candidate = |value: &u64| {
        let (word, bit) = place(*value);
        again[word] & bit != 0
    };
    let mut values: Vec<u64> = values.filter(candidate).collect();
    values.sort_unstable();
    values.chunk_by(|a, b| a == b).filter(|group| group.len() > most).map(|group| group[0]).collect()
}

/// Entries by these of their values.
fn groups<'f>(facts: impl Iterator<Item = (u64, &'f Fact)>, wanted: &[u64]) -> BTreeMap<u64, Vec<&'f Fact>> {
    let mut groups: BTreeMap<u64, Vec<&Fact>> = BTreeMap::new();
    if !wanted.is_empty() {
        for (value, fact) in facts.filter(|(value, _)| wanted.binary_search(value).is_ok()) {
            groups.entry(value).or_default().push(fact);
        }
    }
    groups
}

/// R4: entries that differ in nothing but their ids.
pub(super) fn copies(table: &TableFacts<'_>, sink: &mut impl FnMut(&Finding<'_>)) {
    let twice = crowded(table.wholes.iter().copied(), 1);
    let mut groups: Vec<_> = groups(table.wholes.iter().copied().zip(&table.entries), &twice).into_values().collect();
    for group in &mut groups {
        group.sort_unstable_by_key(|fact| fact.id);
    }
    groups.sort_unstable_by_key(|group| group[0].id);
    for group in groups {
        let Some(last) = group.last() else { continue };
        let ids: Vec<String> = group.iter().take(10).map(|fact| fact.id.to_string()).collect();
        let more = if group.len() > ids.len() { ", ..." } else { "" };
        let message = format!("{} entries are the same but for their ids: {}{more}", group.len(), ids.join(", "));
        table.find(sink, "R4", Some(last.id), last.person, "id", &group.len().to_string(), message);
    }
}

/// R5: several entries of one participant at one place. Returns the second and further ones.
pub(super) fn repeats(table: &TableFacts<'_>, sink: &mut impl FnMut(&Finding<'_>)) -> Vec<Gap> {
    if table.defined.is_some_and(|scale| scale.key.is_empty()) {
        return Vec::new();
    }
    let allowed = table.defined.map_or(1, |scale| scale.times.max(1));
    let place = |fact: &Fact| &table.places[fact.place as usize];
    let people = (table.context.roster.people.len() + table.strangers.len()) as u64;
    let key = |fact: &Fact| u64::from(fact.place) * people + u64::from(fact.person);
    let known = || table.entries.iter().filter(|fact| fact.person != NOBODY && !place(fact).apart);
    let often = crowded(known().map(key), allowed);
    let mut second = Vec::new();
    let mut groups: Vec<_> = groups(known().map(|fact| (key(fact), fact)), &often).into_values().collect();
    groups.sort_unstable_by_key(|group| (group[0].person, group[0].place));
    for mut group in groups {
        group.sort_unstable_by_key(|fact| (fact.moment, fact.id));
        let mut answers: Vec<u64> = group.iter().map(|fact| fact.answers).collect();
        answers.sort_unstable();
        answers.dedup();
        let times: Vec<f64> = group.iter().map(|fact| fact.time).filter(|time| time.is_finite()).collect();
        let mean = if times.is_empty() {
            String::new()
        } else {
            format!(", {:.1} s on the page on average", times.iter().sum::<f64>() / times.len() as f64)
        };
        let first = group[0];
        let what = if answers.len() == 1 {
            "all alike".to_owned()
        } else {
            format!("{} different sets of answers", answers.len())
        };
        let message = format!("{} entries for {}, {what}{mean}", group.len(), place(first).text);
        table.find(sink, "R5", Some(first.id), first.person, "session", &group.len().to_string(), message);
        second.extend(group[allowed..].iter().map(|fact| Gap::of(fact, place(fact).session)));
    }
    second
}

/// R7 and R8: the attempts of each visitor before there was a participant.
pub(super) fn screening(table: &TableFacts<'_>, sink: &mut impl FnMut(&Finding<'_>)) {
    let mut attempts: Vec<&(Fact, u32)> = table.screening.iter().filter(|(_, visitor)| *visitor != u32::MAX).collect();
    attempts.sort_unstable_by_key(|(fact, visitor)| (*visitor, fact.moment, fact.id));
    let study = table.context.study;
    let column = study.screening.as_ref().map_or("", |screening| screening.key.as_str());
    let most = study.threshold("R7", "most_answer_sets");
    for group in attempts.chunk_by(|a, b| a.1 == b.1) {
        let (first, visitor) = group[0];
        let key = &table.visitors[*visitor as usize];
        let mut answers: Vec<u64> = group.iter().map(|(fact, _)| fact.answers).collect();
        answers.sort_unstable();
        answers.dedup();
        let mut people: Vec<u32> =
            group.iter().map(|(fact, _)| fact.person).filter(|person| *person != NOBODY).collect();
        people.sort_unstable();
        people.dedup();
        let who = people.first().copied().unwrap_or(NOBODY);
        if answers.len() as f64 > most {
            let message = format!("{} different sets of answers in {} attempts", answers.len(), group.len());
            table.find(sink, "R7", Some(first.id), who, column, key, message);
        }
        let empty = group.iter().find(|(fact, _)| fact.person == NOBODY);
        if let [one, others @ ..] = people.as_slice() {
            if !others.is_empty() {
                let names: Vec<&str> = people.iter().map(|person| table.name(*person)).collect();
                let id = first.id.to_string();
                report(
                    study,
                    sink,
                    Finding {
                        rule: "R8",
                        scale: table.scale,
                        id: &id,
                        participant: table.name(*one),
                        column,
                        value: key,
                        message: format!("several participants under one key: {}", names.join(", ")).into(),
                        severity: Severity::Error,
                    },
                );
            } else if let Some((fact, _)) = empty {
                let message = "the same visitor before there was an account: proposed as the participant".to_owned();
                table.find(sink, "R8", Some(fact.id), *one, column, key, message);
            }
        }
    }
}

/// R18: days on which a program filled the screening in.
pub(super) fn bots(table: &TableFacts<'_>, sink: &mut impl FnMut(&Finding<'_>)) {
    let mut days: BTreeMap<_, Vec<&Fact>> = BTreeMap::new();
    for (fact, _) in table.screening.iter().filter(|(fact, _)| fact.moment != i64::MAX) {
        days.entry(day_of(fact.moment)).or_default().push(fact);
    }
    let mut sizes: Vec<usize> = days.values().map(Vec::len).collect();
    sizes.sort_unstable();
    let Some(median) = sizes.get(sizes.len() / 2).copied().filter(|_| sizes.len() > 2) else { return };
    let study = table.context.study;
    let (times, share) = (study.threshold("R18", "times_median"), study.threshold("R18", "share"));
    for (day, facts) in &days {
        let size = facts.len() as f64;
        if size <= times * median as f64 {
            continue;
        }
        let nobody = facts.iter().filter(|fact| fact.person == NOBODY).count() as f64;
        let mut seconds: Vec<u64> = facts.iter().map(|fact| fact.time.to_bits()).collect();
        seconds.sort_unstable();
        let alike = seconds.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap_or_default() as f64;
        if alike >= share * size && nobody >= share * size {
            let message = format!(
                "{} screening entries, the median of a day is {median}; {:.0}% with the same time on the page, {:.0}% without participant",
                facts.len(),
                alike / size * 100.0,
                nobody / size * 100.0
            );
            table.find(sink, "R18", None, NOBODY, "date", &day.to_string(), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn crowded_values_are_those_that_counting_finds(values in proptest::collection::vec(0..90_u64, 0..200), most in 1..4_usize) {
            let spread = |value: &u64| if value.is_multiple_of(2) { value << 32 } else { *value };
            let values: Vec<u64> = values.iter().map(spread).collect();
            let mut counts = BTreeMap::<u64, usize>::new();
            for value in &values {
                *counts.entry(*value).or_default() += 1;
            }
            let expected: Vec<u64> = counts.into_iter().filter(|(_, count)| *count > most).map(|(value, _)| value).collect();
            prop_assert_eq!(crowded(values.iter().copied(), most), expected);
        }
    }
}

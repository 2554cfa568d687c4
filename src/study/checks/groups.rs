//! Rules about several entries of one table: R3, R4, R5, R7, R8, R18.

use std::collections::BTreeMap;

use super::facts::{Fact, Facts, NOBODY};
use super::gaps::Gap;
use super::{Finding, Severity, report};
use crate::study::moment::day_of;

/// R3: participants that the roster does not have, each once.
pub(super) fn strangers(table: &Facts<'_>, sink: &mut impl FnMut(&Finding<'_>)) {
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

/// The values that are there more often than `most` times, sorted. Of millions only few are, and numbers sort fast.
fn crowded(mut values: Vec<u64>, most: usize) -> Vec<u64> {
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
pub(super) fn copies(table: &Facts<'_>, sink: &mut impl FnMut(&Finding<'_>)) {
    let twice = crowded(table.wholes.clone(), 1);
    for mut group in groups(table.wholes.iter().copied().zip(&table.entries), &twice).into_values() {
        group.sort_unstable_by_key(|fact| fact.id);
        let Some(last) = group.last() else { continue };
        let ids: Vec<String> = group.iter().take(10).map(|fact| fact.id.to_string()).collect();
        let more = if group.len() > ids.len() { ", ..." } else { "" };
        let message = format!("{} entries are the same but for their ids: {}{more}", group.len(), ids.join(", "));
        table.find(sink, "R4", Some(last.id), last.person, "id", &group.len().to_string(), message);
    }
}

/// R5: several entries of one participant at one place. Returns the second and further ones.
pub(super) fn repeats(table: &Facts<'_>, sink: &mut impl FnMut(&Finding<'_>)) -> Vec<Gap> {
    if table.defined.is_some_and(|scale| scale.key.is_empty()) {
        return Vec::new();
    }
    let allowed = table.defined.map_or(1, |scale| scale.times.max(1));
    let place = |fact: &Fact| &table.places[fact.place as usize];
    let key = |fact: &Fact| u64::from(fact.person) << 32 | u64::from(fact.place);
    let known = || table.entries.iter().filter(|fact| fact.person != NOBODY && !place(fact).apart);
    let often = crowded(known().map(key).collect(), allowed);
    let mut second = Vec::new();
    for mut group in groups(known().map(|fact| (key(fact), fact)), &often).into_values() {
        group.sort_unstable_by_key(|fact| (fact.moment, fact.id));
        let mut answers: Vec<u64> = group.iter().map(|fact| fact.answers).collect();
        answers.sort_unstable();
        answers.dedup();
        let times: Vec<f32> = group.iter().map(|fact| fact.time).filter(|time| time.is_finite()).collect();
        let mean = if times.is_empty() {
            String::new()
        } else {
            format!(", {:.1} s on the page on average", times.iter().sum::<f32>() / times.len() as f32)
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
pub(super) fn screening(table: &Facts<'_>, sink: &mut impl FnMut(&Finding<'_>)) {
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
pub(super) fn bots(table: &Facts<'_>, sink: &mut impl FnMut(&Finding<'_>)) {
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
        let mut seconds: Vec<u32> = facts.iter().map(|fact| fact.time.to_bits()).collect();
        seconds.sort_unstable();
        let alike = seconds.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap_or_default() as f64;
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

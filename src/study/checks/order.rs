//! Rules about when and where: R10, R17, S1.

use std::collections::BTreeMap;

use super::Finding;
use super::facts::{Facts, NOBODY};
use super::gaps::Gap;
use super::log::{Act, is_compared};

const DAY: f64 = 86_400_000.0;

/// The table's own acts: each participant's first entry at each place, by slot, person, moment.
fn acts(table: &Facts<'_>) -> Vec<Act> {
    let act = |fact: &super::facts::Fact| {
        let slot = u32::try_from(table.places[fact.place as usize].slot?).ok()?;
        (fact.person != NOBODY).then_some(Act { slot, person: fact.person, moment: fact.moment, id: fact.id })
    };
    let mut acts: Vec<Act> = table.entries.iter().filter_map(act).collect();
    acts.sort_unstable();
    acts.dedup_by_key(|act| (act.slot, act.person));
    acts
}

/// S1 and R17: the table beside TaskLog. Returns where one of the two has a gap.
pub(super) fn against_log(table: &Facts<'_>, sink: &mut impl FnMut(&Finding<'_>)) -> Vec<Gap> {
    let context = table.context;
    let kind = table.defined.map(|scale| scale.kind).unwrap_or_default();
    if !context.log.found || !is_compared(kind) {
        return Vec::new();
    }
    let own = acts(table);
    let mut gaps = Vec::new();
    let (minutes, tolerance) = (context.study.threshold("R17", "minutes"), context.study.threshold("R17", "tolerance"));
    for (number, slot) in
        context.slots.all.iter().enumerate().filter(|(_, slot)| slot.scale.as_deref() == Some(table.scale))
    {
        let wanted = u32::try_from(number).unwrap_or(u32::MAX);
        let start = own.partition_point(|act| act.slot < wanted);
        let own = &own[start..start + own[start..].partition_point(|act| act.slot == wanted)];
        let session = &context.study.sessions[slot.session].name;
        let place = slot.tag.as_ref().map_or_else(|| session.clone(), |tag| format!("{session}/{tag}"));
        // Both are sorted by person: walk along both.
        let (mut mine, mut theirs) = (own.iter().peekable(), firsts(context.log.at(number)).peekable());
        loop {
            let (act, logged) = match (mine.peek(), theirs.peek()) {
                (None, None) => break,
                (Some(act), Some(logged)) if act.person == logged.person => (mine.next(), theirs.next()),
                (Some(act), Some(logged)) if act.person < logged.person => (mine.next(), None),
                (Some(_), None) => (mine.next(), None),
                (_, Some(_)) => (None, theirs.next()),
            };
            match (act, logged) {
                (Some(act), Some(logged)) => {
                    if act.moment == i64::MAX || logged.moment == i64::MAX {
                        continue;
                    }
                    let apart = (act.moment - logged.moment) as f64 / 60_000.0;
                    if (apart.abs() - minutes).abs() <= tolerance {
                        let message = format!(
                            "TaskLog has it {:.0} minutes {}",
                            apart.abs(),
                            if apart > 0.0 { "earlier" } else { "later" }
                        );
                        table.find(sink, "R17", Some(act.id), act.person, "date", &place, message);
                    }
                }
                (Some(act), None) => {
                    // Whom the roster does not have, TaskLog cannot have.
                    if (act.person as usize) < context.roster.people.len() {
                        let message = "the table has it, TaskLog has not".to_owned();
                        table.find(sink, "S1", Some(act.id), act.person, "session", &place, message);
                        gaps.push(Gap { person: act.person, moment: act.moment, session: Some(slot.session) });
                    }
                }
                (None, Some(logged)) => {
                    let message = "TaskLog has it, the table has not".to_owned();
                    table.find(sink, "S1", None, logged.person, "session", &place, message);
                    gaps.push(Gap { person: logged.person, moment: logged.moment, session: Some(slot.session) });
                }
                (None, None) => {}
            }
        }
    }
    gaps
}

/// Each person's first act.
fn firsts(acts: &[Act]) -> impl Iterator<Item = &Act> {
    acts.chunk_by(|a, b| a.person == b.person).filter_map(<[Act]>::first)
}

/// R10: each participant's way through the sessions that have this questionnaire.
pub(super) fn sessions(table: &Facts<'_>, sink: &mut impl FnMut(&Finding<'_>)) {
    let context = table.context;
    let mut scheduled: Vec<usize> = context
        .slots
        .all
        .iter()
        .filter(|slot| slot.scale.as_deref() == Some(table.scale))
        .map(|slot| slot.session)
        .collect();
    scheduled.dedup();
    if scheduled.len() < 2 {
        return;
    }
    let session_of = |slot: u32| context.slots.all[slot as usize].session;
    let mut own = acts(table);
    own.sort_unstable_by_key(|act| (act.person, session_of(act.slot), act.moment));
    own.dedup_by_key(|act| (act.person, session_of(act.slot)));
    let logged = logged_order(table, &scheduled);
    for person in own.chunk_by(|a, b| a.person == b.person) {
        gap(table, &scheduled, person, sink);
        if !backwards(table, person, sink) {
            too_soon(table, person, sink);
        }
        if let Some(order) = logged.get(&person[0].person) {
            unlike_log(table, person, order, sink);
        }
    }
}

fn name<'t>(table: &'t Facts<'_>, session: usize) -> &'t str {
    &table.context.study.sessions[session].name
}

/// A session without entry between two that have one.
fn gap(table: &Facts<'_>, scheduled: &[usize], person: &[Act], sink: &mut impl FnMut(&Finding<'_>)) {
    let session_of = |act: &Act| table.context.slots.all[act.slot as usize].session;
    let (Some(first), Some(last)) = (person.first().map(session_of), person.last().map(session_of)) else { return };
    let between = scheduled.iter().filter(|session| (first..last).contains(*session));
    for session in between.filter(|session| !person.iter().any(|act| session_of(act) == **session)) {
        let after = person.iter().find(|act| session_of(act) > *session);
        let message = format!("no entry between {} and {}", name(table, first), name(table, last));
        table.find(sink, "R10", after.map(|act| act.id), person[0].person, "session", name(table, *session), message);
    }
}

/// A later session with an earlier date.
fn backwards(table: &Facts<'_>, person: &[Act], sink: &mut impl FnMut(&Finding<'_>)) -> bool {
    let mut found = false;
    for pair in person.windows(2) {
        let [before, after] = pair else { continue };
        if after.moment < before.moment && before.moment != i64::MAX {
            let session = |act: &Act| name(table, table.context.slots.all[act.slot as usize].session);
            let message = format!("dated before {}", session(before));
            table.find(sink, "R10", Some(after.id), after.person, "date", session(after), message);
            found = true;
        }
    }
    found
}

/// Two sessions closer than the schedule lets anybody go.
fn too_soon(table: &Facts<'_>, person: &[Act], sink: &mut impl FnMut(&Finding<'_>)) {
    let context = table.context;
    let slack = context.study.threshold("R10", "slack_days");
    for pair in person.windows(2) {
        let [before, after] = pair else { continue };
        if before.moment == i64::MAX || after.moment == i64::MAX {
            continue;
        }
        let [from, to] = [before, after].map(|act| context.slots.all[act.slot as usize].session);
        let least: f64 =
            context.study.sessions[from + 1..=to].iter().map(|session| session.gap_days.unwrap_or_default()).sum();
        let days = (after.moment - before.moment) as f64 / DAY;
        if least > 0.0 && days < least - slack {
            let message = format!("{days:.1} days after {}, the schedule asks for {least}", name(table, from));
            table.find(sink, "R10", Some(after.id), after.person, "date", name(table, to), message);
        }
    }
}

/// In which order TaskLog has each participant's sessions of this questionnaire.
fn logged_order(table: &Facts<'_>, scheduled: &[usize]) -> BTreeMap<u32, Vec<usize>> {
    let context = table.context;
    let mut firsts: BTreeMap<u32, BTreeMap<usize, i64>> = BTreeMap::new();
    for (number, slot) in
        context.slots.all.iter().enumerate().filter(|(_, slot)| slot.scale.as_deref() == Some(table.scale))
    {
        for act in context.log.at(number).iter().filter(|act| act.moment != i64::MAX) {
            let moment = firsts.entry(act.person).or_default().entry(slot.session).or_insert(act.moment);
            *moment = (*moment).min(act.moment);
        }
    }
    let sorted = |sessions: BTreeMap<usize, i64>| {
        let mut order: Vec<usize> = sessions.keys().copied().filter(|session| scheduled.contains(session)).collect();
        order.sort_by_key(|session| (sessions[session], *session));
        order
    };
    firsts.into_iter().map(|(person, sessions)| (person, sorted(sessions))).collect()
}

/// The table's order by date against TaskLog's, over the sessions that both have.
fn unlike_log(table: &Facts<'_>, person: &[Act], logged: &[usize], sink: &mut impl FnMut(&Finding<'_>)) {
    let session_of = |act: &Act| table.context.slots.all[act.slot as usize].session;
    let mut own: Vec<&Act> = person.iter().filter(|act| act.moment != i64::MAX).collect();
    own.sort_by_key(|act| (act.moment, session_of(act)));
    let own: Vec<&Act> = own.into_iter().filter(|act| logged.contains(&session_of(act))).collect();
    let theirs = logged.iter().copied().filter(|session| own.iter().any(|act| session_of(act) == *session));
    let differs = own.iter().zip(theirs).find(|(act, session)| session_of(act) != *session);
    if let Some((act, session)) = differs {
        let message = format!("by date this is {}, by TaskLog {}", name(table, session_of(act)), name(table, session));
        table.find(sink, "R10", Some(act.id), act.person, "session", name(table, session_of(act)), message);
    }
}

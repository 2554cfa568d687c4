//! Rules about when and where: R10, R17, S1.

use super::Finding;
use super::facts::{NOBODY, TableFacts};
use super::gaps::Gap;
use super::log::{Log, is_compared};
use crate::study::each::Grid;

const DAY: f64 = 86_400_000.0;

/// The first entry of somebody at some place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct First {
    /// Milliseconds since 1970, `i64::MAX` for no date, `i64::MIN` for no entry.
    moment: i64,
    id: i64,
}

impl Default for First {
    fn default() -> Self {
        Self { moment: i64::MIN, id: 0 }
    }
}

/// Each participant's first entry at each slot of a questionnaire.
#[derive(Debug, Default)]
pub(super) struct Firsts {
    /// Of the schedule, in its order.
    slots: Vec<usize>,
    /// By place in `slots`.
    entries: Grid<First>,
}

impl Firsts {
    pub fn new(table: &TableFacts<'_>) -> Self {
        let slots = table.context.slots.all.iter().enumerate();
        let slots: Vec<usize> =
            slots.filter(|(_, slot)| slot.scale.as_deref() == Some(table.scale)).map(|(number, _)| number).collect();
        let places: Vec<Option<usize>> =
            table.places.iter().map(|place| slots.iter().position(|slot| Some(*slot) == place.slot)).collect();
        let mut entries = Grid::<First>::default();
        for fact in table.entries.iter().filter(|fact| fact.person != NOBODY) {
            let Some(place) = places[fact.place as usize] else { continue };
            let first = entries.at(place, fact.person);
            let this = First { moment: fact.moment, id: fact.id };
            if first.moment == i64::MIN || this < *first {
                *first = this;
            }
        }
        Self { slots, entries }
    }

    fn at(&self, place: usize, person: u32) -> Option<First> {
        Some(self.entries.get(place, person)).filter(|first| first.moment != i64::MIN)
    }
}

/// S1 and R17: the table beside TaskLog. Returns where one of the two has a gap.
pub(super) fn against_log(
    table: &TableFacts<'_>,
    firsts: &Firsts,
    log: &Log,
    sink: &mut impl FnMut(&Finding<'_>),
) -> Vec<Gap> {
    let context = table.context;
    let kind = table.defined.map(|scale| scale.kind).unwrap_or_default();
    if !log.found || !is_compared(kind) {
        return Vec::new();
    }
    let mut gaps = Vec::new();
    for (at, number) in firsts.slots.iter().enumerate() {
        let slot = &context.slots.all[*number];
        let session = &context.study.sessions[slot.session].name;
        let place = slot.tag.as_ref().map_or_else(|| session.clone(), |tag| format!("{session}/{tag}"));
        for person in 0..firsts.entries.end(at).max(log.end(*number)) {
            let session = Some(slot.session);
            match (firsts.at(at, person), log.first(*number, person)) {
                (Some(own), Some(logged)) => apart(table, own, logged, person, &place, sink),
                (Some(own), None) => {
                    // Whom the roster does not have, TaskLog cannot have.
                    if (person as usize) < context.roster.people.len() {
                        let message = "the table has it, TaskLog has not".to_owned();
                        table.find(sink, "S1", Some(own.id), person, "session", &place, message);
                        gaps.push(Gap { person, moment: own.moment, session });
                    }
                }
                (None, Some(moment)) => {
                    let message = "TaskLog has it, the table has not".to_owned();
                    table.find(sink, "S1", None, person, "session", &place, message);
                    gaps.push(Gap { person, moment, session });
                }
                (None, None) => {}
            }
        }
    }
    gaps
}

/// R17: both have it, with the distance that a clock of another zone makes.
fn apart(
    table: &TableFacts<'_>,
    own: First,
    logged: i64,
    person: u32,
    place: &str,
    sink: &mut impl FnMut(&Finding<'_>),
) {
    if own.moment == i64::MAX || logged == i64::MAX || own.moment == logged {
        return;
    }
    let study = table.context.study;
    let (minutes, tolerance) = (study.threshold("R17", "minutes"), study.threshold("R17", "tolerance"));
    let apart = (own.moment - logged) as f64 / 60_000.0;
    if (apart.abs() - minutes).abs() <= tolerance {
        let direction = if apart > 0.0 { "earlier" } else { "later" };
        let message = format!("TaskLog has it {:.0} minutes {direction}", apart.abs());
        table.find(sink, "R17", Some(own.id), person, "date", place, message);
    }
}

/// Somebody's first entry in a session.
#[derive(Debug, Clone, Copy)]
struct SessionStart {
    person: u32,
    session: usize,
    moment: i64,
    id: i64,
}

/// R10: each participant's way through the sessions that have this questionnaire.
pub(super) fn sessions(table: &TableFacts<'_>, firsts: &Firsts, log: &Log, sink: &mut impl FnMut(&Finding<'_>)) {
    let all = &table.context.slots.all;
    // Of each session the places in the table's slots: the schedule has them one behind the other.
    let places: Vec<usize> = (0..firsts.slots.len()).collect();
    let session_of = |place: usize| all[firsts.slots[place]].session;
    let sessions: Vec<(usize, &[usize])> =
        places.chunk_by(|a, b| session_of(*a) == session_of(*b)).map(|group| (session_of(group[0]), group)).collect();
    if sessions.len() < 2 {
        return;
    }
    let scheduled: Vec<usize> = sessions.iter().map(|(session, _)| *session).collect();
    let end = places.iter().map(|place| firsts.entries.end(*place)).max().unwrap_or_default();
    let (mut own, mut logged) = (Vec::new(), Vec::new());
    for person in 0..end {
        own.clear();
        logged.clear();
        for (session, places) in &sessions {
            if let Some(first) = places.iter().filter_map(|place| firsts.at(*place, person)).min() {
                own.push(SessionStart { person, session: *session, moment: first.moment, id: first.id });
            }
            let first = places.iter().filter_map(|place| log.first(firsts.slots[*place], person)).min();
            logged.extend(first.filter(|moment| *moment != i64::MAX).map(|moment| (moment, *session)));
        }
        if own.is_empty() {
            continue;
        }
        gap(table, &scheduled, &own, sink);
        if !backwards(table, &own, sink) {
            too_soon(table, &own, sink);
        }
        logged.sort_unstable();
        unlike_log(table, &own, &logged, sink);
    }
}

fn name<'t>(table: &'t TableFacts<'_>, session: usize) -> &'t str {
    &table.context.study.sessions[session].name
}

/// A session without entry between two that have one.
fn gap(table: &TableFacts<'_>, scheduled: &[usize], person: &[SessionStart], sink: &mut impl FnMut(&Finding<'_>)) {
    let (Some(first), Some(last)) = (person.first(), person.last()) else { return };
    let between = scheduled.iter().filter(|session| (first.session..last.session).contains(*session));
    for session in between.filter(|session| !person.iter().any(|act| act.session == **session)) {
        let after = person.iter().find(|act| act.session > *session);
        let message = format!("no entry between {} and {}", name(table, first.session), name(table, last.session));
        table.find(sink, "R10", after.map(|act| act.id), first.person, "session", name(table, *session), message);
    }
}

/// A later session with an earlier date.
fn backwards(table: &TableFacts<'_>, person: &[SessionStart], sink: &mut impl FnMut(&Finding<'_>)) -> bool {
    let mut found = false;
    for pair in person.windows(2) {
        let [before, after] = pair else { continue };
        if after.moment < before.moment && before.moment != i64::MAX {
            let message = format!("dated before {}", name(table, before.session));
            table.find(sink, "R10", Some(after.id), after.person, "date", name(table, after.session), message);
            found = true;
        }
    }
    found
}

/// Two sessions closer than the schedule lets anybody go.
fn too_soon(table: &TableFacts<'_>, person: &[SessionStart], sink: &mut impl FnMut(&Finding<'_>)) {
    let study = table.context.study;
    let slack = study.threshold("R10", "slack_days");
    for pair in person.windows(2) {
        let [before, after] = pair else { continue };
        if before.moment == i64::MAX || after.moment == i64::MAX {
            continue;
        }
        let (from, to) = (before.session, after.session);
        let least: f64 = study.sessions[from + 1..=to].iter().map(|session| session.gap_days.unwrap_or_default()).sum();
        let days = (after.moment - before.moment) as f64 / DAY;
        if least > 0.0 && days < least - slack {
            let message = format!("{days:.1} days after {}, the schedule asks for {least}", name(table, from));
            table.find(sink, "R10", Some(after.id), after.person, "date", name(table, to), message);
        }
    }
}

/// The table's order by date against TaskLog's, over the sessions that both have.
fn unlike_log(
    table: &TableFacts<'_>,
    person: &[SessionStart],
    logged: &[(i64, usize)],
    sink: &mut impl FnMut(&Finding<'_>),
) {
    let has = |session: usize| logged.iter().any(|(_, logged)| *logged == session);
    let mut own: Vec<&SessionStart> = person.iter().filter(|act| act.moment != i64::MAX && has(act.session)).collect();
    // Whose sessions follow each other in both agrees; that is nearly everyone.
    own.sort_by_key(|act| (act.moment, act.session));
    let theirs = logged.iter().map(|(_, session)| *session);
    let theirs = theirs.filter(|session| own.iter().any(|act| act.session == *session));
    if let Some((act, session)) = own.iter().zip(theirs).find(|(act, session)| act.session != *session) {
        let message = format!("by date this is {}, by TaskLog {}", name(table, act.session), name(table, session));
        table.find(sink, "R10", Some(act.id), act.person, "session", name(table, act.session), message);
    }
}

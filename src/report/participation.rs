//! What each participant did: gathered table by table, in any order, with the same result.

use std::collections::HashMap;
use std::sync::Arc;

use crate::study::each::{Each, Grid};
use crate::study::roster::Roster;
use crate::study::schedule::Slots;

/// What one table says of its participants. Numbers from the roster's length on are people it does not have.
#[derive(Debug, Default)]
pub struct Participation {
    pub strangers: Vec<String>,
    stranger_index: HashMap<String, u32>,
    /// By slot: how many entries.
    pub given: Grid<u8>,
    /// By slot: how many rows of TaskLog.
    pub logged: Grid<u8>,
    /// By session: the first moment, as milliseconds since 1970, plus one.
    pub reached: Grid<i64>,
    pub completed: Grid<bool>,
    pub life: Each<Life>,
}

/// What is known of someone beside the slots.
#[derive(Debug, Clone, Default)]
pub struct Life {
    pub entries: u32,
    /// Entries at places where the schedule has none.
    pub extra: u32,
    /// Second and further entries for one place.
    pub repeated: u32,
    /// The newest moment of anything they did; milliseconds since 1970.
    pub last: Option<i64>,
    /// The newest task in TaskLog, and when.
    pub task: Option<(i64, Arc<str>)>,
}

impl Participation {
    /// The number of a participant, of the roster or not.
    pub fn number(&mut self, roster: &Roster, id: &str) -> u32 {
        if let Some(number) = roster.number(id.as_bytes()) {
            return number;
        }
        if let Some(number) = self.stranger_index.get(id) {
            return *number;
        }
        let number = u32::try_from(roster.people.len() + self.strangers.len()).unwrap_or(u32::MAX);
        self.strangers.push(id.to_owned());
        self.stranger_index.insert(id.to_owned(), number);
        number
    }

    /// Notes that someone was in a session.
    pub fn reach(&mut self, person: u32, session: usize, moment: Option<i64>) {
        let first = self.reached.at(session, person);
        let moment = moment.map_or(i64::MAX, |moment| moment + 1);
        *first = if *first == 0 { moment } else { (*first).min(moment) };
    }

    /// Takes in what another table says.
    pub fn merge(&mut self, other: Self, roster: &Roster) {
        let known = u32::try_from(roster.people.len()).unwrap_or(u32::MAX);
        let moved: Vec<u32> = other.strangers.iter().map(|id| self.number(roster, id)).collect();
        let number = |place: usize| {
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            if place < known { place } else { moved[(place - known) as usize] }
        };
        for (mine, theirs) in [(&mut self.given, other.given), (&mut self.logged, other.logged)] {
            for (slot, counts) in theirs.into_iter().enumerate() {
                for (place, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                    let sum = mine.at(slot, number(place));
                    *sum = sum.saturating_add(count);
                }
            }
        }
        for (session, moments) in other.reached.into_iter().enumerate() {
            for (place, moment) in moments.into_iter().enumerate().filter(|(_, moment)| *moment != 0) {
                let first = self.reached.at(session, number(place));
                *first = if *first == 0 { moment } else { (*first).min(moment) };
            }
        }
        for (session, done) in other.completed.into_iter().enumerate() {
            for (place, _) in done.into_iter().enumerate().filter(|(_, done)| *done) {
                *self.completed.at(session, number(place)) = true;
            }
        }
        for (place, life) in other.life.into_iter().enumerate() {
            let mine = self.life.at(number(place));
            mine.entries += life.entries;
            mine.extra += life.extra;
            mine.repeated += life.repeated;
            mine.last = mine.last.max(life.last);
            mine.task = mine.task.take().max(life.task);
        }
    }

    /// Everyone who did anything or is in the roster.
    pub fn numbers(&self, roster: &Roster) -> std::ops::Range<u32> {
        0..u32::try_from(roster.people.len() + self.strangers.len()).unwrap_or(u32::MAX)
    }

    pub fn stranger(&self, roster: &Roster, number: u32) -> Option<&str> {
        let place = (number as usize).checked_sub(roster.people.len())?;
        self.strangers.get(place).map(String::as_str)
    }

    pub fn given(&self, slot: usize, person: u32) -> u8 {
        self.given.get(slot, person)
    }

    pub fn logged(&self, slot: usize, person: u32) -> u8 {
        self.logged.get(slot, person)
    }

    pub fn completed(&self, session: usize, person: u32) -> bool {
        self.completed.get(session, person)
    }

    pub fn reached(&self, session: usize, person: u32) -> bool {
        self.reached.get(session, person) != 0
    }

    /// When someone was first in a session; `None` for never and for an unknown moment.
    pub fn reached_at(&self, session: usize, person: u32) -> Option<i64> {
        match self.reached.get(session, person) {
            0 | i64::MAX => None,
            moment => Some(moment - 1),
        }
    }

    /// The furthest session and, within it, the last slot that someone filled.
    pub fn position(&self, slots: &Slots, person: u32) -> Option<(usize, Option<usize>)> {
        let session = (0..slots.sessions.len()).rev().find(|session| self.reached(*session, person))?;
        let last = slots.all.iter().enumerate().rev().find(|(slot, defined)| {
            defined.session == session && (self.given(*slot, person) > 0 || self.logged(*slot, person) > 0)
        });
        Some((session, last.map(|(slot, _)| slot)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::roster::Person;

    fn table(roster: &Roster, ids: &[&str], slot: usize) -> Participation {
        let mut participation = Participation::default();
        for id in ids {
            let number = participation.number(roster, id);
            *participation.given.at(slot, number) += 1;
            participation.reach(number, slot, i64::try_from(slot).ok());
        }
        participation
    }

    #[test]
    fn strangers_of_several_tables_are_one_person_each_in_any_order() {
        let mut roster = Roster::default();
        roster.add(Person { id: "7".to_owned(), ..Person::default() }, b"57");
        let one = || table(&roster, &["8", "7", "9"], 0);
        let two = || table(&roster, &["9", "10"], 1);
        for flip in [false, true] {
            let mut all = Participation::default();
            let (first, second) = if flip { (two(), one()) } else { (one(), two()) };
            all.merge(first, &roster);
            all.merge(second, &roster);
            let nine = all.number(&roster, "9");
            assert_eq!((all.given(0, nine), all.given(1, nine), all.numbers(&roster).len()), (1, 1, 4));
            assert_eq!((all.reached(1, 0), all.reached_at(0, 0), all.reached_at(1, nine)), (false, Some(0), Some(1)));
        }
    }
}

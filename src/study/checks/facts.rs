//! What the rules about several entries look at: of each entry a few numbers, and what they stand for.

use super::{Finding, Severity, report};
use crate::study::roster::Roster;
use crate::study::scale::{Scale, Study};
use crate::study::schedule::Slots;

/// What every table of a server is held against.
pub struct Context<'c> {
    pub study: &'c Study,
    pub roster: &'c Roster,
    pub slots: &'c Slots,
}

impl<'c> Context<'c> {
    pub fn new(study: &'c Study, slots: &'c Slots, roster: &'c Roster) -> Self {
        Self { study, roster, slots }
    }
}

/// Nobody: an entry whose participant is not known.
pub(crate) const NOBODY: u32 = u32::MAX;

/// What the group rules need of one entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fact {
    /// In the roster, or beyond it for those that it does not have.
    pub person: u32,
    /// The other key columns' texts.
    pub place: u32,
    /// Milliseconds since 1970, `i64::MAX` for none.
    pub moment: i64,
    pub id: i64,
    /// Hash of the answers.
    pub answers: u64,
    /// Seconds on the page.
    pub time: f64,
}

/// The key columns' texts of some entries.
#[derive(Debug, Clone)]
pub(crate) struct FactPlace {
    pub text: String,
    pub session: Option<usize>,
    /// Into the context's slots.
    pub slot: Option<usize>,
    /// Screening, or a mark that is no session: nobody answers twice there.
    pub apart: bool,
}

/// A table that was read.
pub(crate) struct TableFacts<'t> {
    pub context: &'t Context<'t>,
    pub scale: &'t str,
    pub defined: Option<&'t Scale>,
    pub entries: Vec<Fact>,
    /// Of each entry, the hash of everything but its id.
    pub wholes: Vec<u64>,
    pub places: Vec<FactPlace>,
    /// Entries that decide who may take part, with their visitors.
    pub screening: Vec<(Fact, u32)>,
    pub visitors: Vec<String>,
    /// Participants that the roster does not have, by number beyond it, with their first entry.
    pub strangers: Vec<(String, i64)>,
}

impl TableFacts<'_> {
    pub fn name(&self, person: u32) -> &str {
        let people = &self.context.roster.people;
        match people.get(person as usize) {
            Some(person) => &person.id,
            None => self.strangers.get((person as usize).wrapping_sub(people.len())).map_or("", |(name, _)| name),
        }
    }

    /// Sends a finding about one entry or participant on.
    #[allow(clippy::too_many_arguments)] // the columns of checks.csv
    pub fn find(
        &self,
        sink: &mut impl FnMut(&Finding<'_>),
        rule: &'static str,
        id: Option<i64>,
        person: u32,
        column: &str,
        value: &str,
        message: String,
    ) {
        let id = id.filter(|id| *id != i64::MAX).map(|id| id.to_string()).unwrap_or_default();
        let finding = Finding {
            rule,
            scale: self.scale,
            id: &id,
            participant: self.name(person),
            column,
            value,
            message: message.into(),
            severity: Severity::Notice,
        };
        report(self.context.study, sink, finding);
    }
}

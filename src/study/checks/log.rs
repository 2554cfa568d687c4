//! What TaskLog says: who finished which task of which session, and when.

use super::stamp::EntryStamp;
use crate::study::each::Grid;
use crate::study::record::Record;
use crate::study::scale::ScaleKind;
use crate::study::schedule::Slots;

/// When something was done first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When(i64);

impl Default for When {
    /// Never.
    fn default() -> Self {
        Self(i64::MIN)
    }
}

impl When {
    /// In milliseconds since 1970, `i64::MAX` where no date could be read; `None` for never.
    pub fn get(self) -> Option<i64> {
        (self.0 != i64::MIN).then_some(self.0)
    }

    fn hear(&mut self, moment: i64) {
        self.0 = if self.0 == i64::MIN { moment } else { self.0.min(moment) };
    }
}

/// TaskLog as far as the schedule knows its tasks.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// False without a TaskLog: nothing disagrees with it then.
    pub found: bool,
    /// By slot, then person.
    firsts: Grid<When>,
}

impl Log {
    /// When somebody was first at one place of the schedule.
    pub fn first(&self, slot: usize, person: u32) -> Option<i64> {
        self.firsts.get(slot, person).get()
    }

    /// Past the highest person at that place.
    pub fn end(&self, slot: usize) -> u32 {
        self.firsts.end(slot)
    }
}

/// TaskLog while it is read, row by row.
pub struct TaskLogReader<'s> {
    slots: &'s Slots,
    session: Option<usize>,
    task: Option<usize>,
    tag: Option<usize>,
    /// By label.
    places: Vec<Spot>,
    log: Log,
}

/// Where in the schedule a label stands.
#[derive(Debug, Clone, Copy, Default)]
enum Spot {
    #[default]
    Unasked,
    Nowhere,
    Slot(usize),
}

impl<'s> TaskLogReader<'s> {
    pub fn new(slots: &'s Slots, header: &[String]) -> Self {
        let at = |names: &[&str]| names.iter().find_map(|name| header.iter().position(|column| column == name));
        Self {
            slots,
            session: at(&["sessionName", "session"]),
            task: at(&["taskName"]),
            tag: at(&["tag"]),
            places: Vec::new(),
            log: Log { found: true, ..Log::default() },
        }
    }

    /// Takes in what somebody did; nothing of people that the roster does not have.
    pub fn row(&mut self, record: &Record<'_>, stamp: EntryStamp) {
        let EntryStamp { person: Some(person), label, moment } = stamp else { return };
        let label = label as usize;
        if label >= self.places.len() {
            self.places.resize(label + 1, Spot::Unasked);
        }
        if let Spot::Unasked = self.places[label] {
            let cells = [self.session, self.task, self.tag].map(|at| record.cell(at));
            self.places[label] = place(self.slots, cells).map_or(Spot::Nowhere, Spot::Slot);
        }
        if let Spot::Slot(slot) = self.places[label] {
            self.log.firsts.at(slot, person).hear(moment.map_or(i64::MAX, |moment| moment.millis));
        }
    }

    pub fn close(self) -> Log {
        self.log
    }
}

fn place(slots: &Slots, cells: [&[u8]; 3]) -> Option<usize> {
    let [session, task, tag] = cells.map(std::str::from_utf8);
    slots.of_log(slots.session(session.ok()?)?, task.ok()?, tag.ok()?)
}

/// True for tables of which TaskLog tells.
pub fn is_compared(kind: ScaleKind) -> bool {
    kind == ScaleKind::Questionnaire
}

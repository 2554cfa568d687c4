//! What TaskLog says: who finished which task of which session, and when.

use std::path::Path;

use csv::ByteRecord;

use crate::study::moment;
use crate::study::roster::Roster;
use crate::study::row::cell;
use crate::study::scale::ScaleKind;
use crate::study::schedule::Slots;

/// One finished task of one participant: where the schedule places it, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Act {
    pub slot: u32,
    pub person: u32,
    /// Milliseconds since 1970; `i64::MAX` when the date could not be read.
    pub moment: i64,
    pub id: i64,
}

/// TaskLog as far as the schedule knows its tasks.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// False without a TaskLog: nothing disagrees with it then.
    pub found: bool,
    /// By slot, then person, then moment.
    acts: Vec<Act>,
}

impl Log {
    /// Reads TaskLog's combined table.
    ///
    /// # Errors
    /// Whatever the file system or the CSV says.
    pub fn read(slots: &Slots, roster: &Roster, path: &Path) -> Result<Self, csv::Error> {
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 16).from_path(path)?;
        let header = reader.byte_headers()?.clone();
        let at = |names: &[&str]| names.iter().find_map(|name| header.iter().position(|c| c == name.as_bytes()));
        let (id, current) = (at(&["id"]), at(&["_current"]));
        let (link, plain) = (at(&["study"]), at(crate::study::scale::PARTICIPANT));
        let (session, task, tag) = (at(&["sessionName", "session"]), at(&["taskName"]), at(&["tag"]));
        let date = at(moment::COLUMNS);
        let mut log = Self { found: true, acts: Vec::new() };
        let mut record = ByteRecord::new();
        // The same few labels come again and again.
        let mut known: std::collections::HashMap<Vec<u8>, Option<u32>> = std::collections::HashMap::new();
        let mut key = Vec::new();
        while reader.read_byte_record(&mut record)? {
            let cell = |at: Option<usize>| cell(&record, at);
            if cell(current) == b"false" {
                continue;
            }
            let person = roster.number_by_study(cell(link)).or_else(|| roster.number(cell(plain)));
            let Some(person) = person else { continue };
            key.clear();
            for part in [session, task, tag] {
                key.extend_from_slice(cell(part));
                key.push(0);
            }
            let slot = if let Some(slot) = known.get(&key) {
                *slot
            } else {
                let slot = place(slots, cell(session), cell(task), cell(tag));
                known.insert(key.clone(), slot);
                slot
            };
            let Some(slot) = slot else { continue };
            let moment = std::str::from_utf8(cell(date)).ok().and_then(moment::millis).unwrap_or(i64::MAX);
            let id = std::str::from_utf8(cell(id)).ok().and_then(|id| id.parse().ok()).unwrap_or(i64::MAX);
            log.acts.push(Act { slot, person, moment, id });
        }
        log.acts.sort_unstable();
        Ok(log)
    }

    /// What was done at one place of the schedule, by person, then moment.
    #[must_use]
    pub fn at(&self, slot: usize) -> &[Act] {
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        let start = self.acts.partition_point(|act| act.slot < slot);
        let end = self.acts.partition_point(|act| act.slot <= slot);
        &self.acts[start..end]
    }
}

fn place(slots: &Slots, session: &[u8], task: &[u8], tag: &[u8]) -> Option<u32> {
    let [session, task, tag] = [session, task, tag].map(std::str::from_utf8);
    let slot = slots.of_log(slots.session(session.ok()?)?, task.ok()?, tag.ok()?)?;
    u32::try_from(slot).ok()
}

/// True for tables of which TaskLog tells.
#[must_use]
pub fn is_compared(kind: ScaleKind) -> bool {
    kind == ScaleKind::Questionnaire
}

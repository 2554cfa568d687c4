//! What one pass over a combined table counts: its columns, its days, its participants, what its flags say.

use std::collections::BTreeMap;

use std::sync::Arc;

use crate::report::column::{ColumnCounter, ColumnStat, Regimes};
use crate::report::participation::Participation;
use crate::study::checks::stamp::EntryStamp;
use crate::study::each::Each;
use crate::study::moment::{self, Moment};
use crate::study::record::Record;
use crate::study::roster::{Roster, is_own_table};
use crate::study::scale::{PARTICIPANT, Scale, ScaleKind};
use crate::study::schedule::Slots;
use chrono::{DateTime, FixedOffset, NaiveDate};

/// Columns that are no answers.
const TECHNICAL: &[&str] = &["id", "date", "session", "tag", "timeOnPage", "sessionId", "study"];

/// More combinations of session, tag and task than this in one table are no places.
const PLACES: usize = 4096;

/// One table.
#[derive(Debug)]
pub struct Tally {
    pub scale: String,
    pub title: String,
    pub kind: ScaleKind,
    /// False when the study's definition does not know the table.
    pub defined: bool,
    pub entries: u64,
    pub participants: u64,
    /// Of ids that are there more than once, the older versions.
    pub superseded: u64,
    /// Second and further entries for the same participant, session and tag.
    pub second: u64,
    /// Entries whose participant no key opened.
    pub undecrypted: u64,
    pub columns: Vec<ColumnStat>,
    pub days: BTreeMap<NaiveDate, u64>,
    pub first: Option<DateTime<FixedOffset>>,
    pub last: Option<DateTime<FixedOffset>>,
    /// All versions, by the raw file that brought them.
    pub first_seen: BTreeMap<String, u64>,
    /// Of the whole table.
    pub hash: blake3::Hash,
}

impl Tally {
    pub fn cells(&self) -> u64 {
        self.columns.iter().map(ColumnStat::asked).sum()
    }

    pub fn missing(&self) -> u64 {
        self.columns.iter().map(ColumnStat::missing).sum()
    }

    pub fn out_of_range(&self) -> u64 {
        self.columns.iter().map(|column| column.out_of_range).sum()
    }
}

/// What a table is read against.
#[derive(Clone, Copy)]
pub struct Setting<'s> {
    pub scale: &'s str,
    pub defined: Option<&'s Scale>,
    pub slots: &'s Slots,
    pub roster: &'s Roster,
}

/// Where the columns of interest stand.
pub struct TallyColumns {
    pub participant: Vec<usize>,
    pub session: Vec<usize>,
    pub tag: Vec<usize>,
    pub id: Vec<usize>,
    pub study: Vec<usize>,
    pub task: Vec<usize>,
    pub first_seen: Vec<usize>,
}

impl TallyColumns {
    pub fn new(header: &[String]) -> Self {
        let of = |names: &[&str]| columns(header, names);
        Self {
            participant: of(PARTICIPANT),
            session: of(&["session", "sessionName"]),
            tag: of(&["tag"]),
            id: of(&["id"]),
            study: of(&["study"]),
            task: of(&["taskName"]),
            first_seen: of(&["_first_seen"]),
        }
    }
}

/// Where these columns stand, as far as the table has them.
pub fn columns(header: &[String], names: &[&str]) -> Vec<usize> {
    names.iter().filter_map(|name| header.iter().position(|column| column == *name)).collect()
}

/// What a table is; the study's own table says which condition each of its numbers has, and holds no answers.
fn kind(defined: Option<&Scale>, header: &[String]) -> ScaleKind {
    let study = is_own_table(header);
    match defined {
        Some(scale) => scale.kind,
        None if study => ScaleKind::Trials,
        None => ScaleKind::Questionnaire,
    }
}

/// A table while it is read, row by row.
pub struct TableTally<'s> {
    setting: Setting<'s>,
    at: TallyColumns,
    answers: Vec<(usize, ColumnCounter)>,
    regimes: Regimes,
    encrypted: bool,
    tally: Tally,
    participation: Participation,
    /// The schedule has this scale somewhere.
    scheduled: bool,
    /// By label.
    keys: Vec<Option<LabelPlace>>,
    people: Each<bool>,
    /// Days and raw files follow each other in most tables: the last of each, and how often in a row.
    day: Streak<i64>,
    file: Streak<Vec<u8>>,
}

/// The same value several times in a row.
#[derive(Default)]
struct Streak<T> {
    value: T,
    times: u64,
}

/// One session, tag and task of a table.
struct LabelPlace {
    session: Option<usize>,
    slot: Option<usize>,
    task: Arc<str>,
    /// Of tables without a slot: entries per person.
    entries: Each<u8>,
}

impl LabelPlace {
    fn log(&self, participation: &mut Participation, number: u32, moment: Option<i64>) {
        if &*self.task == "SESSION_COMPLETE" {
            if let Some(session) = self.session {
                *participation.completed.at(session, number) = true;
            }
            return;
        }
        if let Some(slot) = self.slot {
            let count = participation.logged.at(slot, number);
            *count = count.saturating_add(1);
        }
        let life = participation.life.at(number);
        let newer = moment.is_some_and(|moment| life.task.as_ref().is_none_or(|(last, _)| *last <= moment));
        if newer && !self.task.is_empty() {
            life.task = Some((moment.unwrap_or_default(), Arc::clone(&self.task)));
        }
    }

    /// True when somebody answered here before.
    fn answer(&mut self, participation: &mut Participation, number: u32) -> bool {
        let count = match self.slot {
            Some(slot) => participation.given.at(slot, number),
            None => self.entries.at(number),
        };
        let before = *count > 0;
        *count = count.saturating_add(1);
        before
    }
}

impl<'s> TableTally<'s> {
    pub fn new(setting: Setting<'s>, header: &'s [String]) -> Self {
        let Setting { scale, defined, .. } = setting;
        let known = defined.filter(|scale| !scale.columns.is_empty());
        let is_answer = |name: &str| match known {
            Some(scale) => scale.columns.iter().any(|column| column.name == name),
            None => !TECHNICAL.contains(&name) && !PARTICIPANT.contains(&name) && !name.starts_with('_'),
        };
        let counter = |name: &str| {
            ColumnCounter::new(name, known.and_then(|scale| scale.columns.iter().find(|column| column.name == name)))
        };
        let answers = header.iter().enumerate().filter(|(_, name)| is_answer(name));
        let at = TallyColumns::new(header);
        let encrypted = at.participant.iter().any(|place| header.get(*place).is_some_and(|name| name.ends_with("RSA")));
        Self {
            answers: answers.map(|(place, name)| (place, counter(name))).collect(),
            regimes: Regimes::new(defined),
            encrypted,
            tally: Tally {
                scale: scale.to_owned(),
                title: defined.map_or_else(|| scale.to_owned(), |scale| scale.title.clone()),
                kind: kind(defined, header),
                defined: defined.is_some(),
                entries: 0,
                participants: 0,
                superseded: 0,
                second: 0,
                undecrypted: 0,
                columns: Vec::new(),
                days: BTreeMap::new(),
                first: None,
                last: None,
                first_seen: BTreeMap::new(),
                hash: blake3::Hash::from_bytes([0; 32]),
            },
            participation: Participation::default(),
            scheduled: setting.slots.has(scale),
            keys: Vec::new(),
            people: Each::default(),
            day: Streak::default(),
            file: Streak::default(),
            setting,
            at,
        }
    }

    /// Takes in the next row; older versions of an entry have no stamp.
    pub fn row(&mut self, record: &Record<'_>, stamp: Option<EntryStamp>) {
        let file = record.filled(&self.at.first_seen);
        if self.file.times == 0 || self.file.value != file {
            self.file_ends();
            self.file.value.extend_from_slice(file);
        }
        self.file.times += 1;
        let Some(EntryStamp { person, label, moment }) = stamp else {
            self.tally.superseded += 1;
            return;
        };
        self.tally.entries += 1;
        if let Some(moment) = moment {
            self.dated(moment);
        }
        let regime = self.regimes.of(|| moment.map(Moment::date));
        for (place, counter) in &mut self.answers {
            counter.add(record.get(*place).unwrap_or_default(), regime, self.setting.defined, &self.regimes);
        }
        if let Some(number) = person.or_else(|| self.who(record)) {
            self.count_person(record, label, number, moment.map(|moment| moment.millis));
        }
    }

    fn dated(&mut self, moment: Moment) {
        let millis = |known: Option<DateTime<FixedOffset>>| known.map(|known| known.timestamp_millis());
        if self.day.times == 0 || self.day.value != moment.day() {
            self.day_ends();
            self.day.value = moment.day();
        }
        self.day.times += 1;
        if millis(self.tally.first).is_none_or(|first| moment.millis < first) {
            self.tally.first = moment.with_offset();
        }
        if millis(self.tally.last).is_none_or(|last| moment.millis >= last) {
            self.tally.last = moment.with_offset();
        }
    }

    fn day_ends(&mut self) {
        if self.day.times > 0 {
            let day = moment::day_of(self.day.value * 86_400_000);
            *self.tally.days.entry(day).or_default() += std::mem::take(&mut self.day.times);
        }
    }

    fn file_ends(&mut self) {
        if self.file.times > 0 {
            let file = String::from_utf8_lossy(&self.file.value).into_owned();
            *self.tally.first_seen.entry(file).or_default() += std::mem::take(&mut self.file.times);
        }
        self.file.value.clear();
    }

    /// Whom a row is about.
    fn who(&mut self, record: &Record<'_>) -> Option<u32> {
        let Setting { roster, .. } = self.setting;
        let people_table = self.tally.kind == ScaleKind::Participants;
        let id = record.filled(if people_table { &self.at.id } else { &self.at.participant });
        if !id.is_empty() {
            return Some(self.participation.number(roster, &String::from_utf8_lossy(id)));
        }
        let study = record.filled(&self.at.study);
        if self.tally.kind == ScaleKind::Log
            && !study.is_empty()
            && let Some(number) = roster.number_by_study(study)
        {
            return Some(number);
        }
        // Screening answers have no participant yet.
        let screening = matches!(record.filled(&self.at.session), b"" | b"ELIGIBLE");
        if self.encrypted && !screening {
            self.tally.undecrypted += 1;
        }
        None
    }

    fn count_person(&mut self, record: &Record<'_>, label: u32, number: u32, moment: Option<i64>) {
        let seen = self.people.at(number);
        let new = !std::mem::replace(seen, true);
        self.tally.participants += u64::from(new);
        let life = self.participation.life.at(number);
        life.last = life.last.max(moment);
        if self.tally.kind == ScaleKind::Participants {
            return;
        }
        // A table with a session of its own for each row would remember all of them: these share the last place.
        let place = (label as usize).min(PLACES);
        if place >= self.keys.len() {
            self.keys.resize_with(place + 1, || None);
        }
        if place == PLACES || self.keys[place].is_none() {
            self.keys[place] = Some(self.key(record));
        }
        let Some(key) = &mut self.keys[place] else { return };
        if let Some(session) = key.session {
            self.participation.reach(number, session, moment);
        }
        match self.tally.kind {
            ScaleKind::Log => key.log(&mut self.participation, number, moment),
            ScaleKind::Questionnaire => {
                let before = key.answer(&mut self.participation, number);
                let life = self.participation.life.at(number);
                life.entries += 1;
                life.repeated += u32::from(before);
                life.extra += u32::from(key.slot.is_none() && self.scheduled);
                self.tally.second += u64::from(before);
            }
            ScaleKind::Trials | ScaleKind::Participants => {}
        }
    }

    /// Where a row's session, tag and, in a log, task belong.
    fn key(&self, record: &Record<'_>) -> LabelPlace {
        let log = self.tally.kind == ScaleKind::Log;
        let task = if log { record.filled(&self.at.task) } else { b"" };
        let cells = [record.filled(&self.at.session), record.filled(&self.at.tag), task];
        let [session, tag, task] = cells.map(String::from_utf8_lossy);
        let slots = self.setting.slots;
        let number = slots.session(&session);
        let slot = match number {
            Some(number) if log => slots.of_log(number, &task, &tag),
            _ => slots.of_entry(&self.tally.scale, &session, &tag),
        };
        LabelPlace { session: number, slot, task: task.into(), entries: Each::default() }
    }

    /// The numbers, with the hash of the table's file.
    pub fn finish(mut self, hash: blake3::Hash) -> (Tally, Participation) {
        self.day_ends();
        self.file_ends();
        self.tally.hash = hash;
        for (_, counter) in self.answers {
            self.tally.columns.push(counter.finish(self.tally.entries, self.setting.defined, &self.regimes));
        }
        (self.tally, self.participation)
    }
}

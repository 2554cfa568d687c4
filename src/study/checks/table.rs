//! One combined table against the roster, TaskLog and the schedule: read once, then judged by groups.

use std::ops::Range;

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::cells::undecrypted;
use super::columns::{self, Watch};
pub use super::facts::Context;
use super::facts::{Fact, FactPlace, NOBODY, TableFacts};
use super::gaps::{self, Gap, Totals};
use super::log::{Log, is_compared};
use super::order::{self, Firsts};
use super::stamp::EntryStamp;
use super::{Finding, LastSeen, groups};
use crate::study::cell::{decimal, integer};
use crate::study::labels::Labels;
use crate::study::moment::{self, Moments};
use crate::study::name::ScaleName;
use crate::study::record::Record;
use crate::study::scale::{PARTICIPANT, Scale, ScaleKind};

/// Where the columns of interest stand.
pub(super) struct KeyedColumns {
    pub participant: Vec<usize>,
    link: Option<usize>,
    key: Vec<usize>,
    /// What says where in the study an entry belongs: the key, and the usual columns.
    label: Vec<usize>,
    session: Option<usize>,
    tag: Option<usize>,
    visitor: Option<usize>,
    date: Option<usize>,
    pub id: Option<usize>,
    time: Option<usize>,
    current: Option<usize>,
    flags: Option<usize>,
    pub first_seen: Option<usize>,
    pub same: Option<usize>,
    condition: Option<usize>,
    answers: Vec<Range<usize>>,
    others: Vec<Range<usize>>,
}

/// Columns that belong to the entry and not to its answers.
const FRAME: &[&str] =
    &["id", "date", "session", "sessionName", "tag", "timeOnPage", "timeOnTask", "sessionId", "study", "dateCompleted"];

impl KeyedColumns {
    fn new(context: &Context<'_>, defined: Option<&Scale>, kind: ScaleKind, header: &[String]) -> Self {
        let at = |names: &[&str]| names.iter().find_map(|name| header.iter().position(|column| column == name));
        let usual = ["session".to_owned(), "tag".to_owned()];
        let key = defined.map_or(&usual[..], |scale| &scale.key);
        let study = context.study;
        let key: Vec<usize> = key.iter().filter_map(|name| at(&[name])).collect();
        let usual = ["session", "sessionName", "tag", "taskName"].iter().filter_map(|name| at(&[name]));
        let mut label: Vec<usize> = key.iter().copied().chain(usual).collect();
        label.sort_unstable();
        label.dedup();
        let condition = study.conditions.as_ref().and_then(|conditions| at(&[&conditions.column, "condition"]));
        let own = |at: &usize| defined.is_some_and(|scale| scale.column(&header[*at]).is_some());
        let is_answer = |name: &str| !FRAME.contains(&name) && !PARTICIPANT.contains(&name);
        let plain = || (0..header.len()).filter(|at| !header[*at].starts_with('_') && header[*at] != "id");
        Self {
            participant: match kind {
                ScaleKind::Participants => at(&["id"]).into_iter().collect(),
                _ => PARTICIPANT.iter().filter_map(|name| at(&[name])).collect(),
            },
            link: if kind == ScaleKind::Log { at(&["study"]) } else { None },
            key,
            label,
            session: at(&["session", "sessionName"]),
            tag: at(&["tag"]),
            visitor: study.screening.as_ref().and_then(|screening| at(&[&screening.key])),
            date: at(moment::COLUMNS),
            id: at(&["id"]),
            time: at(&["timeOnPage", "timeOnTask"]),
            current: at(&["_current"]),
            flags: at(&["_flags"]),
            first_seen: at(&["_first_seen"]),
            same: at(&["_n_same_id"]),
            condition: condition.filter(|at| !own(at) && kind != ScaleKind::Participants),
            answers: runs(plain().filter(|at| is_answer(&header[*at]))),
            others: runs(plain().filter(|at| !is_answer(&header[*at]))),
        }
    }
}

/// Columns that follow each other, together.
fn runs(columns: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in columns {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// A hash of some columns' cells.
fn hash(record: &Record<'_>, runs: &[Range<usize>], seed: u64) -> u64 {
    runs.iter().filter_map(|run| record.between(run)).fold(seed, |seed, cells| xxh3_64_with_seed(cells, seed))
}

/// A combined table while it is read, row by row; what its rows show together is told at the end.
pub struct Examination<'t> {
    pub(super) at: KeyedColumns,
    pub(super) header: Vec<String>,
    pub(super) kind: ScaleKind,
    pub(super) facts: TableFacts<'t>,
    seen: LastSeen,
    watch: Watch,
    labels: Labels,
    /// By label: into the places, and whether who answers there is not enrolled yet.
    spots: Vec<(u32, bool)>,
    places: Labels,
    moments: Moments,
    visitors: FxHashMap<Vec<u8>, u32>,
    strangers: FxHashMap<Vec<u8>, u32>,
    /// Tables of days without a raw file, each told once.
    pub(super) adopted: Vec<Vec<u8>>,
    /// Of the whole table, until its first row.
    bytes: Option<usize>,
}

/// A table that was read and judged by itself. What TaskLog says is still to come: it is read meanwhile.
pub struct Examined<'t> {
    facts: TableFacts<'t>,
    header: Vec<String>,
    watch: Watch,
    seen: LastSeen,
    /// Of tables whose entries stand alone there is nothing more to tell.
    open: Option<(Firsts, Vec<Gap>, Totals)>,
}

pub(super) fn text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default()
}

impl<'t> Examination<'t> {
    pub fn new(context: &'t Context<'t>, scale: &'t str, header: Vec<String>) -> Self {
        let defined = ScaleName::new(scale).ok().and_then(|name| context.study.scales.get(&name));
        let kind = defined.map(|scale| scale.kind).unwrap_or_default();
        Self {
            at: KeyedColumns::new(context, defined, kind, &header),
            watch: Watch::new(&header, defined),
            facts: TableFacts {
                context,
                scale,
                defined,
                entries: Vec::new(),
                wholes: Vec::new(),
                places: Vec::new(),
                screening: Vec::new(),
                visitors: Vec::new(),
                strangers: Vec::new(),
            },
            seen: LastSeen { last: vec![None; context.roster.people.len()], now: None },
            labels: Labels::default(),
            spots: Vec::new(),
            places: Labels::default(),
            moments: Moments::default(),
            visitors: FxHashMap::default(),
            strangers: FxHashMap::default(),
            adopted: Vec::new(),
            bytes: None,
            header,
            kind,
        }
    }

    /// Says how many bytes the table has: by them and its first row there is room for all its entries at once. Growing
    /// step by step would move millions of them again and again.
    pub fn expecting(mut self, bytes: u64) -> Self {
        self.bytes = usize::try_from(bytes).ok();
        self
    }

    fn make_room(&mut self, bytes: usize, first: &Record<'_>) {
        let rows = bytes / first.size();
        if self.kind != ScaleKind::Trials {
            self.facts.entries.reserve(rows);
            self.facts.wholes.reserve(rows);
        }
    }

    /// Takes in the next row; tells whose and when, unless it is an older version of an entry.
    pub fn row(&mut self, record: &Record<'_>, sink: &mut impl FnMut(&Finding<'_>)) -> Option<EntryStamp> {
        if let Some(bytes) = self.bytes.take() {
            self.make_room(bytes, record);
        }
        (record.cell(self.at.current) != b"false").then(|| self.entry(record, sink))
    }

    /// Tells what the rows show together.
    pub fn judge(self, sink: &mut impl FnMut(&Finding<'_>)) -> Examined<'t> {
        let Self { mut facts, seen, watch, kind, header, .. } = self;
        groups::strangers(&facts, sink);
        if kind == ScaleKind::Trials {
            facts.find(sink, "R6", None, NOBODY, "", "", "only ids are checked".to_owned());
            return Examined { facts, header, watch, seen, open: None };
        }
        groups::copies(&facts, sink);
        facts.wholes = Vec::new();
        let gaps = groups::repeats(&facts, sink);
        groups::screening(&facts, sink);
        groups::bots(&facts, sink);
        // Without a gap there is nothing to hold against all entries.
        let totals = if is_compared(kind) || !gaps.is_empty() { Totals::new(&facts) } else { Totals::default() };
        let open = Some((Firsts::new(&facts), gaps, totals));
        // All tables wait for TaskLog together: without their entries.
        facts.entries = Vec::new();
        facts.screening = Vec::new();
        Examined { facts, header, watch, seen, open }
    }

    fn entry(&mut self, record: &Record<'_>, sink: &mut impl FnMut(&Finding<'_>)) -> EntryStamp {
        let moment = self.moments.read(record.cell(self.at.date));
        let millis = moment.map(|moment| moment.millis);
        let id = integer(record.cell(self.at.id)).unwrap_or(i64::MAX);
        let person = self.person(record, id, sink);
        if person != NOBODY {
            self.condition(record, person, sink);
        }
        self.seen.now = self.seen.now.max(millis);
        let last = self.seen.last.get_mut(person as usize);
        let known = last.is_some().then_some(person);
        if let Some(last) = last {
            *last = (*last).max(millis);
        }
        let flags = record.cell(self.at.flags);
        if !flags.is_empty() {
            self.flags(record, text(flags), person, millis, sink);
        }
        let at = millis.unwrap_or(i64::MAX);
        self.watch.see(record, at);
        let label = self.label(record);
        let stamp = EntryStamp { person: known, label, moment };
        if self.kind == ScaleKind::Trials {
            return stamp;
        }
        let answers = hash(record, &self.at.answers, 0);
        let (place, screening) = self.spots[label as usize];
        let fact = Fact {
            person,
            place,
            moment: at,
            id,
            answers,
            time: decimal(record.cell(self.at.time)).unwrap_or(f64::NAN),
        };
        if screening {
            let visitor = self.visitor(record);
            self.facts.screening.push((fact, visitor));
        }
        self.facts.entries.push(fact);
        self.facts.wholes.push(hash(record, &self.at.others, answers));
        stamp
    }

    fn person(&mut self, record: &Record<'_>, id: i64, sink: &mut impl FnMut(&Finding<'_>)) -> u32 {
        let roster = self.facts.context.roster;
        let name = record.filled(&self.at.participant);
        if name.is_empty() {
            let link = record.cell(self.at.link);
            if link.is_empty() {
                return NOBODY;
            }
            if let Some(number) = roster.number_by_study(link) {
                return number;
            }
            if roster.found && !self.strangers.contains_key(link) {
                // Told here and not with the strangers: nobody knows this participant's name.
                self.strangers.insert(link.to_vec(), NOBODY);
                let message = "no participant has this study number".to_owned();
                self.facts.find(sink, "R3", Some(id), NOBODY, "study", text(link), message);
            }
            return NOBODY;
        }
        // A participant that no key opened is R1's matter.
        if undecrypted(name).is_some() {
            return NOBODY;
        }
        if let Some(number) = roster.number(name) {
            return number;
        }
        if let Some(number) = self.strangers.get(name) {
            return *number;
        }
        let number = u32::try_from(roster.people.len() + self.facts.strangers.len()).unwrap_or(NOBODY);
        self.strangers.insert(name.to_vec(), number);
        self.facts.strangers.push((text(name).to_owned(), id));
        number
    }

    /// S2: a table that writes a condition of its own has to agree with the study's.
    fn condition(&self, record: &Record<'_>, person: u32, sink: &mut impl FnMut(&Finding<'_>)) {
        if self.at.condition.is_none() {
            return;
        }
        let condition = text(record.cell(self.at.condition));
        let Some(known) = self.facts.context.roster.people.get(person as usize) else { return };
        let Some(conditions) = self.facts.context.study.conditions.as_ref().filter(|_| !condition.is_empty()) else {
            return;
        };
        let listed = conditions.control.iter().chain(&conditions.treatment).any(|one| one == condition);
        if listed && !known.conditions.is_empty() && !known.conditions.iter().any(|one| one == condition) {
            let id = text(record.cell(self.at.id)).parse().ok();
            let message = format!("the study's table has {}", known.conditions.join(", then "));
            let column = self.at.condition.map_or("", |at| &self.header[at]);
            self.facts.find(sink, "S2", id, person, column, condition, message);
        }
    }

    fn label(&mut self, record: &Record<'_>) -> u32 {
        let cells = self.at.label.iter().map(|at| record.get(*at).unwrap_or_default());
        self.labels.find(cells).unwrap_or_else(|| {
            let label = u32::try_from(self.spots.len()).unwrap_or(u32::MAX);
            self.labels.learn(label);
            let place = self.place(record);
            let session = text(record.cell(self.at.session));
            self.spots.push((place, self.facts.context.study.is_screening(self.facts.scale, session)));
            label
        })
    }

    fn place(&mut self, record: &Record<'_>) -> u32 {
        let key = || self.at.key.iter().map(|at| record.get(*at).unwrap_or_default());
        if let Some(place) = self.places.find(key()) {
            return place;
        }
        let context = self.facts.context;
        let session = text(record.cell(self.at.session));
        let tag = text(record.cell(self.at.tag));
        let number = context.slots.session(session);
        let slot = context.slots.of_entry(self.facts.scale, session, tag);
        let apart = context.study.is_screening(self.facts.scale, session)
            || context.study.special_sessions.iter().any(|special| special == session);
        let text = String::from_utf8_lossy(&key().collect::<Vec<_>>().join(&b'/')).into_owned();
        let at = u32::try_from(self.facts.places.len()).unwrap_or(u32::MAX);
        self.facts.places.push(FactPlace { text, session: number, slot, apart });
        self.places.learn(at);
        at
    }

    fn visitor(&mut self, record: &Record<'_>) -> u32 {
        let key = record.cell(self.at.visitor);
        if key.is_empty() {
            return u32::MAX;
        }
        if let Some(visitor) = self.visitors.get(key) {
            return *visitor;
        }
        let at = u32::try_from(self.facts.visitors.len()).unwrap_or(u32::MAX);
        self.facts.visitors.push(text(key).to_owned());
        self.visitors.insert(key.to_vec(), at);
        at
    }
}

impl Examined<'_> {
    /// Tells what the table shows beside TaskLog.
    pub fn finish(self, log: &Log, sink: &mut impl FnMut(&Finding<'_>)) -> LastSeen {
        let Self { facts, header, watch, seen, open } = self;
        if let Some((firsts, mut gaps, totals)) = open {
            gaps.extend(order::against_log(&facts, &firsts, log, sink));
            order::sessions(&facts, &firsts, log, sink);
            gaps::clusters(&facts, &gaps, &totals, sink);
        }
        columns::check(&facts, &header, &watch, sink);
        seen
    }
}

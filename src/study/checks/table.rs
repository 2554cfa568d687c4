//! One combined table against the roster, TaskLog and the schedule: read once, then judged by groups.

use std::borrow::Cow;
use std::collections::HashMap;

use csv::ByteRecord;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::cells::{birth_year_proposal, undecrypted};
use super::columns::{self, Blank};
use super::log::Log;
use super::text::identifying;
use super::{Finding, Seen, Severity, gaps, groups, order, report};
use crate::study::moment;
use crate::study::name::ScaleName;
use crate::study::roster::Roster;
use crate::study::row::{cell, filled};
use crate::study::scale::{PARTICIPANT, Scale, ScaleKind, Study};
use crate::study::schedule::Slots;
use crate::study::scoring::{Answer, answer};

/// What every table of a server is held against.
pub struct Context<'c> {
    pub study: &'c Study,
    pub roster: &'c Roster,
    pub log: &'c Log,
    pub slots: &'c Slots,
}

impl<'c> Context<'c> {
    #[must_use]
    pub fn new(study: &'c Study, slots: &'c Slots, roster: &'c Roster, log: &'c Log) -> Self {
        Self { study, roster, log, slots }
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
    /// Hash of everything but the id.
    pub whole: u64,
    /// Seconds on the page.
    pub time: f32,
}

/// The key columns' texts of some entries.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub text: String,
    pub session: Option<usize>,
    /// Into the context's slots.
    pub slot: Option<usize>,
    /// Screening, or a mark that is no session: nobody answers twice there.
    pub apart: bool,
}

/// A table that was read.
pub(crate) struct Facts<'t> {
    pub context: &'t Context<'t>,
    pub scale: &'t str,
    pub defined: Option<&'t Scale>,
    pub entries: Vec<Fact>,
    pub places: Vec<Place>,
    /// Entries that decide who may take part, with their visitors.
    pub screening: Vec<(Fact, u32)>,
    pub visitors: Vec<String>,
    /// Participants that the roster does not have, by number beyond it, with their first entry.
    pub strangers: Vec<(String, i64)>,
}

impl Facts<'_> {
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

/// Where the columns of interest stand.
struct Columns {
    participant: Vec<usize>,
    link: Option<usize>,
    key: Vec<usize>,
    session: Option<usize>,
    tag: Option<usize>,
    visitor: Option<usize>,
    date: Option<usize>,
    id: Option<usize>,
    time: Option<usize>,
    current: Option<usize>,
    flags: Option<usize>,
    first_seen: Option<usize>,
    same: Option<usize>,
    condition: Option<usize>,
    answers: Vec<usize>,
    others: Vec<usize>,
}

/// Columns that belong to the entry and not to its answers.
const FRAME: &[&str] =
    &["id", "date", "session", "sessionName", "tag", "timeOnPage", "timeOnTask", "sessionId", "study", "dateCompleted"];

impl Columns {
    fn new(context: &Context<'_>, defined: Option<&Scale>, kind: ScaleKind, header: &[String]) -> Self {
        let at = |names: &[&str]| names.iter().find_map(|name| header.iter().position(|column| column == name));
        let usual = ["session".to_owned(), "tag".to_owned()];
        let key = defined.map_or(&usual[..], |scale| &scale.key);
        let study = context.study;
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
            key: key.iter().filter_map(|name| at(&[name])).collect(),
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
            answers: plain().filter(|at| is_answer(&header[*at])).collect(),
            others: plain().filter(|at| !is_answer(&header[*at])).collect(),
        }
    }
}

/// A combined table while it is read, row by row; what its rows show together is told at the end.
pub struct Examination<'t> {
    at: Columns,
    header: &'t [String],
    kind: ScaleKind,
    facts: Facts<'t>,
    seen: Seen,
    blanks: Vec<Blank>,
    places: HashMap<Vec<u8>, u32>,
    visitors: HashMap<Vec<u8>, u32>,
    strangers: HashMap<Vec<u8>, u32>,
    /// Tables of days without a raw file, each told once.
    adopted: Vec<Vec<u8>>,
}

fn text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default()
}

impl<'t> Examination<'t> {
    #[must_use]
    pub fn new(context: &'t Context<'t>, scale: &'t str, header: &'t [String]) -> Self {
        let defined = ScaleName::new(scale).ok().and_then(|name| context.study.scales.get(&name));
        let kind = defined.map(|scale| scale.kind).unwrap_or_default();
        Self {
            at: Columns::new(context, defined, kind, header),
            blanks: vec![Blank::default(); header.len()],
            facts: Facts {
                context,
                scale,
                defined,
                entries: Vec::new(),
                places: Vec::new(),
                screening: Vec::new(),
                visitors: Vec::new(),
                strangers: Vec::new(),
            },
            seen: Seen { last: vec![None; context.roster.people.len()], now: None },
            places: HashMap::new(),
            visitors: HashMap::new(),
            strangers: HashMap::new(),
            adopted: Vec::new(),
            header,
            kind,
        }
    }

    /// Takes in the next row.
    pub fn row(&mut self, record: &ByteRecord, sink: &mut impl FnMut(&Finding<'_>)) {
        if cell(record, self.at.current) != b"false" {
            self.entry(record, sink);
        }
    }

    /// Tells what the rows show together.
    pub fn finish(self, sink: &mut impl FnMut(&Finding<'_>)) -> Seen {
        let Self { facts, seen, blanks, kind, header, .. } = self;
        groups::strangers(&facts, sink);
        if kind == ScaleKind::Trials {
            facts.find(sink, "R6", None, NOBODY, "", "", "only ids are checked".to_owned());
        } else {
            let mut gaps = groups::repeats(&facts, sink);
            groups::screening(&facts, sink);
            groups::bots(&facts, sink);
            gaps.extend(order::against_log(&facts, sink));
            order::sessions(&facts, sink);
            gaps::clusters(&facts, &gaps, sink);
        }
        columns::check(&facts, header, &blanks, sink);
        seen
    }

    fn entry(&mut self, record: &ByteRecord, sink: &mut impl FnMut(&Finding<'_>)) {
        let moment = moment::millis(text(cell(record, self.at.date)));
        let id = text(cell(record, self.at.id)).parse().unwrap_or(i64::MAX);
        let person = self.person(record, id, sink);
        if person != NOBODY {
            self.condition(record, person, sink);
        }
        self.seen.now = self.seen.now.max(moment);
        if let Some(last) = self.seen.last.get_mut(person as usize) {
            *last = (*last).max(moment);
        }
        let flags = cell(record, self.at.flags);
        if !flags.is_empty() {
            self.flags(record, text(flags), person, moment, sink);
        }
        for (blank, cell) in self.blanks.iter_mut().zip(record) {
            blank.see(cell, moment);
        }
        if self.kind == ScaleKind::Trials {
            return;
        }
        let hash = |seed, columns: &[usize]| {
            columns.iter().fold(seed, |hash, at| xxh3_64_with_seed(record.get(*at).unwrap_or_default(), hash))
        };
        let answers = hash(0, &self.at.answers);
        let fact = Fact {
            person,
            place: self.place(record),
            moment: moment.unwrap_or(i64::MAX),
            id,
            answers,
            whole: hash(answers, &self.at.others),
            time: text(cell(record, self.at.time)).parse().unwrap_or(f32::NAN),
        };
        let session = text(cell(record, self.at.session));
        if self.facts.context.study.is_screening(self.facts.scale, session) {
            let visitor = self.visitor(record);
            self.facts.screening.push((fact, visitor));
        }
        self.facts.entries.push(fact);
    }

    fn person(&mut self, record: &ByteRecord, id: i64, sink: &mut impl FnMut(&Finding<'_>)) -> u32 {
        let roster = self.facts.context.roster;
        let name = filled(record, &self.at.participant);
        if name.is_empty() {
            let link = cell(record, self.at.link);
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
    fn condition(&self, record: &ByteRecord, person: u32, sink: &mut impl FnMut(&Finding<'_>)) {
        let condition = text(cell(record, self.at.condition));
        let Some(known) = self.facts.context.roster.people.get(person as usize) else { return };
        let Some(conditions) = self.facts.context.study.conditions.as_ref().filter(|_| !condition.is_empty()) else {
            return;
        };
        let listed = conditions.control.iter().chain(&conditions.treatment).any(|one| one == condition);
        if listed && !known.conditions.is_empty() && !known.conditions.iter().any(|one| one == condition) {
            let id = text(cell(record, self.at.id)).parse().ok();
            let message = format!("the study's table has {}", known.conditions.join(", then "));
            let column = self.at.condition.map_or("", |at| &self.header[at]);
            self.facts.find(sink, "S2", id, person, column, condition, message);
        }
    }

    fn place(&mut self, record: &ByteRecord) -> u32 {
        let mut key = Vec::with_capacity(32);
        for at in &self.at.key {
            key.extend_from_slice(record.get(*at).unwrap_or_default());
            key.push(b'/');
        }
        key.pop();
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let context = self.facts.context;
        let session = text(cell(record, self.at.session));
        let tag = text(cell(record, self.at.tag));
        let number = context.slots.session(session);
        let slot = context.slots.of_entry(self.facts.scale, session, tag);
        let apart = context.study.is_screening(self.facts.scale, session)
            || context.study.special_sessions.iter().any(|special| special == session);
        let place = Place { text: String::from_utf8_lossy(&key).into_owned(), session: number, slot, apart };
        let at = u32::try_from(self.facts.places.len()).unwrap_or(u32::MAX);
        self.facts.places.push(place);
        self.places.insert(key, at);
        at
    }

    fn visitor(&mut self, record: &ByteRecord) -> u32 {
        let key = cell(record, self.at.visitor);
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

    /// What the row's own flags say, each with its cell.
    fn flags(
        &mut self,
        record: &ByteRecord,
        flags: &str,
        person: u32,
        moment: Option<i64>,
        sink: &mut impl FnMut(&Finding<'_>),
    ) {
        let id = text(cell(record, self.at.id));
        for flag in flags.split(';') {
            let (rule, column) = flag.split_once(':').unwrap_or((flag, ""));
            let (column, kind) =
                if rule == "R1" { column.split_once(':').unwrap_or((column, "")) } else { (column, "") };
            let at = self.header.iter().position(|name| name == column);
            let value = text(cell(record, at));
            let mut find = |rule, column, value, message: Cow<'_, str>, severity| {
                let participant = self.facts.name(person);
                let finding =
                    Finding { rule, scale: self.facts.scale, id, participant, column, value, message, severity };
                report(self.facts.context.study, sink, finding);
            };
            match rule {
                // Told by the roster.
                "R11" => {}
                "repeated_id" => {
                    if matches!(self.kind, ScaleKind::Questionnaire | ScaleKind::Trials) {
                        let count = text(cell(record, self.at.same));
                        find("S8", "id", count, "the id came with different contents".into(), Severity::Notice);
                    }
                }
                "no_raw_file" => {
                    let file = cell(record, self.at.first_seen);
                    if !self.adopted.iter().any(|known| known == file) {
                        find(
                            "no_raw_file",
                            "_first_seen",
                            text(file),
                            "the day's table has no raw file".into(),
                            Severity::Notice,
                        );
                        self.adopted.push(file.to_vec());
                    }
                }
                "corrected" => find(rule, column, value, "by the corrections file".into(), Severity::Notice),
                "correction_refused" => {
                    find(
                        rule,
                        column,
                        value,
                        "the old value is not what the corrections file says".into(),
                        Severity::Error,
                    );
                }
                _ => {
                    let (value, message, severity) = self.say(record, (rule, column, kind), value, moment);
                    find(rule, column, value, message, severity);
                }
            }
        }
    }

    /// What a flag means for its cell.
    fn say<'v>(
        &self,
        record: &ByteRecord,
        (rule, column, kind): (&str, &str, &str),
        value: &'v str,
        moment: Option<i64>,
    ) -> (&'v str, Cow<'static, str>, Severity) {
        let notice = |message: &'static str| (value, Cow::Borrowed(message), Severity::Notice);
        let day = moment.map(moment::day_of);
        match rule {
            // Letters that nobody can read say nothing.
            "R1" => match kind {
                "ciphertext" => ("", "ciphertext: no key opens it".into(), Severity::Notice),
                "garbage" => ("", "garbage: this is no id".into(), Severity::Notice),
                _ => notice("blank: nothing was sent"),
            },
            "R2" => {
                let encrypted = self.at.participant.iter().filter(|at| self.header[**at].ends_with("RSA"));
                let mut opened = encrypted.map(|at| cell(record, Some(*at))).filter(|cell| undecrypted(cell).is_none());
                match opened.find(|opened| *opened != value.as_bytes()) {
                    Some(other) => {
                        (value, format!("the encrypted column says {}", text(other)).into(), Severity::Error)
                    }
                    None => notice("proposed as the participant"),
                }
            }
            "R9" => notice(if value.is_empty() { "no session" } else { "the schedule does not have this session" }),
            "R12" => {
                let meaning = self.facts.defined.map(|scale| answer(scale, column, value, day));
                match meaning {
                    Some(Answer::Missing(meaning)) => (value, meaning.word().into(), Severity::Notice),
                    _ => notice("a code for \"no answer\""),
                }
            }
            "R13" => notice("outside the item's range"),
            "R14" => {
                #[allow(clippy::cast_possible_truncation)] // a year
                let least = self.facts.context.study.threshold("R14", "least_year") as i32;
                let message = match birth_year_proposal(value, least, day) {
                    Some(year) => format!("no year of birth; most likely {year}").into(),
                    None => "no year of birth that can be".into(),
                };
                (value, message, Severity::Notice)
            }
            "R15" => notice("missing: server"),
            "R16" => notice("no date in a known form"),
            "S5" => notice("the schedule does not place this questionnaire in this session"),
            // The text itself stays where it is.
            "S9" => match identifying(value.as_bytes()) {
                Some(what) => ("", what.word().into(), Severity::Notice),
                None => ("", "it identifies".into(), Severity::Notice),
            },
            _ => notice(""),
        }
    }
}

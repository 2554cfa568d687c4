//! The numbers of a report, computed from combined tables alone: the same tables give the same numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset};
use csv::StringRecord;

use crate::pool::table::TableReader;
use crate::study::moment;
use crate::study::name::ScaleName;
use crate::study::scale::{Scale, ScaleKind, Study};
use crate::study::scoring::{Answer, answer};
use crate::tasks::score::{PARTICIPANT, filled, places};

/// Columns that are no answers.
const TECHNICAL: &[&str] = &["id", "date", "session", "tag", "timeOnPage", "sessionId", "study"];

/// How a column was filled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnStat {
    pub name: String,
    pub cells: u64,
    /// Nothing stands there.
    pub empty: u64,
    /// A declared code for "no answer".
    pub coded: u64,
    /// Outside the declared range.
    pub out_of_range: u64,
}

impl ColumnStat {
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.empty + self.coded
    }
}

/// One table.
#[derive(Debug, Clone, Default)]
pub struct TableStat {
    pub scale: String,
    pub title: String,
    pub kind: ScaleKind,
    pub entries: u64,
    pub participants: u64,
    /// Of ids that are there more than once, the older versions.
    pub superseded: u64,
    pub columns: Vec<ColumnStat>,
    pub first: Option<DateTime<FixedOffset>>,
    pub last: Option<DateTime<FixedOffset>>,
    /// Rule, entry id, participant, column.
    pub findings: Vec<Finding>,
}

impl TableStat {
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.columns.iter().map(|column| column.cells).sum()
    }

    #[must_use]
    pub fn missing(&self) -> u64 {
        self.columns.iter().map(ColumnStat::missing).sum()
    }
}

/// Something a rule found in one entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub rule: String,
    pub scale: String,
    pub id: String,
    pub participant: String,
    pub column: String,
    pub value: String,
}

/// One participant.
#[derive(Debug, Clone, Default)]
pub struct ParticipantStat {
    pub test_account: bool,
    /// Index into the schedule.
    pub furthest: Option<usize>,
    pub completed: BTreeSet<usize>,
    pub due: u64,
    pub answered: u64,
}

/// One session of the schedule.
#[derive(Debug, Clone, Default)]
pub struct SessionStat {
    pub name: String,
    pub display: String,
    pub reached: u64,
    pub completed: u64,
    /// Reached it, and nothing after it.
    pub dropped: u64,
}

/// Of a questionnaire in a session: how often it was due, and how often it is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Presence {
    pub due: u64,
    pub answered: u64,
}

/// All numbers of one server.
#[derive(Debug, Default)]
pub struct Model {
    pub server: String,
    pub study: String,
    pub tables: Vec<TableStat>,
    pub participants: BTreeMap<(u64, String), ParticipantStat>,
    pub sessions: Vec<SessionStat>,
    /// By questionnaire, then session index.
    pub presence: BTreeMap<String, BTreeMap<usize, Presence>>,
    /// The newest date of any entry: the report's "now".
    pub now: Option<DateTime<FixedOffset>>,
}

/// Who answered what, and when.
#[derive(Default)]
struct Answers {
    /// Participant, scale, session, tag.
    given: BTreeSet<(String, String, String, String)>,
    reached: BTreeSet<(String, String)>,
    completed: BTreeSet<(String, String)>,
    test: BTreeSet<String>,
    known: BTreeSet<String>,
    /// TaskLog's `study` to participant.
    by_study: HashMap<String, String>,
}

/// Numeric ids sort by number.
fn key(text: &str) -> (u64, String) {
    (text.parse().unwrap_or(u64::MAX), text.to_owned())
}

/// Computes everything from the combined tables.
///
/// # Errors
/// The table that cannot be read, and why.
pub fn compute(server: &str, study: Option<&Study>, tables: &[PathBuf]) -> Result<Model, (PathBuf, csv::Error)> {
    let empty = Study::default();
    let study = study.unwrap_or(&empty);
    let mut model = Model { server: server.to_owned(), study: study.title.clone(), ..Model::default() };
    let mut answers = Answers::default();
    let kind = |path: &Path| definition(study, path).map(|scale| scale.kind).unwrap_or_default();
    let mut ordered: Vec<&PathBuf> = tables.iter().collect();
    // Participants first: logs find theirs through them.
    ordered.sort_by_key(|path| (kind(path) != ScaleKind::Participants, (*path).clone()));
    for path in ordered {
        let stat = read(path, study, &mut answers).map_err(|error| (path.clone(), error))?;
        model.now = model.now.max(stat.last);
        model.tables.push(stat);
    }
    model.tables.sort_by(|a, b| a.scale.cmp(&b.scale));
    follow(&mut model, study, &answers);
    Ok(model)
}

fn scale_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn definition<'s>(study: &'s Study, path: &Path) -> Option<&'s Scale> {
    study.scales.get(&ScaleName::new(&scale_name(path)).ok()?)
}

/// Where the columns of interest stand.
struct Places {
    participant: Vec<usize>,
    session: Vec<usize>,
    tag: Vec<usize>,
    date: Vec<usize>,
    id: Vec<usize>,
    study: Vec<usize>,
    task: Vec<usize>,
    test: Vec<usize>,
    current: Vec<usize>,
    flags: Vec<usize>,
}

impl Places {
    fn new(table: &TableReader) -> Self {
        let of = |names: &[&str]| places(table, names);
        Self {
            participant: of(PARTICIPANT),
            session: of(&["session", "sessionName"]),
            tag: of(&["tag"]),
            date: of(moment::COLUMNS),
            id: of(&["id"]),
            study: of(&["study"]),
            task: of(&["taskName"]),
            test: of(&["testAccount", "admin"]),
            current: of(&["_current"]),
            flags: of(&["_flags"]),
        }
    }
}

fn read(path: &Path, study: &Study, answers: &mut Answers) -> Result<TableStat, csv::Error> {
    let name = scale_name(path);
    let defined = definition(study, path);
    let mut table = TableReader::open(path)?;
    let at = Places::new(&table);
    let mut stat = TableStat {
        title: defined.map_or_else(|| name.clone(), |scale| scale.title.clone()),
        kind: defined.map(|scale| scale.kind).unwrap_or_default(),
        scale: name,
        ..TableStat::default()
    };
    let columns: Vec<(usize, String)> = answer_columns(&table, defined);
    stat.columns = columns.iter().map(|(_, name)| ColumnStat { name: name.clone(), ..ColumnStat::default() }).collect();
    let mut people = BTreeSet::new();
    let mut record = StringRecord::new();
    while table.next(&mut record)? {
        if filled(&record, &at.current) == "false" {
            stat.superseded += 1;
            continue;
        }
        stat.entries += 1;
        let moment = moment::parse(filled(&record, &at.date));
        stat.first = [stat.first, moment].into_iter().flatten().min();
        stat.last = stat.last.max(moment);
        let who = answers.note(&stat, &record, &at);
        if !who.is_empty() {
            people.insert(who.clone());
        }
        let day = moment.map(|moment| moment.date_naive());
        for ((place, name), column) in columns.iter().zip(&mut stat.columns) {
            let cell = record.get(*place).unwrap_or_default();
            column.cells += 1;
            match defined
                .map_or(if cell.is_empty() { Answer::Empty } else { Answer::Text }, |s| answer(s, name, cell, day))
            {
                Answer::Empty => column.empty += 1,
                Answer::Missing(_) => column.coded += 1,
                Answer::OutOfRange => column.out_of_range += 1,
                Answer::Number(_) | Answer::Text => {}
            }
        }
        let columns = table.header();
        for flag in filled(&record, &at.flags).split(';').filter(|flag| !flag.is_empty() && !flag.starts_with("R12")) {
            let (rule, column) = flag.split_once(':').unwrap_or((flag, ""));
            let value = columns.iter().position(|name| name == column).and_then(|place| record.get(place));
            stat.findings.push(Finding {
                rule: rule.to_owned(),
                scale: stat.scale.clone(),
                id: filled(&record, &at.id).to_owned(),
                participant: who.clone(),
                column: column.to_owned(),
                value: value.unwrap_or_default().to_owned(),
            });
        }
    }
    stat.participants = people.len() as u64;
    stat.findings.sort();
    Ok(stat)
}

/// The columns that are answers: the definition's, else all that are not technical.
fn answer_columns(table: &TableReader, defined: Option<&Scale>) -> Vec<(usize, String)> {
    let header = table.header().iter().enumerate();
    let known = defined.filter(|scale| !scale.columns.is_empty());
    let is_answer = |name: &str| match known {
        Some(scale) => scale.columns.iter().any(|column| column.name == name),
        None => !TECHNICAL.contains(&name) && !PARTICIPANT.contains(&name) && !name.starts_with('_'),
    };
    header.filter(|(_, name)| is_answer(name)).map(|(place, name)| (place, name.clone())).collect()
}

impl Answers {
    /// Notes what a row says of its participant, and returns whom it is about.
    fn note(&mut self, stat: &TableStat, record: &StringRecord, at: &Places) -> String {
        let cell = |columns: &Vec<usize>| filled(record, columns).to_owned();
        if stat.kind == ScaleKind::Participants {
            let who = cell(&at.id);
            let test = at.test.iter().any(|&column| matches!(record.get(column), Some("true" | "1" | "\u{1}")));
            if test {
                self.test.insert(who.clone());
            }
            self.known.insert(who.clone());
            self.by_study.insert(cell(&at.study), who.clone());
            return who;
        }
        let mut who = cell(&at.participant);
        if who.is_empty() && stat.kind == ScaleKind::Log {
            who = self.by_study.get(filled(record, &at.study)).cloned().unwrap_or_default();
        }
        let session = cell(&at.session);
        if who.is_empty() || session.is_empty() {
            return who;
        }
        self.reached.insert((who.clone(), session.clone()));
        if stat.kind == ScaleKind::Log && filled(record, &at.task) == "SESSION_COMPLETE" {
            self.completed.insert((who.clone(), session));
        } else if stat.kind == ScaleKind::Questionnaire {
            self.given.insert((who.clone(), stat.scale.clone(), session, cell(&at.tag)));
        }
        who
    }
}

/// Follows each participant through the schedule.
fn follow(model: &mut Model, study: &Study, answers: &Answers) {
    let number = |name: &str| study.sessions.iter().position(|session| session.name == name);
    for who in &answers.known {
        model.participants.entry(key(who)).or_default();
    }
    for (who, session) in &answers.reached {
        let participant = model.participants.entry(key(who)).or_default();
        participant.furthest = participant.furthest.max(number(session));
    }
    for (who, session) in &answers.completed {
        let participant = model.participants.entry(key(who)).or_default();
        participant.completed.extend(number(session));
    }
    let here: BTreeSet<&str> = model.tables.iter().map(|table| table.scale.as_str()).collect();
    for ((_, who), participant) in &mut model.participants {
        participant.test_account = answers.test.contains(who);
        let Some(furthest) = participant.furthest else { continue };
        for (index, session) in study.sessions.iter().enumerate().take(furthest + 1) {
            // What belongs to a session is due once it is complete or left behind.
            if index == furthest && !participant.completed.contains(&index) {
                continue;
            }
            for task in &session.tasks {
                let Some(scale) = task.scale.as_ref().filter(|scale| here.contains(scale.as_str())) else { continue };
                let tag = task.tag.clone().unwrap_or_default();
                let given = (who.clone(), scale.to_string(), session.name.clone(), tag);
                let answered = u64::from(answers.given.contains(&given));
                participant.due += 1;
                participant.answered += answered;
                if !participant.test_account {
                    let presence = model.presence.entry(scale.to_string()).or_default().entry(index).or_default();
                    presence.due += 1;
                    presence.answered += answered;
                }
            }
        }
    }
    attrition(model, study);
}

fn attrition(model: &mut Model, study: &Study) {
    for (index, session) in study.sessions.iter().enumerate() {
        let mut stat =
            SessionStat { name: session.name.clone(), display: session.display.clone(), ..SessionStat::default() };
        for participant in model.participants.values().filter(|participant| !participant.test_account) {
            let furthest = participant.furthest;
            stat.reached += u64::from(furthest.is_some_and(|furthest| furthest >= index));
            stat.completed += u64::from(participant.completed.contains(&index) || furthest.is_some_and(|f| f > index));
            let last = index + 1 == study.sessions.len() && participant.completed.contains(&index);
            stat.dropped += u64::from(furthest == Some(index) && !last);
        }
        model.sessions.push(stat);
    }
}

/// `part` of `whole` in percent with one digit; empty when there is no whole.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { String::new() } else { format!("{:.1}", part as f64 * 100.0 / whole as f64) }
}

//! The rules that one row of one table decides; what they find stands in the row's `_flags`.

use chrono::{Datelike, NaiveDate};
use rustc_hash::FxHashMap;

use super::text::{identifying, is_broken};
use crate::study::moment;
use crate::study::scale::{Column, ColumnKind, PARTICIPANT, Scale, ScaleKind, Study};
use crate::study::scoring::{CellAnswer, Judge};

/// The row rules of one table.
#[derive(Debug, Clone)]
pub struct RowRules {
    columns: Vec<ColumnRules>,
    participant: Option<Participant>,
    session: Option<Sessions>,
    /// Where dates may stand.
    dates: Vec<usize>,
    /// R16 holds; a table without date column has none.
    undated: bool,
    /// True where the only date is that of the last session: who did not begin has none.
    may_be_undated: bool,
    /// The participants' table: columns that mark accounts of the team.
    team: Vec<usize>,
}

/// A row, and what whoever made it knows already.
#[derive(Debug, Clone, Copy)]
pub struct CheckedRow<'r> {
    pub cells: &'r [&'r [u8]],
    /// Its date could be read.
    pub dated: bool,
    /// Columns whose cell is empty because its value could not be opened, and why.
    pub closed: &'r [(usize, Undecrypted)],
}

impl CheckedRow<'_> {
    /// What is wrong with a participant's cell; `None` for an id.
    fn undecrypted(&self, at: usize) -> Option<Undecrypted> {
        let wrong = undecrypted(self.cells[at])?;
        let closed = self.closed.iter().find(|(place, _)| *place == at).filter(|_| wrong == Undecrypted::Blank);
        Some(closed.map_or(wrong, |(_, why)| *why))
    }
}

/// What is looked at in one column.
#[derive(Debug, Clone)]
struct ColumnRules {
    at: usize,
    name: String,
    judge: Option<Judge>,
    codes: bool,
    range: bool,
    /// Least year, least age.
    birth: Option<(i32, i32)>,
    /// A choice that the form does not let anybody skip.
    blank: bool,
    text: Text,
}

/// Which texts of a column are searched for what identifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    None,
    /// A bare number is an id, not a telephone.
    Unknown,
    Free,
}

/// Where participants stand: plain and encrypted columns.
#[derive(Debug, Clone)]
struct Participant {
    plain: Vec<usize>,
    encrypted: Vec<usize>,
    names: Vec<String>,
    undecrypted: bool,
    hints: bool,
}

/// Which sessions are known, and where the table's scale is placed.
#[derive(Debug, Clone)]
struct Sessions {
    at: usize,
    name: String,
    /// And whether the scale is placed there.
    known: FxHashMap<Vec<u8>, bool>,
    screening: Vec<String>,
    names: bool,
    tasks: bool,
}

/// Columns whose text is no answer.
const TECHNICAL: &[&str] = &[
    "id",
    "date",
    "session",
    "sessionName",
    "taskName",
    "tag",
    "timeOnPage",
    "timeOnTask",
    "sessionId",
    "study",
    "userAgent",
    "device",
    "timezone",
    "lastLoginDate",
    "dateCreated",
    "dateCompleted",
    "dateSent",
    "datetime",
    "lastSessionDate",
];

impl RowRules {
    /// `header` is the combined table's, without the columns that combine adds. A study that is not defined has the
    /// rules that need no definition.
    pub fn new(study: &Study, name: &str, defined: Option<&Scale>, header: &[String]) -> Self {
        let place = |names: &[&str]| -> Vec<usize> {
            names.iter().filter_map(|name| header.iter().position(|column| column == name)).collect()
        };
        let kind = defined.map(|scale| scale.kind).unwrap_or_default();
        let has = |rule: &str| study.has_rule(rule);
        let identity = place(PARTICIPANT);
        let is_encrypted = |at: &usize| header[*at].ends_with("RSA");
        let participant = (!identity.is_empty() && kind != ScaleKind::Participants).then(|| Participant {
            plain: identity.iter().copied().filter(|at| !is_encrypted(at)).collect(),
            encrypted: identity.iter().copied().filter(is_encrypted).collect(),
            names: header.to_vec(),
            undecrypted: has("R1"),
            hints: has("R2"),
        });
        let team =
            if kind == ScaleKind::Participants && has("R11") { place(&["testAccount", "admin"]) } else { Vec::new() };
        Self {
            columns: header
                .iter()
                .enumerate()
                .filter_map(|(at, column)| column_rules(study, defined, at, column))
                .collect(),
            participant,
            session: sessions(study, name, kind, header),
            dates: place(moment::COLUMNS),
            undated: has("R16"),
            may_be_undated: place(moment::COLUMNS) == place(&["lastSessionDate"]),
            team,
        }
    }

    /// Appends `RULE:column` for everything that the row gives occasion to, separated by `;`.
    pub fn flags(&self, row: &CheckedRow<'_>, out: &mut String) {
        let cells = row.cells;
        let screening = self.session.as_ref().is_some_and(|sessions| sessions.is_screening(cells));
        if let Some(participant) = &self.participant {
            participant.flags(row, screening, out);
        }
        if let Some(sessions) = &self.session {
            sessions.flags(cells, out);
        }
        for &at in &self.team {
            if is_true(cells[at]) {
                flag(out, "R11", if at == self.team[0] { "testAccount" } else { "admin" });
            }
        }
        for column in &self.columns {
            column.flags(cells[column.at], || self.day(cells), out);
        }
        let empty = self.may_be_undated && self.dates.iter().all(|at| cells[*at].is_empty());
        if !row.dated && self.undated && !self.dates.is_empty() && !empty {
            flag(out, "R16", "date");
        }
    }

    /// The day on which the entry was made, there: few rows have a value whose meaning depends on it.
    fn day(&self, cells: &[&[u8]]) -> Option<NaiveDate> {
        let text = self.dates.iter().map(|at| cells[*at]).find(|cell| !cell.is_empty())?;
        Some(moment::parse(std::str::from_utf8(text).ok()?)?.date_naive())
    }
}

/// True for what the server writes for true; older sites wrote the bare byte 1.
pub fn is_true(cell: &[u8]) -> bool {
    matches!(cell, b"true" | b"True" | b"TRUE" | b"1" | b"\x01")
}

/// Appends one flag.
pub fn flag(out: &mut String, rule: &str, column: &str) {
    if !out.is_empty() {
        out.push(';');
    }
    out.push_str(rule);
    out.push(':');
    out.push_str(column);
}

fn column_rules(study: &Study, defined: Option<&Scale>, at: usize, name: &str) -> Option<ColumnRules> {
    let column = defined.and_then(|scale| scale.column(name));
    let has = |rule: &str| study.has_rule(rule);
    let technical = TECHNICAL.contains(&name) || PARTICIPANT.contains(&name);
    let judged = |column: &&Column| {
        !column.missing.is_empty() || matches!(column.kind, ColumnKind::Number { .. } | ColumnKind::Choice(_))
    };
    let years = study.rules.get("R14").is_some_and(|rule| rule.columns.iter().any(|known| known == name));
    let number = |threshold| {
        #[allow(clippy::cast_possible_truncation)] // years
        let number = study.threshold("R14", threshold) as i32;
        number
    };
    let text = match column.map(|column| &column.kind) {
        _ if technical || !has("S9") => Text::None,
        Some(ColumnKind::FreeText) => Text::Free,
        Some(ColumnKind::List | ColumnKind::Other | ColumnKind::Choice(_)) | None => Text::Unknown,
        Some(ColumnKind::Number { .. } | ColumnKind::Date) => Text::None,
    };
    let rules = ColumnRules {
        at,
        name: name.to_owned(),
        judge: column.filter(judged).map(Judge::new),
        codes: has("R12"),
        // A year of birth has a rule of its own.
        range: has("R13") && !(years && has("R14")),
        birth: (years && has("R14")).then(|| (number("least_year"), number("least_age"))),
        blank: has("R15")
            && column.is_some_and(|column| column.required && matches!(column.kind, ColumnKind::Choice(_))),
        text,
    };
    let idle = rules.judge.is_none() && rules.birth.is_none() && !rules.blank && rules.text == Text::None;
    (!idle).then_some(rules)
}

impl ColumnRules {
    fn flags(&self, cell: &[u8], day: impl Fn() -> Option<NaiveDate>, out: &mut String) {
        if cell.is_empty() {
            if self.blank {
                flag(out, "R15", &self.name);
            }
            return;
        }
        let answer = self.judge.as_ref().map(|judge| judge.judge(cell, &day));
        match answer {
            Some(CellAnswer::Missing(crate::study::scale::MissingMeaning::Server)) if self.blank => {
                return flag(out, "R15", &self.name);
            }
            Some(CellAnswer::Missing(_)) if self.codes => return flag(out, "R12", &self.name),
            Some(CellAnswer::Missing(_)) => return,
            _ => {}
        }
        if self.blank && is_broken(cell) {
            return flag(out, "R15", &self.name);
        }
        if let Some((least_year, least_age)) = self.birth
            && !is_birth_year(cell, least_year, least_age, day())
        {
            return flag(out, "R14", &self.name);
        }
        if answer == Some(CellAnswer::OutOfRange) && self.range {
            return flag(out, "R13", &self.name);
        }
        let searched = match self.text {
            Text::None => false,
            Text::Free => true,
            Text::Unknown => !cell.iter().all(|byte| byte.is_ascii_digit() || b".-".contains(byte)),
        };
        if searched && identifying(cell).is_some() {
            flag(out, "S9", &self.name);
        }
    }
}

fn is_birth_year(cell: &[u8], least: i32, age: i32, day: Option<NaiveDate>) -> bool {
    let year = (cell.len() == 4).then(|| std::str::from_utf8(cell).ok()?.parse::<i32>().ok()).flatten();
    year.is_some_and(|year| year >= least && day.is_none_or(|day| year <= day.year() - age))
}

/// The year that a mistyped one most likely means; never applied.
pub fn birth_year_proposal(cell: &str, least: i32, day: Option<NaiveDate>) -> Option<i32> {
    let fits = |year: i32| year >= least && day.is_none_or(|day| year <= day.year());
    let digits: String = cell.chars().filter(char::is_ascii_digit).collect();
    match digits.len() {
        // 61 is 1961.
        2 => digits.parse::<i32>().ok().map(|year| 1900 + year).filter(|year| fits(*year)),
        // 195100: four digits, and fingers that stayed on the key.
        5.. => {
            let (head, tail) = (digits.get(..4)?, digits.get(digits.len() - 4..)?);
            // 19001976: the field's hint, and the year behind it.
            let behind = head == "1900" || head == "1901";
            let year = if behind && digits.len() == 8 { tail } else { head };
            year.parse().ok().filter(|year| fits(*year) && *year > least)
        }
        _ => None,
    }
}

/// How a participant that nobody can read looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Undecrypted {
    Blank,
    Ciphertext,
    Garbage,
}

impl Undecrypted {
    /// The word behind the column in a row's flags, where the cell itself no longer shows it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Ciphertext => "ciphertext",
            Self::Garbage => "garbage",
        }
    }
}

/// What is wrong with a participant's cell; `None` for an id.
pub fn undecrypted(cell: &[u8]) -> Option<Undecrypted> {
    if cell.is_empty() {
        return Some(Undecrypted::Blank);
    }
    // Nearly all ids are digits.
    if is_id(cell) {
        return None;
    }
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    if cell.len() >= 172 && cell.iter().all(base64) {
        return Some(Undecrypted::Ciphertext);
    }
    let plain = std::str::from_utf8(cell).is_ok_and(|text| !text.chars().any(char::is_control)) && cell.len() <= 100;
    (!plain).then_some(Undecrypted::Garbage)
}

fn is_id(cell: &[u8]) -> bool {
    !cell.is_empty() && cell.len() < 19 && cell.iter().all(u8::is_ascii_digit)
}

impl Participant {
    fn flags(&self, row: &CheckedRow<'_>, screening: bool, out: &mut String) {
        let cells = row.cells;
        let plain = self.plain.iter().copied().find(|at| !cells[*at].is_empty());
        let opened = self.encrypted.iter().copied().find(|at| row.undecrypted(*at).is_none());
        if self.undecrypted {
            for &at in &self.encrypted {
                match row.undecrypted(at) {
                    None => {}
                    // Nobody has an id before the screening; and a plain one beside an empty cell is another era.
                    Some(Undecrypted::Blank) if plain.is_some() || opened.is_some() || screening => {}
                    Some(Undecrypted::Blank) => flag(out, "R1", &self.names[at]),
                    Some(why) => {
                        flag(out, "R1", &self.names[at]);
                        out.push(':');
                        out.push_str(why.word());
                    }
                }
            }
            // What the first generation wrote into the plain column when a decryption failed.
            for &at in self.plain.iter().filter(|at| !cells[**at].is_empty()) {
                if let Some(why) = row.undecrypted(at) {
                    flag(out, "R1", &self.names[at]);
                    out.push(':');
                    out.push_str(why.word());
                }
            }
        }
        if self.hints && !self.encrypted.is_empty() {
            let Some(plain) = plain.filter(|at| is_id(cells[*at])) else { return };
            let differs = opened.is_some_and(|at| is_id(cells[at]) && cells[at] != cells[plain]);
            let unread = self
                .encrypted
                .iter()
                .any(|at| matches!(row.undecrypted(*at), Some(Undecrypted::Ciphertext | Undecrypted::Garbage)));
            if differs || opened.is_none() && unread {
                flag(out, "R2", &self.names[plain]);
            }
        }
    }
}

fn sessions(study: &Study, name: &str, kind: ScaleKind, header: &[String]) -> Option<Sessions> {
    if study.sessions.is_empty() || kind == ScaleKind::Participants {
        return None;
    }
    let at = ["session", "sessionName"].iter().find_map(|name| header.iter().position(|column| column == name))?;
    let holds = |scale: &str, tasks: &[crate::study::scale::ScheduledTask]| {
        tasks.iter().any(|task| task.scale.as_ref().is_some_and(|known| known.as_str() == scale))
    };
    let scheduled = study.sessions.iter().any(|session| holds(name, &session.tasks));
    let asked = kind == ScaleKind::Questionnaire && scheduled;
    let mut known = FxHashMap::default();
    let mut know = |session: &String, placed| {
        known.entry(session.clone().into_bytes()).or_insert(placed);
    };
    study.sessions.iter().for_each(|session| know(&session.name, !asked || holds(name, &session.tasks)));
    study.special_sessions.iter().for_each(|session| know(session, true));
    if let Some(screening) = &study.screening {
        let own = screening.scales.iter().any(|scale| scale.as_str() == name);
        // Who is not enrolled answers the screening and nothing else.
        if own || kind != ScaleKind::Questionnaire {
            screening.sessions.iter().for_each(|session| know(session, true));
        }
    }
    Some(Sessions {
        at,
        name: header[at].clone(),
        known,
        screening: study.screening.iter().flat_map(|screening| screening.sessions.clone()).collect(),
        names: study.has_rule("R9"),
        tasks: study.has_rule("S5") && asked,
    })
}

impl Sessions {
    fn is_screening(&self, cells: &[&[u8]]) -> bool {
        let cell = cells[self.at];
        self.screening.iter().any(|session| session.as_bytes() == cell)
    }

    fn flags(&self, cells: &[&[u8]], out: &mut String) {
        let cell = cells[self.at];
        match self.known.get(cell) {
            None if self.names => flag(out, "R9", &self.name),
            Some(false) if self.tasks => flag(out, "S5", &self.name),
            _ => {}
        }
    }
}

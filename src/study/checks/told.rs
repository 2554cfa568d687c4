//! What a row's own flags say, told in full: the flag names rule and column, checks.csv the cell and what is wrong with it.

use std::borrow::Cow;

use super::cells::{birth_year_proposal, undecrypted};
use super::table::{Examination, text};
use super::text::identifying;
use super::{Finding, Severity, report};
use crate::study::moment;
use crate::study::record::Record;
use crate::study::scale::ScaleKind;
use crate::study::scoring::{CellAnswer, answer};

impl Examination<'_> {
    /// What the row's own flags say, each with its cell.
    pub(super) fn flags(
        &mut self,
        record: &Record<'_>,
        flags: &str,
        person: u32,
        moment: Option<i64>,
        sink: &mut impl FnMut(&Finding<'_>),
    ) {
        let id = text(record.cell(self.at.id));
        for flag in flags.split(';') {
            let (rule, column) = flag.split_once(':').unwrap_or((flag, ""));
            let (column, kind) =
                if rule == "R1" { column.split_once(':').unwrap_or((column, "")) } else { (column, "") };
            let at = self.header.iter().position(|name| name == column);
            let value = text(record.cell(at));
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
                        let count = text(record.cell(self.at.same));
                        find("S8", "id", count, "the id came with different contents".into(), Severity::Notice);
                    }
                }
                "no_raw_file" => {
                    let file = record.cell(self.at.first_seen);
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
        record: &Record<'_>,
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
                let mut opened = encrypted.map(|at| record.cell(Some(*at))).filter(|cell| undecrypted(cell).is_none());
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
                    Some(CellAnswer::Missing(meaning)) => (value, meaning.word().into(), Severity::Notice),
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

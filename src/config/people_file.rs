//! What the team says of accounts and entries: the participants file and the corrections file, read strictly.

use std::cell::RefCell;

use chrono::NaiveDate;

use crate::config::error::{Problems, Source};
use crate::config::section::{Section, parse};
use crate::study::name::{ScaleName, ServerName};
use crate::study::people::{Correction, Corrections, Override, Overrides};

/// Reads `[[account]]` after `[[account]]`.
pub fn accounts(source: &Source, problems: &RefCell<Problems>) -> Overrides {
    each(source, problems, "account", |table| {
        let (server, participant, test) = (server(table), id(table, "participant"), table.boolean("test"));
        let said = said(table)?;
        let (who, when, why) = said;
        Some(Override { server, participant: participant?, test: test.unwrap_or(true), who, when, why })
    })
}

/// Reads `[[correction]]` after `[[correction]]`.
pub fn corrections(source: &Source, problems: &RefCell<Problems>) -> Corrections {
    each(source, problems, "correction", |table| {
        let server = server(table);
        let scale = table.required_text("scale").and_then(|text| match ScaleName::new(&text) {
            Ok(name) => Some(name),
            Err(error) => {
                table.problem(table.span(), error.to_string(), None);
                None
            }
        });
        let id = id(table, "id").and_then(|text| {
            let read = text.parse().ok();
            if read.is_none() {
                table.problem(table.span(), "`id` must be the entry's number", None);
            }
            read
        });
        let (column, old, new) = (table.required_text("column"), value(table, "old"), value(table, "new"));
        let (who, when, why) = said(table)?;
        Some(Correction { server, scale: scale?, id: id?, column: column?, old: old?, new: new?, who, when, why })
    })
}

fn each<T>(
    source: &Source,
    problems: &RefCell<Problems>,
    key: &'static str,
    read: impl Fn(&Section<'_, '_>) -> Option<T>,
) -> Vec<T> {
    let Some(document) = parse(source, problems) else { return Vec::new() };
    let top = Section::new(&source.path, document.get_ref(), document.span(), problems);
    let mut all = Vec::new();
    if let Some(value) = top.get(key) {
        let Some(elements) = value.elements() else {
            top.problem(value.span(), format!("`{key}` must be written as [[{key}]]"), None);
            return all;
        };
        for element in elements {
            let Some(table) = top.below(key, element) else { continue };
            all.extend(read(&table));
            table.end();
        }
    }
    top.end();
    all
}

fn server(table: &Section<'_, '_>) -> Option<ServerName> {
    let text = table.text("server")?;
    let name = ServerName::new(&text);
    if name.is_err() {
        table.problem(table.span(), format!("`{text}` is no server's name"), None);
    }
    name.ok()
}

/// A text, or a number by its digits.
fn value(table: &Section<'_, '_>, key: &'static str) -> Option<String> {
    let Some(value) = table.get(key) else {
        table.problem(table.span(), format!("`{key}` is missing here"), None);
        return None;
    };
    match value.number() {
        Some(number) => Some(number.to_string()),
        None => table.text(key),
    }
}

fn id(table: &Section<'_, '_>, key: &'static str) -> Option<String> {
    value(table, key).filter(|text| !text.is_empty())
}

/// Who said it, when and why: a change of data without these is none.
fn said(table: &Section<'_, '_>) -> Option<(String, NaiveDate, String)> {
    let (who, when, why) = (table.required_text("who"), table.required_text("when"), table.required_text("why"));
    let when = when.and_then(|text| {
        let day = text.parse().ok();
        if day.is_none() {
            table.problem(table.span(), format!("`when` must be a day like \"2026-11-23\", not \"{text}\""), None);
        }
        day
    });
    Some((who?, when?, why?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { path: "one.toml".into(), text: text.to_owned() }
    }

    #[test]
    fn accounts_and_corrections_are_read() {
        let problems = RefCell::new(Problems::default());
        let read = accounts(
            &source("[[account]]\nparticipant = 103\nwho = \"ann\"\nwhen = \"2026-11-20\"\nwhy = \"mine\"\n"),
            &problems,
        );
        assert!(read[0].participant == "103" && read[0].test && read[0].server.is_none());
        let read = corrections(
            &source(
                "[[correction]]\nserver = \"m\"\nscale = \"OA\"\nid = 7\ncolumn = \"axf\"\nold = 9\nnew = \"\"\nwho = \"a\"\nwhen = \"2026-11-20\"\nwhy = \"b\"\n",
            ),
            &problems,
        );
        assert_eq!((read[0].id, read[0].old.as_str(), read[0].new.as_str()), (7, "9", ""));
        assert!(problems.borrow().problems.is_empty(), "{}", problems.borrow());
    }

    #[test]
    fn what_nobody_signed_is_refused() {
        let problems = RefCell::new(Problems::default());
        let text = "[[correction]]\nscale = \"OA\"\nid = 7\ncolumn = \"axf\"\nold = \"9\"\nnew = \"1\"\nwhen = \"yesterday\"\nextra = 1\n";
        assert!(corrections(&source(text), &problems).is_empty());
        let messages: Vec<String> = problems.borrow().problems.iter().map(|problem| problem.message.clone()).collect();
        assert!(messages.iter().any(|message| message.contains("`who` is missing")), "{messages:?}");
        assert!(messages.iter().any(|message| message.contains("`when` must be a day")), "{messages:?}");
        assert!(messages.iter().any(|message| message.contains("unknown key `extra`")), "{messages:?}");
    }
}

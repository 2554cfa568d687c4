//! The columns of a scale: named in lists by their kind, refined one by one where they differ.

use chrono::NaiveDate;
use toml::de::DeValue;

use super::{number, plain, range};
use crate::config::section::{Section, nearest};
use crate::study::scale::{Column, ColumnKind, MissingCode, MissingMeaning};

/// The items, which scores count by default, and all columns.
pub fn read(table: &Section<'_, '_>) -> (Vec<String>, Vec<Column>) {
    let items = plain(table, "items");
    let missing = missing(table);
    let values = plain(table, "values");
    let range = range(table);
    let answered = if values.is_empty() {
        ColumnKind::Number { least: range.map(|range| range.0), most: range.map(|range| range.1) }
    } else {
        ColumnKind::Choice(values)
    };
    let yes_or_no = ColumnKind::Choice(["true", "false", "True", "False", "TRUE", "FALSE"].map(str::to_owned).to_vec());
    let optional = plain(table, "optional");
    let mut columns: Vec<Column> = Vec::new();
    for (names, kind, required, coded) in [
        (items.clone(), answered, true, true),
        (plain(table, "choices"), ColumnKind::Choice(Vec::new()), true, true),
        (plain(table, "booleans"), yes_or_no, false, true),
        (plain(table, "free_text"), ColumnKind::FreeText, false, true),
        (plain(table, "lists"), ColumnKind::List, false, false),
        (plain(table, "dates"), ColumnKind::Date, false, true),
        (plain(table, "other"), ColumnKind::Other, false, true),
    ] {
        for name in names {
            if columns.iter().any(|column| column.name == name) {
                table.problem(table.span(), format!("the column `{name}` stands here twice"), None);
                continue;
            }
            columns.push(Column {
                label: name.replace('_', " "),
                kind: kind.clone(),
                required: required && !optional.contains(&name),
                missing: if coded { missing.clone() } else { Vec::new() },
                name,
            });
        }
    }
    refine(table, &mut columns);
    (items, columns)
}

/// `[scale.X.column]`: what differs from the scale's own range and codes.
fn refine(table: &Section<'_, '_>, columns: &mut [Column]) {
    let Some(section) = table.section("column") else { return };
    for (name, span, value) in section.entries() {
        let Some(column) = columns.iter_mut().find(|column| column.name == name) else {
            let near = nearest(name, columns.iter().map(|column| column.name.as_str()));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            section.problem(span, format!("there is no column `{name}`"), hint);
            continue;
        };
        let Some(below) = section.below(name, value) else { continue };
        if let Some(label) = below.text("label") {
            column.label = label;
        }
        if let Some((least, most)) = range(&below) {
            column.kind = ColumnKind::Number { least: Some(least), most: Some(most) };
        }
        if let Some(least) = below.get("least").and_then(|value| number(&below, "least", value)) {
            column.kind = ColumnKind::Number { least: Some(least), most: None };
        }
        let values = plain(&below, "values");
        if !values.is_empty() {
            column.kind = ColumnKind::Choice(values);
        }
        if let Some(required) = below.boolean("required") {
            column.required = required;
        }
        // The column's own codes come first: they may give a code of the scale another meaning.
        let mut codes = missing(&below);
        codes.append(&mut column.missing);
        column.missing = codes;
        below.end();
    }
}

fn missing(table: &Section<'_, '_>) -> Vec<MissingCode> {
    let Some(section) = table.section("missing") else { return Vec::new() };
    let mut codes = Vec::new();
    for (code, _, value) in section.entries() {
        let (word, since, until) = match value.toml {
            DeValue::Table(_) => {
                let Some(below) = section.below(code, value) else { continue };
                let found = (below.text("meaning"), date(&below, "since"), date(&below, "until"));
                below.end();
                found
            }
            _ => (value.toml.as_str().map(str::to_owned), None, None),
        };
        let meanings = [MissingMeaning::Declined, MissingMeaning::NotAsked, MissingMeaning::Server];
        let meaning = word.and_then(|word| meanings.into_iter().find(|known| known.word() == word));
        match meaning {
            Some(meaning) => codes.push(MissingCode { code: code.to_owned(), meaning, since, until }),
            None => {
                section.problem(value.span(), "the meaning must be \"declined\", \"not_asked\" or \"server\"", None);
            }
        }
    }
    codes
}

fn date(table: &Section<'_, '_>, key: &'static str) -> Option<NaiveDate> {
    let place = table.get(key).map_or(0..0, |value| value.span());
    let text = table.text(key)?;
    let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok();
    if date.is_none() {
        table.problem(place, format!("`{key}` must be a date like \"2016-06-08\""), None);
    }
    date
}

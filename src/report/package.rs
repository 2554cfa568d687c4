//! datapackage.json: the tables as a Data Package (version 2), so that other programs find their types and codes.

use serde_json::{Map, Value, json};

use crate::report::codebook::{ColumnMeaning, Described, HEADER, Type};
use crate::study::scale::{MissingCode, Study};

const PROFILES: &str = "https://datapackage.org/profiles/2.0";

/// The package of one server's tables and their codebook.
pub fn package(server: &str, study: &Study, tables: &[Described]) -> Value {
    let columns = HEADER.iter().map(|name| {
        let kind = if matches!(*name, "least" | "most") { Type::Number } else { Type::Text };
        ColumnMeaning { name: (*name).to_owned(), kind, ..ColumnMeaning::default() }
    });
    let codebook = Described {
        path: "codebook.csv".to_owned(),
        title: "What every column means".to_owned(),
        columns: columns.collect(),
    };
    let resources: Vec<Value> = std::iter::once(&codebook).chain(tables).map(resource).collect();
    let title = if study.title.is_empty() { server } else { &study.title };
    json!({
        "$schema": format!("{PROFILES}/datapackage.json"),
        "name": plain(server),
        "title": title,
        "resources": resources,
    })
}

/// Names may have small letters, digits and few signs.
fn plain(name: &str) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() || "._".contains(c) { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(sign).collect()
}

fn resource(table: &Described) -> Value {
    json!({
        "$schema": format!("{PROFILES}/dataresource.json"),
        "name": plain(table.path.strip_suffix(".csv").unwrap_or(&table.path)),
        "title": table.title,
        "type": "table",
        "path": table.path,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": {
            "$schema": format!("{PROFILES}/tableschema.json"),
            "fieldsMatch": "exact",
            "missingValues": [""],
            "fields": table.columns.iter().map(field).collect::<Vec<Value>>(),
        },
    })
}

fn field(column: &ColumnMeaning) -> Value {
    let mut field = Map::new();
    field.insert("name".to_owned(), json!(column.name));
    field.insert("type".to_owned(), json!(column.kind.word()));
    if !column.label.is_empty() {
        field.insert("title".to_owned(), json!(column.label));
    }
    if column.kind == Type::Boolean {
        field.insert("trueValues".to_owned(), json!(["true", "True", "TRUE"]));
        field.insert("falseValues".to_owned(), json!(["false", "False", "FALSE"]));
    }
    // What held for a time only is a number at other times, which no schema can say.
    let always: Vec<&MissingCode> =
        column.missing.iter().filter(|code| code.since.is_none() && code.until.is_none()).collect();
    if !always.is_empty() {
        field.insert("missingValues".to_owned(), missing(&always, column.kind));
    }
    let mut about = vec![column.rule.clone()];
    if always.len() < column.missing.len() {
        about.push("some codes for no answer held for a time only: see codebook.csv".to_owned());
    }
    about.retain(|text| !text.is_empty());
    if !about.is_empty() {
        field.insert("description".to_owned(), json!(about.join("; ")));
    }
    let constraints = constraints(column);
    if !constraints.is_empty() {
        field.insert("constraints".to_owned(), Value::Object(constraints));
    }
    Value::Object(field)
}

/// The codes with their meaning; what some programs make of a whole number, 555.0, is the same code. Labels have to
/// differ, so the second code of a meaning is named with it.
fn missing(codes: &[&MissingCode], kind: Type) -> Value {
    let mut all = vec![(String::new(), "empty".to_owned())];
    for code in codes {
        let whole = kind == Type::Number && code.code.parse::<i64>().is_ok();
        for value in std::iter::once(code.code.clone()).chain(whole.then(|| format!("{}.0", code.code))) {
            // The column's own meaning of a code stands before the scale's.
            if all.iter().any(|(known, _)| *known == value) {
                continue;
            }
            let word = code.meaning.word();
            let taken = all.iter().any(|(_, label)| label == word);
            let label = if taken { format!("{word} ({value})") } else { word.to_owned() };
            all.push((value, label));
        }
    }
    all.into_iter().map(|(value, label)| json!({"value": value, "label": label})).collect()
}

fn constraints(column: &ColumnMeaning) -> Map<String, Value> {
    let mut all = Map::new();
    for (word, end) in [("minimum", column.least), ("maximum", column.most)] {
        if let Some(end) = end {
            all.insert(word.to_owned(), json!(end));
        }
    }
    if !column.values.is_empty() {
        let value = |value: &String| match (column.kind, value.parse::<f64>()) {
            (Type::Number, Ok(number)) => json!(number),
            _ => json!(value),
        };
        all.insert("enum".to_owned(), column.values.iter().map(value).collect());
    }
    all
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::study::scale::MissingMeaning;

    #[test]
    fn codes_that_held_for_a_time_are_no_missing_values() {
        let code = |code: &str, until: Option<&str>| MissingCode {
            code: code.to_owned(),
            meaning: MissingMeaning::Declined,
            since: None,
            until: until.and_then(|day| NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()),
        };
        let column = ColumnMeaning {
            name: "a".to_owned(),
            kind: Type::Number,
            least: Some(0.0),
            missing: vec![code("555", None), code("0", Some("2016-06-08")), code("none", None)],
            ..ColumnMeaning::default()
        };
        assert_eq!(
            field(&column),
            json!({
                "name": "a",
                "type": "number",
                "description": "some codes for no answer held for a time only: see codebook.csv",
                "missingValues": [
                    {"value": "", "label": "empty"},
                    {"value": "555", "label": "declined"},
                    {"value": "555.0", "label": "declined (555.0)"},
                    {"value": "none", "label": "declined (none)"},
                ],
                "constraints": {"minimum": 0.0},
            })
        );
    }
}

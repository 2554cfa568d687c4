//! What every column of the combined and scored tables means, as the definitions say it: for people and their programs.

use crate::report::sheet::Sheet;
use crate::report::sources::{Sources, Unreadable, scale_name};
use crate::study::moment;
use crate::study::scale::{Column, ColumnKind, MissingCode, PARTICIPANT, Scale, ScoreRule, Study};
use crate::table::file::TableReader;

/// A table and its columns, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// From the server's folder on: `combined/OA.csv`.
    pub path: String,
    pub title: String,
    pub columns: Vec<ColumnMeaning>,
}

/// What a column's cells are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Type {
    Integer,
    Number,
    Boolean,
    #[default]
    Text,
}

impl Type {
    /// As Table Schema calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Text => "string",
        }
    }

    /// As R's `read.csv` calls it; its integers end at two thousand millions, which ids do not.
    fn class(self) -> &'static str {
        match self {
            Self::Integer | Self::Number => "numeric",
            Self::Boolean => "logical",
            Self::Text => "character",
        }
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ColumnMeaning {
    pub name: String,
    pub label: String,
    pub kind: Type,
    pub least: Option<f64>,
    pub most: Option<f64>,
    /// The only values there may be; of any when there are none.
    pub values: Vec<String>,
    pub missing: Vec<MissingCode>,
    /// Who says so: `definition`, `mtdata` for what it adds itself, `undefined`.
    pub source: &'static str,
    /// How a score was made.
    pub rule: String,
}

/// Describes the tables; only their headers are read.
///
/// # Errors
/// The table that cannot be read, and why.
pub fn describe(sources: &Sources<'_>) -> Result<Vec<Described>, Unreadable> {
    let mut all = Vec::new();
    for (folder, paths) in [("combined", &sources.combined), ("scored", &sources.scored)] {
        for path in paths {
            let table = TableReader::open(path).map_err(|error| (path.clone(), error.into()))?;
            let name = scale_name(path);
            let scale = defined(sources.study, &name);
            let meaning = |column: &String| match folder {
                "combined" => combined(scale, column),
                _ => scored(scale, column),
            };
            all.push(Described {
                path: format!("{folder}/{name}.csv"),
                title: scale.map_or_else(|| format!("{name} (no definition)"), |scale| scale.title.clone()),
                columns: table.header().iter().map(meaning).collect(),
            });
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

fn defined<'s>(study: &'s Study, name: &str) -> Option<&'s Scale> {
    study.scales.iter().find(|(known, _)| known.as_str() == name).map(|(_, scale)| scale)
}

fn own(name: &str, label: &str, kind: Type) -> ColumnMeaning {
    ColumnMeaning { name: name.to_owned(), label: label.to_owned(), kind, source: "mtdata", ..ColumnMeaning::default() }
}

/// What every table has, whatever its definition says.
fn common(name: &str) -> Option<ColumnMeaning> {
    let (label, kind) = match name {
        "id" => ("the entry's number", Type::Integer),
        "session" | "sessionName" => ("session of the study", Type::Text),
        "tag" => ("which of several entries of the session", Type::Text),
        "timeOnPage" => ("seconds", Type::Number),
        "_first_seen" => ("raw file that brought the entry", Type::Text),
        "_n_same_id" => ("versions of this id", Type::Integer),
        "_current" => ("true: the newest version", Type::Boolean),
        "_flags" => ("rules that this row breaks", Type::Text),
        "_rules" => ("score=rule@version", Type::Text),
        _ if PARTICIPANT.contains(&name) => ("the participant's number", Type::Integer),
        _ if moment::COLUMNS.contains(&name) => ("when, as the server wrote it", Type::Text),
        _ => return None,
    };
    Some(own(name, label, kind))
}

fn combined(scale: Option<&Scale>, name: &str) -> ColumnMeaning {
    match scale.and_then(|scale| scale.column(name)) {
        Some(column) => item(column),
        None => common(name).unwrap_or_else(|| ColumnMeaning {
            name: name.to_owned(),
            source: "undefined",
            ..ColumnMeaning::default()
        }),
    }
}

fn item(column: &Column) -> ColumnMeaning {
    let mut meaning = ColumnMeaning {
        name: column.name.clone(),
        label: column.label.clone(),
        missing: column.missing.clone(),
        source: "definition",
        ..ColumnMeaning::default()
    };
    match &column.kind {
        ColumnKind::Number { least, most } => {
            meaning.kind = Type::Number;
            (meaning.least, meaning.most) = (*least, *most);
        }
        ColumnKind::Choice(values) => {
            let all = |fits: fn(&String) -> bool| !values.is_empty() && values.iter().all(fits);
            if all(|value| value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")) {
                meaning.kind = Type::Boolean;
            } else {
                meaning.values.clone_from(values);
                if all(|value| value.parse::<f64>().is_ok()) {
                    meaning.kind = Type::Number;
                }
            }
        }
        ColumnKind::FreeText | ColumnKind::List | ColumnKind::Date | ColumnKind::Other => {}
    }
    meaning
}

fn scored(scale: Option<&Scale>, name: &str) -> ColumnMeaning {
    for rule in scale.into_iter().flat_map(|scale| &scale.scores) {
        match name.strip_prefix(rule.name.as_str()) {
            Some("") => return score(rule),
            Some("_n_valid") => {
                return own(name, &format!("answers that {} rests on", rule.name), Type::Integer);
            }
            Some("_n_items") => return own(name, &format!("items that {} counts", rule.name), Type::Integer),
            _ => {}
        }
    }
    common(name).unwrap_or_else(|| own(name, "", Type::Text))
}

fn score(rule: &ScoreRule) -> ColumnMeaning {
    ColumnMeaning {
        name: rule.name.clone(),
        label: rule.title.clone(),
        kind: Type::Number,
        least: rule.range.map(|range| range.0),
        most: rule.range.map(|range| range.1),
        source: "definition",
        rule: formula(rule),
        ..ColumnMeaning::default()
    }
}

/// A rule in one line.
pub fn formula(rule: &ScoreRule) -> String {
    let mut parts = vec![format!("{}@{}", rule.method.word(), rule.version)];
    let mut say = |word: &str, names: &[String]| {
        if !names.is_empty() {
            parts.push(format!("{word} {}", names.join(" ")));
        }
    };
    say("of", &rule.items);
    say("over", &rule.over);
    say("of", &rule.of);
    say("reversed", &rule.reverse);
    let pair = |from: &dyn std::fmt::Display, to: f64| format!("{from}->{to}");
    say("recoded", &rule.recode.iter().map(|(from, to)| pair(from, *to)).collect::<Vec<_>>());
    say("counted", &rule.counted.iter().map(ToString::to_string).collect::<Vec<_>>());
    say("imputed", &rule.impute.iter().map(|(item, value)| pair(item, *value)).collect::<Vec<_>>());
    if rule.factor.to_bits() != 1.0_f64.to_bits() {
        parts.push(format!("times {}", rule.factor));
    }
    if rule.method.is_of_scores() && !matches!(rule.method, crate::study::scale::Method::MeanOfScores) {
        parts.push(format!("threshold {}", rule.threshold));
    }
    parts.push(format!("min_valid {}", rule.min_valid));
    if !rule.origins.is_empty() {
        parts.push(format!("origin {}", rule.origins.join(" ")));
    }
    parts.join("; ")
}

/// A code with its meaning and the time it held: `0=not_asked until 2016-06-08`.
fn code(code: &MissingCode) -> String {
    let mut text = format!("{}={}", code.code, code.meaning.word());
    for (word, date) in [("from", code.since), ("until", code.until)] {
        text += &date.map(|date| format!(" {word} {date}")).unwrap_or_default();
    }
    text
}

/// codebook.csv: a row per column.
pub fn sheet(tables: &[Described]) -> Sheet {
    let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    let row = |table: &Described, column: &ColumnMeaning| {
        vec![
            table.path.clone(),
            column.name.clone(),
            column.label.clone(),
            column.kind.word().to_owned(),
            column.kind.class().to_owned(),
            number(column.least),
            number(column.most),
            column.values.join("; "),
            column.missing.iter().map(code).collect::<Vec<_>>().join("; "),
            column.source.to_owned(),
            column.rule.clone(),
        ]
    };
    Sheet {
        header: HEADER,
        rows: tables.iter().flat_map(|table| table.columns.iter().map(|column| row(table, column))).collect(),
    }
}

pub const HEADER: &[&str] =
    &["table", "column", "label", "type", "class", "least", "most", "values", "missing", "source", "rule"];

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::config::error::{Problems, Source};
    use crate::config::scales;

    fn study(name: &str) -> Study {
        let text = scales::BUILT_IN.iter().find(|(file, _)| *file == name).unwrap().1;
        let problems = RefCell::new(Problems::default());
        scales::read("one", &Source { path: name.into(), text: text.to_owned() }, &problems).unwrap()
    }

    #[test]
    fn a_column_is_what_its_definition_says() {
        let study = study("calm.toml");
        let of = |scale: &str, column: &str| combined(defined(&study, scale), column);
        let row = |meaning: ColumnMeaning| {
            let table = Described { path: "t".into(), title: String::new(), columns: vec![meaning] };
            sheet(&[table]).rows[0][1..].join("|")
        };
        assert_eq!(row(of("OA", "avoid")), "avoid|avoid|number|numeric|0|4||555=declined|definition|");
        assert_eq!(of("OA", "participant").kind, Type::Integer);
        assert_eq!(of("OA", "surprise").source, "undefined");
        assert_eq!(of("Nothing", "avoid").kind, Type::Text);
        let coronavirus = of("AnxietyTriggers", "coronavirus").missing.iter().map(code).collect::<Vec<_>>();
        assert_eq!(coronavirus, ["0=not_asked", "999=not_asked", "555=declined"]);
        let scored = |column: &str| scored(defined(&study, "DASS21_AS"), column);
        assert_eq!(scored("dass21_as_total_doubled_n_valid").kind, Type::Integer);
        assert_eq!(
            row(scored("dass21_as_total_doubled")),
            "dass21_as_total_doubled|0 to 42, comparable with the long form|number|numeric|0|42|||definition|\
             prorated_sum@1; of breathing dryness heart panic scared trembling worry; times 2; min_valid 4"
        );
    }
}

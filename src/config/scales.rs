//! config/scales: one file per study, made [`Studies`]. The files that `init` writes are built in.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;
use toml::de::DeValue;

use crate::config::error::{Problems, Source};
use crate::config::section::{Section, Value, parse};
use crate::study::name::ScaleName;
use crate::study::scale::{
    Column, ColumnKind, Duplicates, MissingCode, MissingMeaning, Scale, ScaleKind, ScheduledTask, ScoreRule, Session,
    Studies, Study,
};
use crate::study::scoring;

/// Name below config/scales and text of every definition that comes with mtdata.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("calm.toml", include_str!("../../config/scales/calm.toml")),
    ("mindtrails.toml", include_str!("../../config/scales/mindtrails.toml")),
];

/// Reads every file of the folder; a missing folder holds no studies.
#[must_use]
pub fn load(folder: &Path, problems: &RefCell<Problems>) -> Studies {
    let mut studies = Studies::new();
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let source = problems.borrow_mut().read(&path);
        if let Some(study) = source.and_then(|source| read(&name, &source, problems)) {
            studies.insert(name, study);
        }
    }
    studies
}

/// Reads one study.
#[must_use]
pub fn read(name: &str, source: &Source, problems: &RefCell<Problems>) -> Option<Study> {
    let document = parse(source, problems)?;
    let top = Section::new(&source.path, document.get_ref(), document.span(), problems);
    let policies = [("first", Duplicates::First), ("last", Duplicates::Last), ("all", Duplicates::All)];
    let mut study = Study {
        name: name.to_owned(),
        title: top.text("title").unwrap_or_else(|| name.to_owned()),
        digest: digest(&source.text),
        duplicates: top.word("duplicates", &policies).unwrap_or_default(),
        sessions: sessions(&top),
        scales: BTreeMap::new(),
    };
    if let Some(section) = top.section("scale") {
        for (scale, span, value) in section.entries() {
            let Some(table) = section.below(scale, value) else { continue };
            match ScaleName::new(scale) {
                Ok(scale) => {
                    let text = source.text.get(value.span()).unwrap_or_default();
                    study.scales.insert(scale.clone(), read_scale(&scale, &table, &source.text, text));
                    table.end();
                }
                Err(error) => section.problem(span, error.to_string(), None),
            }
        }
    }
    top.end();
    Some(study)
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

fn sessions(top: &Section<'_, '_>) -> Vec<Session> {
    let Some(elements) = top.get("session").and_then(|value| value.elements()) else { return Vec::new() };
    let mut sessions = Vec::new();
    for element in elements {
        let Some(table) = top.below("session", element) else { continue };
        let name = table.required_text("name").unwrap_or_default();
        let tasks = table.get("tasks").and_then(|value| value.elements()).unwrap_or_default();
        let session = Session {
            display: table.text("display").unwrap_or_else(|| name.clone()),
            gap_days: table.get("gap_days").and_then(|value| number(&table, "gap_days", value)),
            tasks: tasks.into_iter().filter_map(|value| scheduled(&table, value)).collect(),
            name,
        };
        table.end();
        sessions.push(session);
    }
    sessions
}

fn scheduled(table: &Section<'_, '_>, value: Value<'_>) -> Option<ScheduledTask> {
    let task = table.below("tasks", value)?;
    let name = task.required_text("name")?;
    let place = task.get("scale").map_or(0..0, |value| value.span());
    let scale = task.text("scale").and_then(|scale| match ScaleName::new(&scale) {
        Ok(scale) => Some(scale),
        Err(error) => {
            task.problem(place, error.to_string(), None);
            None
        }
    });
    let scheduled = ScheduledTask { name, scale, tag: task.text("tag") };
    task.end();
    Some(scheduled)
}

fn number(table: &Section<'_, '_>, key: &str, value: Value<'_>) -> Option<f64> {
    let read = match value.value {
        DeValue::Integer(number) => number.as_str().parse().ok(),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    };
    if read.is_none() {
        table.problem(value.span(), format!("`{key}` must be a number"), None);
    }
    read
}

fn read_scale(name: &ScaleName, table: &Section<'_, '_>, file: &str, own: &str) -> Scale {
    let kinds = [
        ("questionnaire", ScaleKind::Questionnaire),
        ("log", ScaleKind::Log),
        ("participants", ScaleKind::Participants),
        ("trials", ScaleKind::Trials),
    ];
    let plain = |key| table.texts(key).unwrap_or_default().into_iter().map(|(text, _)| text).collect::<Vec<_>>();
    let items = plain("items");
    let missing = missing(table);
    let (least, most) = range(table);
    let optional = plain("optional");
    let column = |name: &String, kind: ColumnKind, missing: &[MissingCode]| Column {
        name: name.clone(),
        label: name.replace('_', " "),
        required: !optional.contains(name) && !matches!(kind, ColumnKind::FreeText | ColumnKind::List),
        kind,
        missing: missing.to_vec(),
    };
    let number = || ColumnKind::Number { least, most };
    let mut columns: Vec<Column> = items.iter().map(|item| column(item, number(), &missing)).collect();
    columns.extend(plain("free_text").iter().map(|item| column(item, ColumnKind::FreeText, &[])));
    columns.extend(plain("lists").iter().map(|item| column(item, ColumnKind::List, &[])));
    Scale {
        title: table.text("title").unwrap_or_else(|| name.to_string()),
        kind: table.word("kind", &kinds).unwrap_or_default(),
        digest: digest(if own.len() > 2 { own } else { file }),
        key: table
            .texts("key")
            .map_or_else(|| vec!["session".to_owned()], |key| key.into_iter().map(|(k, _)| k).collect()),
        scores: scores(table, &items),
        columns,
    }
}

fn range(table: &Section<'_, '_>) -> (Option<f64>, Option<f64>) {
    let Some(value) = table.get("range") else { return (None, None) };
    let ends: Vec<f64> =
        value.elements().unwrap_or_default().into_iter().filter_map(|end| number(table, "range", end)).collect();
    match ends.as_slice() {
        [least, most] if least <= most => (Some(*least), Some(*most)),
        _ => {
            table.problem(value.span(), "`range` must be [LEAST, MOST]", None);
            (None, None)
        }
    }
}

fn missing(table: &Section<'_, '_>) -> Vec<MissingCode> {
    let Some(section) = table.section("missing") else { return Vec::new() };
    let meanings = [
        ("declined", MissingMeaning::Declined),
        ("not_asked", MissingMeaning::NotAsked),
        ("server", MissingMeaning::Server),
    ];
    let mut codes = Vec::new();
    for (code, _, value) in section.entries() {
        let (word, since, until) = match value.value {
            DeValue::Table(_) => {
                let Some(below) = section.below(code, value) else { continue };
                let date = |key| {
                    let place = below.get(key).map_or(0..0, |value| value.span());
                    let text = below.text(key)?;
                    let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok();
                    if date.is_none() {
                        below.problem(place, format!("`{key}` must be a date like \"2016-06-08\""), None);
                    }
                    date
                };
                let found = (below.text("meaning"), date("since"), date("until"));
                below.end();
                found
            }
            _ => (value.value.as_str().map(str::to_owned), None, None),
        };
        let meaning = word.and_then(|word| meanings.iter().find(|(known, _)| *known == word));
        match meaning {
            Some((_, meaning)) => codes.push(MissingCode { code: code.to_owned(), meaning: *meaning, since, until }),
            None => {
                section.problem(value.span(), "the meaning must be \"declined\", \"not_asked\" or \"server\"", None);
            }
        }
    }
    codes
}

fn scores(table: &Section<'_, '_>, all: &[String]) -> Vec<ScoreRule> {
    let Some(elements) = table.get("score").and_then(|value| value.elements()) else { return Vec::new() };
    let mut scores = Vec::new();
    for element in elements {
        let Some(score) = table.below("score", element) else { continue };
        let items: Vec<String> = match score.texts("items") {
            Some(items) => items.into_iter().map(|(item, _)| item).collect(),
            None => all.to_vec(),
        };
        let rules: Vec<(&str, &str)> = scoring::RULES.iter().map(|rule| (*rule, *rule)).collect();
        let rule = ScoreRule {
            name: score.required_text("name").unwrap_or_default(),
            rule: score.word("rule", &rules).unwrap_or_default().to_owned(),
            version: score.whole("version", 1, 1000).and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            factor: score.get("factor").and_then(|value| number(&score, "factor", value)).unwrap_or(1.0),
            min_valid: score
                .whole("min_valid", 1, 10_000)
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or_else(|| items.len().div_ceil(2)),
            selected: score.boolean("selected").unwrap_or(true),
            items,
        };
        score.end();
        scores.push(rule);
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_definitions_are_sound() {
        for (name, text) in BUILT_IN {
            let problems = RefCell::new(Problems::default());
            let source = Source { path: (*name).into(), text: (*text).to_owned() };
            problems.borrow_mut().sources.push(source.clone());
            let study = read(name, &source, &problems).unwrap();
            let problems = problems.into_inner();
            assert!(problems.problems.is_empty(), "{problems}");
            assert!(study.sessions.len() > 4 && study.scales.len() > 10, "{name}");
            let oasis = &study.scales[&ScaleName::new("OA").unwrap()];
            assert_eq!((oasis.columns.len(), oasis.scores.len()), (5, 1));
        }
    }
}

//! The scores of a scale: which items, by which method, from how many answers on.

use super::{number, plain, range};
use crate::config::section::{Section, nearest};
use crate::study::scale::{Column, ColumnKind, Method, ScoreRule};

/// Columns that `scored/` has anyway.
const TAKEN: [&str; 7] = ["id", "participant", "session", "tag", "date", "_rules", "_flags"];

pub fn read(table: &Section<'_, '_>, items: &[String], columns: &[Column]) -> Vec<ScoreRule> {
    let Some(elements) = table.get("score").and_then(|value| value.elements()) else { return Vec::new() };
    let mut scores: Vec<ScoreRule> = Vec::new();
    let mut places = Vec::new();
    for element in elements {
        let Some(section) = table.below("score", element) else { continue };
        let place = section.get("name").map_or_else(|| section.span(), |value| value.span());
        let score = one(&section, items);
        check(&section, &score, columns);
        let own = columns_of(&score.name);
        let taken = TAKEN.contains(&score.name.as_str())
            || scores.iter().any(|other| columns_of(&other.name).iter().any(|column| own.contains(column)));
        if taken {
            section.problem(place.clone(), format!("the name `{}` is taken", score.name), None);
        }
        section.end();
        scores.push(score);
        places.push(place);
    }
    for (score, place) in scores.iter().zip(places) {
        for name in score.of.iter().filter(|name| !scores.iter().any(|other| other.name == **name)) {
            let near = nearest(name, scores.iter().map(|score| score.name.as_str()));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            table.problem(
                place.clone(),
                format!("the score `{}` is made of `{name}`, which is none", score.name),
                hint,
            );
        }
    }
    scores
}

/// The columns of a score.
fn columns_of(score: &str) -> [String; 3] {
    ["", "_n_valid", "_n_items"].map(|ending| format!("{score}{ending}"))
}

fn one(section: &Section<'_, '_>, all: &[String]) -> ScoreRule {
    let method = section.word("rule", Method::ALL);
    if section.get("rule").is_none() {
        section.problem(section.span(), "`rule` is missing here", None);
    }
    let method = method.unwrap_or_default();
    let items = match section.texts("items") {
        Some(items) => items.into_iter().map(|(item, _)| item).collect(),
        None if method.is_of_scores() => Vec::new(),
        None => all.to_vec(),
    };
    let over = plain(section, "over");
    let of = plain(section, "of");
    let count = items.len() + over.len();
    let usual = match method {
        // A sum of some items only would look like a low score.
        Method::Sum => count,
        _ if method.is_of_scores() => 1,
        _ => count.div_ceil(2),
    };
    let whole = |key, least, most| section.whole(key, least, most).and_then(|number| usize::try_from(number).ok());
    let float = |key: &'static str| section.get(key).and_then(|value| number(section, key, value));
    ScoreRule {
        name: section.required_text("name").unwrap_or_default(),
        title: section.text("title").unwrap_or_default(),
        version: whole("version", 1, 1000).and_then(|version| u32::try_from(version).ok()).unwrap_or(1),
        reverse: plain(section, "reverse"),
        recode: pairs(section, "recode")
            .into_iter()
            .filter_map(|(from, to)| {
                let read = from.parse().ok();
                if read.is_none() {
                    section.problem(section.span(), format!("`recode` has `{from}`, which is no number"), None);
                }
                Some((read?, to))
            })
            .collect(),
        counted: section.get("counted").and_then(|value| value.elements()).map_or_else(Vec::new, |elements| {
            elements.into_iter().filter_map(|value| number(section, "counted", value)).collect()
        }),
        impute: pairs(section, "impute").into_iter().collect(),
        factor: float("factor").unwrap_or(1.0),
        threshold: float("threshold").unwrap_or_default(),
        min_valid: whole("min_valid", 0, 10_000).unwrap_or(usual),
        range: range(section),
        origins: match section.get("origin").and_then(|value| value.elements()) {
            Some(_) => plain(section, "origin"),
            None => section.text("origin").into_iter().collect(),
        },
        selected: section.boolean("selected").unwrap_or(true),
        method,
        items,
        over,
        of,
    }
}

/// A table of numbers.
fn pairs(section: &Section<'_, '_>, key: &'static str) -> Vec<(String, f64)> {
    let Some(below) = section.section(key) else { return Vec::new() };
    let read = |(name, _, value): (&str, _, _)| Some((name.to_owned(), number(&below, key, value)?));
    below.entries().filter_map(read).collect()
}

fn check(section: &Section<'_, '_>, score: &ScoreRule, columns: &[Column]) {
    let column = |name: &String| columns.iter().find(|column| column.name == *name);
    let name = &score.name;
    for item in score.items.iter().chain(&score.over).chain(score.impute.keys()).filter(|item| column(item).is_none()) {
        let near = nearest(item, columns.iter().map(|column| column.name.as_str()));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        let message = format!("the score `{name}` counts `{item}`, which this scale does not have");
        section.problem(section.span(), message, hint);
    }
    for item in &score.reverse {
        let ranged = column(item)
            .is_some_and(|column| matches!(column.kind, ColumnKind::Number { least: Some(_), most: Some(_) }));
        if !ranged {
            section.problem(section.span(), format!("`{item}` has no range to be reversed in"), None);
        }
    }
    if score.method.has_two_groups() && score.over.is_empty() {
        section.problem(section.span(), format!("`{}` needs `over`: the other items", score.method.word()), None);
    }
    if score.method.is_of_scores() && score.of.is_empty() {
        section.problem(section.span(), format!("`{}` needs `of`: other scores", score.method.word()), None);
    }
}

//! Scores of one entry: codes for "no answer" never count, too few answers give none, nothing is imputed from others.

use chrono::NaiveDate;

use crate::study::scale::{ColumnKind, MissingMeaning, Scale, ScoreRule};

/// The rules a definition may name.
pub const RULES: &[&str] = &["prorated_sum", "sum", "mean"];

/// What a cell says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    Empty,
    /// A declared code for "no answer".
    Missing(MissingMeaning),
    Number(f64),
    /// A number outside the item's range, or no number at all.
    OutOfRange,
    /// Anything in a column without range.
    Text,
}

/// Reads a cell of a column as its definition says it was on that day.
#[must_use]
pub fn answer(scale: &Scale, column: &str, cell: &str, date: Option<NaiveDate>) -> Answer {
    if cell.is_empty() {
        return Answer::Empty;
    }
    let Some(defined) = scale.columns.iter().find(|known| known.name == column) else { return Answer::Text };
    let valid = |since: Option<NaiveDate>, until: Option<NaiveDate>| {
        date.is_none_or(|date| since.is_none_or(|since| since <= date) && until.is_none_or(|until| date <= until))
    };
    let number = cell.trim().parse::<f64>().ok();
    for code in defined.missing.iter().filter(|code| valid(code.since, code.until)) {
        // 555 and 555.0 are the same code.
        let same =
            code.code == cell || code.code.parse::<f64>().ok().zip(number).is_some_and(|(a, b)| same_number(a, b));
        if same {
            return Answer::Missing(code.meaning);
        }
    }
    match (&defined.kind, number) {
        (ColumnKind::Number { least, most }, Some(number)) => {
            let within = least.is_none_or(|least| least <= number) && most.is_none_or(|most| number <= most);
            if within && number.is_finite() { Answer::Number(number) } else { Answer::OutOfRange }
        }
        (ColumnKind::Number { .. }, None) => Answer::OutOfRange,
        (ColumnKind::Choice(values), _) if !values.iter().any(|value| value == cell) => Answer::OutOfRange,
        _ => Answer::Text,
    }
}

fn same_number(a: f64, b: f64) -> bool {
    (a - b).abs() < f64::EPSILON
}

/// A score and how many items it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// `None` below the rule's least number of answers.
    pub value: Option<f64>,
    pub valid: usize,
}

/// Applies a rule to the answers of its items, in the rule's order.
#[must_use]
pub fn score(rule: &ScoreRule, answers: impl Iterator<Item = Answer>) -> Scored {
    let numbers: Vec<f64> = answers
        .filter_map(|answer| match answer {
            Answer::Number(number) => Some(number),
            _ => None,
        })
        .collect();
    let (valid, items) = (numbers.len(), rule.items.len());
    let sum: f64 = numbers.iter().sum();
    let value = match rule.rule.as_str() {
        "sum" if valid == items => Some(sum),
        "prorated_sum" if valid > 0 => Some(sum / valid as f64 * items as f64),
        "mean" if valid > 0 => Some(sum / valid as f64),
        _ => None,
    };
    Scored { value: value.filter(|_| valid >= rule.min_valid).map(|value| value * rule.factor), valid }
}

/// How a rule is named beside the scores it made: `oasis_total=prorated_sum@1`.
#[must_use]
pub fn label(rule: &ScoreRule) -> String {
    format!("{}={}@{}", rule.name, rule.rule, rule.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::scale::{Column, MissingCode};

    fn oasis() -> Scale {
        let missing =
            vec![MissingCode { code: "555".to_owned(), meaning: MissingMeaning::Declined, since: None, until: None }];
        let column = |name: &str| Column {
            name: name.to_owned(),
            label: String::new(),
            kind: ColumnKind::Number { least: Some(0.0), most: Some(4.0) },
            required: true,
            missing: missing.clone(),
        };
        Scale { columns: ["a", "b", "c", "d", "e"].map(column).to_vec(), ..Scale::default() }
    }

    fn total(cells: [&str; 5], min_valid: usize) -> Scored {
        let scale = oasis();
        let items: Vec<String> = scale.columns.iter().map(|column| column.name.clone()).collect();
        let rule = ScoreRule {
            name: "oasis_total".to_owned(),
            rule: "prorated_sum".to_owned(),
            version: 1,
            items: items.clone(),
            factor: 1.0,
            min_valid,
            selected: true,
        };
        score(&rule, items.iter().zip(cells).map(|(item, cell)| answer(&scale, item, cell, None)))
    }

    #[test]
    fn codes_for_no_answer_never_count() {
        assert_eq!(total(["1", "2", "3", "4", "0"], 3), Scored { value: Some(10.0), valid: 5 });
        assert_eq!(total(["2", "2", "2", "2", "555"], 3), Scored { value: Some(10.0), valid: 4 });
        assert_eq!(total(["2", "2", "", "9", "555.0"], 3), Scored { value: None, valid: 2 });
    }
}

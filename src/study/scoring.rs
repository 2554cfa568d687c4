//! Scores of one entry: codes for "no answer" never count, too few answers give none, nothing is imputed from others.

use std::io::Write as _;

use chrono::NaiveDate;

use crate::study::scale::{Column, ColumnKind, Method, MissingCode, MissingMeaning, Scale, ScoreRule};

/// What a cell says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CellAnswer {
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
pub fn answer(scale: &Scale, column: &str, cell: &str, date: Option<NaiveDate>) -> CellAnswer {
    match scale.column(column) {
        Some(column) => Judge::new(column).judge(cell.as_bytes(), || date),
        None if cell.is_empty() => CellAnswer::Empty,
        None => CellAnswer::Text,
    }
}

/// A column's definition, ready to read a million cells.
#[derive(Debug, Clone)]
pub struct Judge {
    kind: ColumnKind,
    codes: Vec<(MissingCode, Option<f64>)>,
    /// True when some code held for a time only.
    dated: bool,
    /// Most answers are one digit: what each of them says, where that is the same on all days.
    digits: Option<[CellAnswer; 10]>,
}

impl Judge {
    pub fn new(column: &Column) -> Self {
        let codes: Vec<_> = column.missing.iter().map(|code| (code.clone(), code.code.parse().ok())).collect();
        let dated = codes.iter().any(|(code, _)| code.since.is_some() || code.until.is_some());
        let mut judge = Self { kind: column.kind.clone(), codes, dated, digits: None };
        if !dated {
            judge.digits = Some(std::array::from_fn(|digit| judge.look(&b"0123456789"[digit..=digit], || None)));
        }
        judge
    }

    /// What a cell says; the day is asked for only where a code depends on it.
    pub fn judge(&self, cell: &[u8], date: impl FnOnce() -> Option<NaiveDate>) -> CellAnswer {
        match (cell, &self.digits) {
            ([], _) => CellAnswer::Empty,
            ([digit @ b'0'..=b'9'], Some(answers)) => answers[usize::from(digit - b'0')],
            _ => self.look(cell, date),
        }
    }

    fn look(&self, cell: &[u8], date: impl FnOnce() -> Option<NaiveDate>) -> CellAnswer {
        let number = number(cell);
        let mut known =
            self.codes.iter().filter(|(code, value)| same(number, *value) || code.code.as_bytes() == cell).peekable();
        if known.peek().is_some() {
            let day = if self.dated { date() } else { None };
            if let Some((code, _)) = known.find(|(code, _)| code.holds_on(day)) {
                return CellAnswer::Missing(code.meaning);
            }
        }
        match (&self.kind, number) {
            (ColumnKind::Number { least, most }, Some(number)) => {
                let within = least.is_none_or(|least| least <= number) && most.is_none_or(|most| number <= most);
                if within { CellAnswer::Number(number) } else { CellAnswer::OutOfRange }
            }
            (ColumnKind::Number { .. }, None) => CellAnswer::OutOfRange,
            (ColumnKind::Choice(values), _) if values.is_empty() => CellAnswer::Text,
            (ColumnKind::Choice(values), number) => {
                let fits = |value: &String| value.as_bytes() == cell || same(number, value.parse().ok());
                match (values.iter().any(fits), number) {
                    (true, Some(number)) => CellAnswer::Number(number),
                    (true, None) => CellAnswer::Text,
                    (false, _) => CellAnswer::OutOfRange,
                }
            }
            _ => CellAnswer::Text,
        }
    }
}

/// A finite number; nearly all answers have one or two digits.
fn number(cell: &[u8]) -> Option<f64> {
    match *cell {
        [one @ b'0'..=b'9'] => Some(f64::from(one - b'0')),
        [ten @ b'0'..=b'9', one @ b'0'..=b'9'] => Some(f64::from((ten - b'0') * 10 + (one - b'0'))),
        _ => std::str::from_utf8(cell).ok()?.trim().parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

/// 555 and 555.0 are the same code.
fn same(a: Option<f64>, b: Option<f64>) -> bool {
    a.zip(b).is_some_and(|(a, b)| (a - b).abs() < f64::EPSILON)
}

/// A score and how many items it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreValue {
    /// `None` below the rule's least number of answers.
    pub value: Option<f64>,
    pub valid: usize,
}

/// The rules of one scale over the columns of one table.
#[derive(Debug, Clone)]
pub struct Scorer {
    judges: Vec<(Option<usize>, Judge)>,
    rules: Vec<Ready>,
}

/// A rule with the places of its items among the judges, and of other scores among the rules.
#[derive(Debug, Clone)]
struct Ready {
    rule: ScoreRule,
    items: Vec<ScoredItem>,
    over: Vec<ScoredItem>,
    of: Vec<usize>,
}

#[derive(Debug, Clone)]
struct ScoredItem {
    judge: usize,
    /// least + most, of an item that counts from the other end.
    mirror: Option<f64>,
    impute: Option<f64>,
}

impl Scorer {
    /// `place` says where a column stands in the table; items without column are as empty ones. Rules that only other
    /// rules need are computed, too: see [`Scorer::wanted`].
    pub fn new(scale: &Scale, place: impl Fn(&str) -> Option<usize>) -> Self {
        let needed = needed(scale);
        let mut scorer = Self { judges: Vec::new(), rules: Vec::new() };
        let mut names: Vec<String> = Vec::new();
        for rule in needed {
            let mut ready = |name: &String| {
                let column = scale.column(name).cloned().unwrap_or_default();
                let judge = names.iter().position(|known| known == name).unwrap_or_else(|| {
                    scorer.judges.push((place(name), Judge::new(&column)));
                    names.push(name.clone());
                    scorer.judges.len() - 1
                });
                let mirror = rule.reverse.contains(name).then(|| mirror(&column)).flatten();
                ScoredItem { judge, mirror, impute: rule.impute.get(name).copied() }
            };
            let (items, over) =
                (rule.items.iter().map(&mut ready).collect(), rule.over.iter().map(&mut ready).collect());
            let of = rule.of.iter().filter_map(|name| scorer.rules.iter().position(|one| one.rule.name == *name));
            let of = of.collect();
            scorer.rules.push(Ready { rule: rule.clone(), items, over, of });
        }
        scorer
    }

    /// The rules whose scores are shown, in the definition's order.
    pub fn wanted(&self) -> impl Iterator<Item = (usize, &ScoreRule)> {
        self.rules.iter().enumerate().filter(|(_, ready)| ready.rule.selected).map(|(at, ready)| (at, &ready.rule))
    }

    /// How many items a rule counts, those of the scores it is made of included.
    pub fn items(&self, rule: usize) -> usize {
        let ready = &self.rules[rule];
        ready.items.len() + ready.over.len() + ready.of.iter().map(|other| self.items(*other)).sum::<usize>()
    }

    /// Scores of all rules, by their number in [`Scorer::wanted`]; `cell` gives the text of a column.
    pub fn score<'c>(
        &self,
        cell: impl Fn(usize) -> &'c [u8],
        date: impl Fn() -> Option<NaiveDate>,
        made: &mut EntryScores,
    ) {
        made.answers.clear();
        made.answers.extend(self.judges.iter().map(|(at, judge)| {
            let cell = at.map(&cell).unwrap_or_default();
            let answer = judge.judge(cell, &date);
            // Only codes and strays need their number beside the answer.
            let raw = matches!(answer, CellAnswer::Missing(_) | CellAnswer::OutOfRange).then(|| number(cell)).flatten();
            (answer, raw)
        }));
        made.scores.clear();
        for ready in &self.rules {
            let scored = ready.score(&made.answers, &made.scores);
            made.scores.push(scored);
        }
    }
}

/// What was made of one entry; used again for the next one.
#[derive(Debug, Default)]
pub struct EntryScores {
    answers: Vec<(CellAnswer, Option<f64>)>,
    pub scores: Vec<ScoreValue>,
}

/// Appends a score as the tables write it: the shortest digits that are read as the same number.
pub fn put(out: &mut Vec<u8>, value: f64) {
    // Writing to memory cannot fail.
    #[allow(clippy::cast_possible_truncation)] // it is whole, and far below the ends
    let _ = if value.fract() == 0.0 && value.abs() < 1e15 {
        write!(out, "{}", value as i64)
    } else {
        write!(out, "{value}")
    };
}

fn mirror(column: &Column) -> Option<f64> {
    match column.kind {
        ColumnKind::Number { least: Some(least), most: Some(most) } => Some(least + most),
        _ => None,
    }
}

/// The selected rules and those they are made of, each after what it needs.
fn needed(scale: &Scale) -> Vec<&ScoreRule> {
    let selected = |rule: &&ScoreRule| rule.selected;
    let asked = |name: &str| scale.scores.iter().filter(selected).any(|rule| rule.of.iter().any(|of| of == name));
    let basic = scale.scores.iter().filter(|rule| !rule.method.is_of_scores() && (rule.selected || asked(&rule.name)));
    let means = |rule: &&ScoreRule| rule.method == Method::MeanOfScores;
    let second = scale.scores.iter().filter(means).filter(|rule| rule.selected || asked(&rule.name));
    let cuts = scale.scores.iter().filter(|rule| rule.method.is_of_scores() && !means(rule)).filter(selected);
    basic.chain(second).chain(cuts).collect()
}

/// Sum and number of a group's answers.
#[derive(Clone, Copy, Default)]
struct ItemSum {
    sum: f64,
    counted: usize,
    valid: usize,
}

impl ItemSum {
    fn mean(self) -> Option<f64> {
        (self.counted > 0).then(|| self.sum / self.counted as f64)
    }
}

impl Ready {
    fn group(&self, items: &[ScoredItem], answers: &[(CellAnswer, Option<f64>)]) -> ItemSum {
        let mut group = ItemSum::default();
        for item in items {
            let (answer, raw) = answers[item.judge];
            let left_in = raw.filter(|raw| self.rule.counted.iter().any(|code| same(Some(*code), Some(*raw))));
            let value = match (answer, left_in) {
                (CellAnswer::Number(number), _) | (_, Some(number)) => {
                    group.valid += 1;
                    Some(self.recoded(item.mirror.map_or(number, |mirror| mirror - number)))
                }
                _ => item.impute,
            };
            if let Some(value) = value {
                group.sum += value;
                group.counted += 1;
            }
        }
        group
    }

    fn recoded(&self, value: f64) -> f64 {
        self.rule.recode.iter().find(|(from, _)| same(Some(*from), Some(value))).map_or(value, |(_, to)| *to)
    }

    fn score(&self, answers: &[(CellAnswer, Option<f64>)], done: &[ScoreValue]) -> ScoreValue {
        let (upper, lower) = (self.group(&self.items, answers), self.group(&self.over, answers));
        let others: Vec<ScoreValue> = self.of.iter().filter_map(|at| done.get(*at).copied()).collect();
        let valid = upper.valid + lower.valid + others.iter().map(|scored| scored.valid).sum::<usize>();
        let pair = |combine: fn(f64, f64) -> f64| Some(combine(upper.mean()?, lower.mean()?));
        let first = others.first().and_then(|scored| scored.value);
        let cut = |holds: bool| if holds { 1.0 } else { 0.0 };
        let value = match self.rule.method {
            Method::Sum => Some(upper.sum),
            Method::Mean => upper.mean(),
            // Multiplied first: with all items answered this is the sum to the last digit.
            Method::ProratedSum => {
                (upper.counted > 0).then(|| upper.sum * self.items.len() as f64 / upper.counted as f64)
            }
            Method::RatioOfMeans => pair(|a, b| a / b).filter(|ratio| ratio.is_finite()),
            Method::DifferenceOfMeans => pair(|a, b| a - b),
            Method::MeanOfMeans => pair(f64::midpoint),
            Method::MeanOfScores => {
                let values: Vec<f64> = others.iter().filter_map(|scored| scored.value).collect();
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            }
            Method::AtLeast => first.map(|value| cut(value >= self.rule.threshold)),
            Method::Above => first.map(|value| cut(value > self.rule.threshold)),
            Method::Below => first.map(|value| cut(value < self.rule.threshold)),
        };
        ScoreValue {
            value: value.filter(|_| valid >= self.rule.min_valid).map(|value| value * self.rule.factor),
            valid,
        }
    }
}

/// How a rule is named beside the scores it made: `oasis_total=prorated_sum@1`.
pub fn label(rule: &ScoreRule) -> String {
    format!("{}={}@{}", rule.name, rule.method.word(), rule.version)
}

#[cfg(test)]
mod tests;

//! One table of a TOML file, read key by key: what is wrong is noted with its place, and what nobody asked for is too.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::error::{Problems, Source};

/// A value and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Value<'t> {
    pub value: &'t DeValue<'t>,
    start: usize,
    end: usize,
}

impl<'t> Value<'t> {
    fn new(spanned: &'t Spanned<DeValue<'t>>) -> Self {
        let span = spanned.span();
        Self { value: spanned.get_ref(), start: span.start, end: span.end }
    }

    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The elements of an array.
    #[must_use]
    pub fn elements(&self) -> Option<Vec<Value<'t>>> {
        self.value.as_array().map(|array| array.iter().map(Value::new).collect())
    }

    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self.value {
            DeValue::Integer(number) => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        }
    }
}

/// A table being read. [`Section::end`] reports the keys that were not asked for.
pub struct Section<'t, 'p> {
    path: &'p Path,
    table: &'t DeTable<'t>,
    span: Range<usize>,
    problems: &'p RefCell<Problems>,
    asked: RefCell<BTreeSet<&'static str>>,
}

/// Parses a file; its mistakes of form are noted, and what can still be read is returned.
#[must_use]
pub fn parse<'t>(source: &'t Source, problems: &RefCell<Problems>) -> Option<Spanned<DeTable<'t>>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        return Some(table);
    }
    for error in errors {
        problems.borrow_mut().add(&source.path, error.span(), error.message().to_owned(), None);
    }
    None
}

impl<'t, 'p> Section<'t, 'p> {
    #[must_use]
    pub fn new(path: &'p Path, table: &'t DeTable<'t>, span: Range<usize>, problems: &'p RefCell<Problems>) -> Self {
        Self { path, table, span, problems, asked: RefCell::default() }
    }

    /// Where the table itself stands.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn problem(&self, span: Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.problems.borrow_mut().add(self.path, Some(span), message, hint);
    }

    /// All keys with their places, for tables whose keys are names.
    pub fn entries(&self) -> impl Iterator<Item = (&'t str, Range<usize>, Value<'t>)> {
        self.table.iter().map(|(key, value)| (&**key.get_ref(), key.span(), Value::new(value)))
    }

    #[must_use]
    pub fn get(&self, key: &'static str) -> Option<Value<'t>> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key).map(Value::new)
    }

    fn expect<T>(&self, key: &'static str, wanted: &str, read: impl Fn(&DeValue<'t>) -> Option<T>) -> Option<T> {
        let value = self.get(key)?;
        let found = read(value.value);
        if found.is_none() {
            self.wrong_kind(key, value, wanted);
        }
        found
    }

    fn wrong_kind(&self, key: &str, value: Value<'_>, wanted: &str) {
        self.problem(value.span(), format!("`{key}` must be {wanted}, not {}", value.value.type_str()), None);
    }

    pub fn text(&self, key: &'static str) -> Option<String> {
        self.expect(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// A text that must be there.
    pub fn required_text(&self, key: &'static str) -> Option<String> {
        if self.get(key).is_none() {
            self.problem(self.span(), format!("`{key}` is missing here"), None);
        }
        self.text(key)
    }

    pub fn boolean(&self, key: &'static str) -> Option<bool> {
        self.expect(key, "true or false", DeValue::as_bool)
    }

    pub fn whole(&self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        let value = self.get(key)?;
        let number = value
            .value
            .as_integer()
            .and_then(|number| u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok());
        if number.is_none_or(|number| number < least || number > most) {
            self.problem(value.span(), format!("`{key}` must be a whole number from {least} to {most}"), None);
            return None;
        }
        number
    }

    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        let value = self.get(key)?;
        let read = value.value.as_str().map(humantime::parse_duration);
        if let Some(Ok(duration)) = read {
            return Some(duration);
        }
        let hint = Some("write a number and a unit in quotes: \"90s\", \"2m\", \"1h\"".to_owned());
        self.problem(value.span(), format!("`{key}` must be a duration"), hint);
        None
    }

    /// Texts with their places.
    pub fn texts(&self, key: &'static str) -> Option<Vec<(String, Range<usize>)>> {
        let value = self.get(key)?;
        let Some(elements) = value.elements() else {
            self.wrong_kind(key, value, "a list of texts");
            return None;
        };
        let mut texts = Vec::new();
        for element in elements {
            match element.value.as_str() {
                Some(text) => texts.push((text.to_owned(), element.span())),
                None => self.wrong_kind(key, element, "a list of texts"),
            }
        }
        Some(texts)
    }

    #[must_use]
    pub fn section(&self, key: &'static str) -> Option<Section<'t, 'p>> {
        let value = self.get(key)?;
        self.below(key, value)
    }

    /// The table that a value must be.
    #[must_use]
    pub fn below(&self, key: &str, value: Value<'t>) -> Option<Section<'t, 'p>> {
        let DeValue::Table(table) = value.value else {
            self.wrong_kind(key, value, "a table");
            return None;
        };
        Some(Section::new(self.path, table, value.span(), self.problems))
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let value = self.get(key)?;
        let found = value.value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
        if found.is_none() {
            let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.problem(value.span(), format!("`{key}` must be one of {}", all.join(", ")), None);
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// Reports every key that was not asked for, with the nearest that is known.
    pub fn end(self) {
        let asked = self.asked.borrow();
        for (key, span, _) in self.entries().filter(|(key, ..)| !asked.contains(key)) {
            let near = nearest(key, asked.iter().copied());
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", asked.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            self.problem(span, format!("unknown key `{key}`"), Some(hint));
        }
    }
}

/// The known name that a person most likely meant.
#[must_use]
pub fn nearest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let scored = known.into_iter().map(|name| (strsim::jaro_winkler(&text.to_lowercase(), &name.to_lowercase()), name));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

//! One table of a TOML file, read key by key: what is wrong is noted with its place, and what nobody asked for is too.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::error::{Problems, Source};

/// No wait is longer; clocks can still add it.
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 3600);

/// A value and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Value<'t> {
    pub toml: &'t DeValue<'t>,
    start: usize,
    end: usize,
}

impl<'t> Value<'t> {
    fn new(spanned: &'t Spanned<DeValue<'t>>) -> Self {
        let span = spanned.span();
        Self { toml: spanned.get_ref(), start: span.start, end: span.end }
    }

    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The elements of an array.
    pub fn elements(&self) -> Option<Vec<Value<'t>>> {
        self.toml.as_array().map(|array| array.iter().map(Value::new).collect())
    }

    pub fn number(&self) -> Option<f64> {
        match self.toml {
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
    pub fn new(path: &'p Path, table: &'t DeTable<'t>, span: Range<usize>, problems: &'p RefCell<Problems>) -> Self {
        Self { path, table, span, problems, asked: RefCell::default() }
    }

    /// Where the table itself stands.
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

    /// All keys with their places, as the file has them.
    pub fn in_order(&self) -> Vec<(&'t str, Range<usize>, Value<'t>)> {
        let mut entries: Vec<_> = self.entries().collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        entries
    }

    pub fn get(&self, key: &'static str) -> Option<Value<'t>> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key).map(Value::new)
    }

    fn expect<T>(&self, key: &'static str, wanted: &str, read: impl Fn(&DeValue<'t>) -> Option<T>) -> Option<T> {
        let value = self.get(key)?;
        let found = read(value.toml);
        if found.is_none() {
            self.wrong_kind(key, value, wanted);
        }
        found
    }

    fn wrong_kind(&self, key: &str, value: Value<'_>, wanted: &str) {
        self.problem(value.span(), format!("`{key}` must be {wanted}, not {}", value.toml.type_str()), None);
    }

    pub fn text(&self, key: &'static str) -> Option<String> {
        let text = self.expect(key, "a text", |value| value.as_str().map(str::to_owned))?;
        if text.chars().any(char::is_control) {
            let span = self.get(key).map_or_else(|| self.span(), |value| value.span());
            self.problem(span, format!("`{key}` holds a control character"), None);
            return None;
        }
        Some(text)
    }

    /// A text with its place.
    pub fn placed_text(&self, key: &'static str) -> Option<(String, Range<usize>)> {
        let value = self.get(key)?;
        self.text(key).map(|text| (text, value.span()))
    }

    /// A path with its place; an empty one would be the project's own folder.
    pub fn path(&self, key: &'static str) -> Option<(PathBuf, Range<usize>)> {
        let (text, span) = self.placed_text(key)?;
        if text.is_empty() {
            self.problem(span, format!("`{key}` is empty"), Some("leave it out, or name a path".to_owned()));
            return None;
        }
        Some((text.into(), span))
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
        self.whole_value(key, value, least, most)
    }

    /// The whole number that a value must be.
    pub fn whole_value(&self, key: &str, value: Value<'_>, least: u64, most: u64) -> Option<u64> {
        let number = value
            .toml
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
        let read = value.toml.as_str().and_then(|text| humantime::parse_duration(text).ok());
        if let Some(duration) = read.filter(|duration| (Duration::from_millis(1)..=LONGEST).contains(duration)) {
            return Some(duration);
        }
        let hint = Some("write a number and a unit in quotes: \"90s\", \"2m\", \"1h\"".to_owned());
        let message = match read {
            Some(_) => format!("`{key}` must be longer than nothing and at most ten years"),
            None => format!("`{key}` must be a duration"),
        };
        self.problem(value.span(), message, hint);
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
            match element.toml.as_str() {
                Some(text) if text.contains('\0') => {
                    self.problem(element.span(), format!("`{key}` holds a control character"), None);
                }
                Some(text) => texts.push((text.to_owned(), element.span())),
                None => self.wrong_kind(key, element, "a list of texts"),
            }
        }
        Some(texts)
    }

    pub fn section(&self, key: &'static str) -> Option<Section<'t, 'p>> {
        let value = self.get(key)?;
        self.below(key, value)
    }

    /// The table that a value must be.
    pub fn below(&self, key: &str, value: Value<'t>) -> Option<Section<'t, 'p>> {
        let DeValue::Table(table) = value.toml else {
            self.wrong_kind(key, value, "a table");
            return None;
        };
        Some(Section::new(self.path, table, value.span(), self.problems))
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let value = self.get(key)?;
        let found = value.toml.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
        if found.is_none() {
            let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let near = value.toml.as_str().and_then(|text| nearest(text, words.iter().map(|(word, _)| *word)));
            let hint = near.map(|near| format!("did you mean \"{near}\"?"));
            self.problem(value.span(), format!("`{key}` must be one of {}", all.join(", ")), hint);
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

/// The sentence that names the nearest known name.
pub fn meant<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    nearest(text, known).map(|near| format!("did you mean `{near}`?"))
}

/// The known name that a person most likely meant.
pub fn nearest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let scored = known.into_iter().map(|name| (strsim::jaro_winkler(&text.to_lowercase(), &name.to_lowercase()), name));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

//! Entries as rows: every field finds its column, every digit stays, and what no cell can hold is told.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use crate::pool::plain::{Known, Sealed};
use crate::study::cell;
use crate::study::entry;
use crate::study::keyring::Closed;

/// The columns of a table, sorted.
#[derive(Debug, Default)]
pub struct Columns {
    names: Vec<String>,
    places: HashMap<String, usize>,
    /// Whether a column holds encrypted values.
    sealed: Vec<bool>,
    id: Option<usize>,
}

impl Columns {
    #[must_use]
    pub fn new(names: BTreeSet<String>) -> Self {
        let names: Vec<String> = names.into_iter().collect();
        Self {
            places: names.iter().enumerate().map(|(place, name)| (name.clone(), place)).collect(),
            sealed: names.iter().map(|name| name.ends_with("RSA")).collect(),
            id: names.iter().position(|name| name == "id"),
            names,
        }
    }

    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// A part of an entry's text; empty when the entry does not have the field.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    length: u32,
}

/// An entry whose fields have found their columns.
#[derive(Debug)]
pub struct Parsed<'b> {
    /// Of id and content: the hash of the bytes.
    pub identity: u128,
    pub id: Option<i64>,
    /// Encrypted values.
    pub sealed: Vec<Sealed>,
    text: Cow<'b, str>,
    /// By column.
    spans: Vec<Span>,
    /// Values whose key came again with another, and their columns.
    repeated: Vec<(usize, Span)>,
}

/// Why an object is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// Reads entries of one table, whose fields mostly stand in the same order.
#[derive(Debug)]
pub struct Parser<'c> {
    columns: &'c Columns,
    /// The column of each field of the last entry.
    order: Vec<usize>,
    /// Keys without a column.
    pub unknown: BTreeSet<String>,
}

impl<'c> Parser<'c> {
    #[must_use]
    pub fn new(columns: &'c Columns) -> Self {
        Self { columns, order: Vec::new(), unknown: BTreeSet::new() }
    }

    /// # Errors
    /// [`NotJson`]: the file is damaged.
    pub fn parse<'b>(&mut self, bytes: &'b [u8]) -> Result<Parsed<'b>, NotJson> {
        let hash = blake3::hash(bytes);
        let half = hash.as_bytes().first_chunk::<16>().expect("a hash has 32 bytes");
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            // A few bytes of another encoding cost their value, not the entry.
            Err(_) => entry::id(bytes).map(|_| String::from_utf8_lossy(bytes)).map_err(|_| NotJson)?,
        };
        let mut spans = vec![Span::default(); self.columns.names.len()];
        let mut repeated = Vec::new();
        let base = text.as_ptr() as usize;
        let mut field = 0;
        let Self { columns, order, unknown } = self;
        entry::fields(&text, |key, raw| {
            let place = order.get(field).copied().filter(|place| columns.names[*place] == key);
            let Some(place) = place.or_else(|| columns.places.get(&*key).copied()) else {
                unknown.insert(key.into_owned());
                return;
            };
            if let Some(known) = order.get_mut(field) {
                *known = place;
            } else {
                order.push(place);
            }
            field += 1;
            let start = u32::try_from(raw.as_ptr() as usize - base).unwrap_or(u32::MAX);
            let span = Span { start, length: u32::try_from(raw.len()).unwrap_or(u32::MAX) };
            let before = std::mem::replace(&mut spans[place], span);
            if before.length > 0 {
                repeated.push((place, before));
            }
        })
        .map_err(|_| NotJson)?;
        let mut parsed =
            Parsed { identity: u128::from_be_bytes(*half), id: None, sealed: Vec::new(), text, spans, repeated };
        parsed.id = columns.id.and_then(|place| parsed.raw(place).parse().ok());
        let sealed = columns.sealed.iter().enumerate().filter(|(_, sealed)| **sealed);
        parsed.sealed =
            sealed.filter_map(|(place, _)| parsed.ciphertext(place)).map(|text| Sealed::of(&text)).collect();
        Ok(parsed)
    }
}

impl Parsed<'_> {
    fn span(&self, span: Span) -> &str {
        let start = span.start as usize;
        self.text.get(start..start + span.length as usize).unwrap_or_default()
    }

    /// The JSON of a column's value.
    fn raw(&self, place: usize) -> &str {
        self.span(self.spans[place])
    }

    /// The text of a column whose values are encrypted; empty ones are simply empty.
    fn ciphertext(&self, place: usize) -> Option<Cow<'_, str>> {
        cell::text(self.raw(place)).ok().filter(|text| !text.is_empty())
    }

    /// The encrypted values, as they stand there.
    pub fn ciphertexts<'s>(&'s self, columns: &'s Columns) -> impl Iterator<Item = Cow<'s, str>> {
        let sealed = columns.sealed.iter().enumerate().filter(|(_, sealed)| **sealed);
        sealed.filter_map(|(place, _)| self.ciphertext(place))
    }
}

/// A value that no cell holds, and why.
#[derive(Debug)]
pub struct Refused {
    /// Of the entry among those that were read with it.
    pub entry: usize,
    pub id: Option<i64>,
    /// `None` for a whole entry.
    pub column: Option<usize>,
    pub reason: &'static str,
    pub value: String,
}

impl Refused {
    /// An encrypted value that stays closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        [Closed::NotCiphertext, Closed::Garbage, Closed::NoKey].iter().any(|closed| closed.word() == self.reason)
    }
}

/// Rows as they stand in the file.
#[derive(Debug)]
pub struct Rows<'c> {
    columns: &'c Columns,
    table: csv::Writer<Vec<u8>>,
    pub refused: Vec<Refused>,
}

impl<'c> Rows<'c> {
    #[must_use]
    pub fn new(columns: &'c Columns) -> Self {
        Self { columns, table: csv::WriterBuilder::new().from_writer(Vec::new()), refused: Vec::new() }
    }

    /// Writes the row of an entry; `known` has the texts of encrypted values.
    ///
    /// # Errors
    /// None that memory can have.
    pub fn add<'k>(
        &mut self,
        entry: usize,
        parsed: &Parsed<'_>,
        known: impl Fn(Sealed) -> Option<Known<'k>>,
    ) -> csv::Result<()> {
        let refuse =
            |column, reason, value: &str| Refused { entry, id: parsed.id, column, reason, value: value.to_owned() };
        for (place, span) in &parsed.repeated {
            let raw = parsed.span(*span);
            let value = cell::text(raw).unwrap_or(Cow::Borrowed(raw));
            self.refused.push(refuse(Some(*place), "repeated_key", &value));
        }
        if self.columns.names.is_empty() {
            self.refused.push(refuse(None, "no_fields", &parsed.text));
            return Ok(());
        }
        let replaced = matches!(parsed.text, Cow::Owned(_));
        for place in 0..self.columns.names.len() {
            let raw = parsed.raw(place);
            let Some(text) = cell::text(raw).ok().filter(|_| !replaced || !raw.contains('\u{fffd}')) else {
                self.refused.push(refuse(Some(place), "not_unicode", raw));
                self.table.write_field("")?;
                continue;
            };
            if !self.columns.sealed[place] || text.is_empty() {
                self.table.write_field(&*text)?;
                continue;
            }
            match known(Sealed::of(&text)).unwrap_or(Err(Closed::NoKey)) {
                Ok(opened) => self.table.write_field(opened)?,
                Err(closed) => {
                    self.refused.push(refuse(Some(place), closed.word(), &text));
                    self.table.write_field("")?;
                }
            }
        }
        self.table.write_record(None::<&[u8]>)
    }

    /// The rows, and what they do not hold.
    ///
    /// # Errors
    /// None that memory can have.
    pub fn finish(self) -> std::io::Result<(Vec<u8>, Vec<Refused>)> {
        Ok((self.table.into_inner().map_err(csv::IntoInnerError::into_error)?, self.refused))
    }
}

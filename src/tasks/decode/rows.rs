//! Entries as rows: every field finds its column, every digit stays, and what no cell can hold is told.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::keys::remembered::{Ciphertext, RememberedText};
use crate::keys::ring::DecryptFailure;
use crate::study::cell;
use crate::study::entry;
use crate::table::rows::put;

/// The columns of a table, sorted.
#[derive(Debug, Default)]
pub struct DayColumns {
    names: Vec<String>,
    places: FxHashMap<String, usize>,
    /// Those that hold encrypted values.
    sealed: Vec<usize>,
    id: Option<usize>,
}

impl DayColumns {
    pub fn new(names: BTreeSet<String>) -> Self {
        let names: Vec<String> = names.into_iter().collect();
        Self {
            places: names.iter().enumerate().map(|(place, name)| (name.clone(), place)).collect(),
            sealed: (0..names.len()).filter(|place| names[*place].ends_with("RSA")).collect(),
            id: names.iter().position(|name| name == "id"),
            names,
        }
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// A part of an entry's text; empty when the entry does not have the field.
#[derive(Debug, Clone, Copy, Default)]
struct ValueSpan {
    start: u32,
    length: u32,
}

/// An entry whose fields have found their columns.
#[derive(Debug)]
pub struct Parsed<'b> {
    /// Of id and content: the bytes' hash under a seed of this run, so that nobody can prepare two that seem one.
    pub identity: u128,
    pub id: Option<i64>,
    /// Encrypted values, and their columns.
    pub sealed: Vec<(usize, Ciphertext)>,
    text: Cow<'b, str>,
    /// By column.
    spans: Vec<ValueSpan>,
    /// Values whose key came again with another, and their columns.
    repeated: Vec<(usize, ValueSpan)>,
}

/// Why an object is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// Reads entries of one table, whose fields mostly stand in the same order.
#[derive(Debug)]
pub struct Parser<'c> {
    columns: &'c DayColumns,
    seed: u64,
    /// The column of each field of the last entry.
    order: Vec<usize>,
    /// Keys without a column.
    pub unknown: BTreeSet<String>,
}

impl<'c> Parser<'c> {
    pub fn new(columns: &'c DayColumns, seed: u64) -> Self {
        Self { columns, seed, order: Vec::new(), unknown: BTreeSet::new() }
    }

    /// # Errors
    /// [`NotJson`]: the file is damaged.
    pub fn parse<'b>(&mut self, bytes: &'b [u8]) -> Result<Parsed<'b>, NotJson> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            // A few bytes of another encoding cost their value, not the entry.
            Err(_) => entry::id(bytes).map(|_| String::from_utf8_lossy(bytes)).map_err(|_| NotJson)?,
        };
        let mut spans = vec![ValueSpan::default(); self.columns.names.len()];
        let mut repeated = Vec::new();
        let base = text.as_ptr() as usize;
        let mut field = 0;
        let Self { columns, seed, order, unknown } = self;
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
            let span = ValueSpan { start, length: u32::try_from(raw.len()).unwrap_or(u32::MAX) };
            let before = std::mem::replace(&mut spans[place], span);
            if before.length > 0 {
                repeated.push((place, before));
            }
        })
        .map_err(|_| NotJson)?;
        let mut parsed =
            Parsed { identity: xxh3_128_with_seed(bytes, *seed), id: None, sealed: Vec::new(), text, spans, repeated };
        parsed.id = columns.id.and_then(|place| parsed.raw(place).parse().ok());
        let hashed = |place: &usize| parsed.ciphertext(*place).map(|text| (*place, Ciphertext::of(&text)));
        parsed.sealed = columns.sealed.iter().filter_map(hashed).collect();
        Ok(parsed)
    }
}

impl Parsed<'_> {
    fn span(&self, span: ValueSpan) -> &str {
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
    pub fn ciphertexts<'s>(&'s self, columns: &'s DayColumns) -> impl Iterator<Item = Cow<'s, str>> {
        columns.sealed.iter().filter_map(|place| self.ciphertext(*place))
    }
}

/// A value that no cell holds, and why.
#[derive(Debug)]
pub struct RefusedValue {
    /// Of the entry among those that were read with it.
    pub entry: usize,
    pub id: Option<i64>,
    /// `None` for a whole entry.
    pub column: Option<usize>,
    pub reason: &'static str,
    pub value: String,
}

impl RefusedValue {
    /// An encrypted value that stays closed.
    pub fn is_closed(&self) -> bool {
        [DecryptFailure::NotCiphertext, DecryptFailure::Garbage, DecryptFailure::NoKey]
            .iter()
            .any(|closed| closed.word() == self.reason)
    }
}

/// Rows as they stand in the file.
#[derive(Debug)]
pub struct EntryRows<'c> {
    columns: &'c DayColumns,
    table: Vec<u8>,
    pub refused: Vec<RefusedValue>,
}

impl<'c> EntryRows<'c> {
    pub fn new(columns: &'c DayColumns) -> Self {
        Self { columns, table: Vec::new(), refused: Vec::new() }
    }

    /// Writes the row of an entry; `known` has the texts of encrypted values.
    pub fn add<'k>(
        &mut self,
        entry: usize,
        parsed: &Parsed<'_>,
        known: impl Fn(Ciphertext) -> Option<RememberedText<'k>>,
    ) {
        let refuse = |column, reason, value: &str| RefusedValue {
            entry,
            id: parsed.id,
            column,
            reason,
            value: value.to_owned(),
        };
        for (place, span) in &parsed.repeated {
            let raw = parsed.span(*span);
            let value = cell::text(raw).unwrap_or(Cow::Borrowed(raw));
            self.refused.push(refuse(Some(*place), "repeated_key", &value));
        }
        if self.columns.names.is_empty() {
            self.refused.push(refuse(None, "no_fields", &parsed.text));
            return;
        }
        let replaced = matches!(parsed.text, Cow::Owned(_));
        let mut sealed = self.columns.sealed.iter().peekable();
        let begin = self.table.len();
        for place in 0..self.columns.names.len() {
            if place > 0 {
                self.table.push(b',');
            }
            let raw = parsed.raw(place);
            let is_sealed = sealed.next_if(|next| **next == place).is_some();
            if !is_sealed && cell::is_bare(raw) {
                self.table.extend_from_slice(raw.as_bytes());
                continue;
            }
            let Some(text) = cell::text(raw).ok().filter(|_| !replaced || !raw.contains('\u{fffd}')) else {
                self.refused.push(refuse(Some(place), "not_unicode", raw));
                continue;
            };
            if !is_sealed || text.is_empty() {
                put(&mut self.table, text.as_bytes());
                continue;
            }
            let sealed = parsed.sealed.iter().find(|(column, _)| *column == place);
            match sealed.and_then(|(_, sealed)| known(*sealed)).unwrap_or(Err(DecryptFailure::NoKey)) {
                Ok(opened) => put(&mut self.table, opened.as_bytes()),
                Err(closed) => self.refused.push(refuse(Some(place), closed.word(), &text)),
            }
        }
        // A line without a letter is no row.
        if self.table.len() == begin && self.columns.names.len() == 1 {
            self.table.extend_from_slice(b"\"\"");
        }
        self.table.push(b'\n');
    }

    /// The rows, and what they do not hold.
    pub fn finish(self) -> (Vec<u8>, Vec<RefusedValue>) {
        (self.table, self.refused)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A value: its JSON as a server may write it, and its cell.
    fn value() -> impl Strategy<Value = (String, String)> {
        let text = prop_oneof![".{0,12}", "[=+@,\"\\\\\r\n\t é😀]{0,8}", Just("x".repeat(70_000))];
        let digits = prop_oneof!["-?[1-9][0-9]{0,40}", "-?0\\.[0-9]{1,30}", "[1-9]\\.[0-9]{1,9}[eE][+-]?[0-9]{1,3}"];
        let leaf = prop_oneof![
            Just(("null".to_owned(), String::new())),
            any::<bool>().prop_map(|value| (value.to_string(), value.to_string())),
            digits.prop_map(|digits| (digits.clone(), digits)),
            text.prop_map(|text| (serde_json::to_string(&text).unwrap(), text)),
            "[a-zé😀]{0,6}".prop_map(|text| (escaped(&text), text)),
        ];
        let spaces = prop_oneof![Just(""), Just(" "), Just("\n  ")];
        let list = prop::collection::vec((leaf.clone(), spaces), 0..4).prop_map(|values| {
            let loose: Vec<String> = values.iter().map(|((json, _), space)| format!("{space}{json}{space}")).collect();
            let tight: Vec<&str> = values.iter().map(|((json, _), _)| json.as_str()).collect();
            (format!("[{}]", loose.join(",")), format!("[{}]", tight.join(",")))
        });
        let object = (leaf.clone(), leaf.clone()).prop_map(|((a, _), (b, _))| {
            (format!("{{ \"a b\" : {a} , \"c\":{b}}}"), format!("{{\"a b\":{a},\"c\":{b}}}"))
        });
        prop_oneof![6 => leaf, 1 => list, 1 => object]
    }

    /// Every letter as its number.
    fn escaped(text: &str) -> String {
        let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        format!("\"{}\"", units.concat())
    }

    type GivenEntry = Vec<(String, (String, String))>;

    /// Entries of one table: each has some of the keys, in an order of its own.
    fn entries() -> impl Strategy<Value = Vec<GivenEntry>> {
        let keys = prop::collection::btree_set("[a-z,\"é\n]{1,4}", 1..6);
        keys.prop_flat_map(|keys| {
            let keys: Vec<String> = keys.into_iter().filter(|key| key != "id").collect();
            let all = keys.len();
            let entry = (prop::sample::subsequence(keys, 0..=all).prop_shuffle(), prop::collection::vec(value(), all))
                .prop_map(|(keys, values)| keys.into_iter().zip(values).collect::<GivenEntry>());
            prop::collection::vec(entry, 1..12)
        })
    }

    proptest! {
        #[test]
        fn every_value_is_read_back_from_its_own_column(entries in entries()) {
            let texts: Vec<String> = entries.iter().map(|entry| {
                let fields = entry.iter().map(|(key, (json, _))| format!("{}:{json}", serde_json::to_string(key).unwrap()));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
            }).collect();
            let none = DayColumns::default();
            let mut glance = Parser::new(&none, 1);
            for text in &texts {
                glance.parse(text.as_bytes()).unwrap();
            }
            let columns = DayColumns::new(glance.unknown);
            let mut parser = Parser::new(&columns, 1);
            let mut rows = EntryRows::new(&columns);
            for (index, text) in texts.iter().enumerate() {
                rows.add(index, &parser.parse(text.as_bytes()).unwrap(), |_| None);
            }
            let (table, refused) = rows.finish();
            if columns.names().is_empty() {
                prop_assert_eq!((table.len(), refused.len()), (0, texts.len()));
                return Ok(());
            }
            prop_assert!(refused.is_empty());
            // Below a header, as in a file: a reader takes a mark of the byte order off the first row.
            let header = format!("{}\n", vec!["x"; columns.names().len()].join(","));
            let mut reader = csv::Reader::from_reader(std::io::Read::chain(header.as_bytes(), &*table));
            let read: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
            prop_assert_eq!(read.len(), entries.len());
            for (row, entry) in read.iter().zip(&entries) {
                prop_assert_eq!(row.len(), columns.names().len());
                for (name, cell) in columns.names().iter().zip(row) {
                    let wanted = entry.iter().find(|(key, _)| key == name).map_or("", |(_, (_, cell))| cell);
                    prop_assert_eq!(cell, wanted);
                }
            }
        }
    }
}

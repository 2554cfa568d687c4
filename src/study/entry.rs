//! Entries of an answer, cut out of its JSON array byte for byte, one at a time: an answer of any size fits.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// One entry as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// A JSON object.
    pub bytes: Vec<u8>,
    /// `None` when it is absent or no integer.
    pub id: Option<i64>,
}

/// Why the bytes are no array of entries.
#[derive(Debug)]
pub enum Broken {
    /// Not even JSON begins here (a login page).
    NotJson,
    /// JSON, but not an array of objects.
    Shape {
        at: u64,
        what: &'static str,
    },
    /// The array does not end.
    Truncated {
        at: u64,
    },
    Io(io::Error),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("the answer is not JSON"),
            Self::Shape { at, what } => write!(f, "{what} at byte {at}"),
            Self::Truncated { at } => write!(f, "the answer ends within itself, after {at} bytes"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Broken {}

/// What an entry says of itself at the first glance.
#[derive(Debug, Default)]
pub struct Head {
    /// `None` when it is absent or no integer; the last one when there are several.
    pub id: Option<i64>,
    /// In their order; after a failure, those up to it.
    pub keys: Vec<String>,
}

impl Head {
    /// Reads the object at the beginning of `bytes`, whatever follows it.
    ///
    /// # Errors
    /// What serde says is wrong; [`serde_json::Error::is_eof`] when only the end is missing.
    pub fn read_first(&mut self, bytes: &[u8]) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        HeadVisitor { id: &mut self.id, keys: Some(&mut self.keys) }.deserialize(&mut deserializer)
    }
}

/// The id of an entry, whose every byte is checked on the way.
///
/// # Errors
/// What serde says is wrong.
pub fn id(bytes: &[u8]) -> Result<Option<i64>, serde_json::Error> {
    let mut id = None;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    HeadVisitor { id: &mut id, keys: None }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(id)
}

/// Whether more bytes might mend what is wrong. Of a number that ends after its point or sign serde does not say so.
#[must_use]
pub fn is_unfinished(error: &serde_json::Error, bytes: &[u8]) -> bool {
    error.is_eof() || matches!(bytes.last(), Some(b'.' | b'e' | b'E' | b'+' | b'-'))
}

/// An object's bytes checked and its id read.
///
/// # Errors
/// What serde says is wrong.
pub fn check(bytes: Vec<u8>) -> Result<Entry, serde_json::Error> {
    let id = id(&bytes)?;
    Ok(Entry { bytes, id })
}

struct HeadVisitor<'h> {
    id: &'h mut Option<i64>,
    keys: Option<&'h mut Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for HeadVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeadVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            map.next_value_seed(HeadValue { key, head: &mut self })?;
        }
        Ok(())
    }
}

/// The value of a key, which counts as a key only now that a colon was behind it.
struct HeadValue<'v, 'h, 'k> {
    key: Cow<'k, str>,
    head: &'v mut HeadVisitor<'h>,
}

impl<'de> DeserializeSeed<'de> for HeadValue<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let is_id = self.key == "id";
        if let Some(keys) = &mut self.head.keys {
            keys.push(self.key.into_owned());
        }
        if is_id {
            *self.head.id = Whole::deserialize(deserializer)?.0;
        } else {
            IgnoredAny::deserialize(deserializer)?;
        }
        Ok(())
    }
}

/// Calls `use_field` with each key and the JSON of its value, in the order in which they stand.
///
/// # Errors
/// What serde says is wrong, after the fields before it.
pub fn fields<'b>(text: &'b str, use_field: impl FnMut(Cow<'b, str>, &'b str)) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(FieldsVisitor(use_field))?;
    deserializer.end()
}

struct FieldsVisitor<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de str)> Visitor<'de> for FieldsVisitor<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            self.0(key, map.next_value::<&RawValue>()?.get());
        }
        Ok(())
    }
}

/// A key, borrowed unless something in it is escaped.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'k>(#[serde(borrow)] Cow<'k, str>);

/// Any value; an integer is the id.
struct Whole(Option<i64>);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_i64<E>(self, value: i64) -> Result<Whole, E> {
                Ok(Whole(Some(value)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Whole, E> {
                Ok(Whole(i64::try_from(value).ok()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Whole, E> {
                Ok(Whole(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Whole, E> {
                Ok(Whole(None))
            }

            fn visit_unit<E>(self) -> Result<Whole, E> {
                Ok(Whole(None))
            }

            fn visit_str<E>(self, _: &str) -> Result<Whole, E> {
                Ok(Whole(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Whole, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Whole(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Whole, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Whole(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The entries of an array, in order.
pub struct Entries<R> {
    reader: R,
    buffer: Box<[u8]>,
    filled: usize,
    next: usize,
    /// Bytes before the buffer.
    before: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    /// After `[`.
    First,
    /// After an entry.
    Between,
    Done,
}

impl<R: Read> Entries<R> {
    pub fn new(reader: R) -> Self {
        let buffer = vec![0; 1 << 16].into_boxed_slice();
        Self { reader, buffer, filled: 0, next: 0, before: 0, state: State::Start }
    }

    /// How many bytes were used so far.
    pub fn offset(&self) -> u64 {
        self.before + self.next as u64
    }

    fn fill(&mut self) -> Result<bool, Broken> {
        if self.next < self.filled {
            return Ok(true);
        }
        self.before += self.filled as u64;
        self.next = 0;
        self.filled = 0;
        loop {
            match self.reader.read(&mut self.buffer) {
                Ok(read) => {
                    self.filled = read;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Broken::Io(error)),
            }
        }
    }

    /// The next byte that is no white space, not yet used.
    fn peek(&mut self) -> Result<Option<u8>, Broken> {
        while self.fill()? {
            let byte = self.buffer[self.next];
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.next += 1;
        }
        Ok(None)
    }

    fn shape(&self, what: &'static str) -> Broken {
        Broken::Shape { at: self.offset(), what }
    }

    fn advance(&mut self) -> Result<Option<Entry>, Broken> {
        if self.state == State::Start {
            match self.peek()? {
                Some(b'[') => self.next += 1,
                Some(b'{' | b'"' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n') => {
                    return Err(self.shape("something else than an array begins"));
                }
                Some(_) => return Err(Broken::NotJson),
                None => return Err(Broken::Truncated { at: self.offset() }),
            }
            self.state = State::First;
        }
        let mut byte = self.peek()?;
        if byte == Some(b']') {
            self.next += 1;
            return self.nothing_after();
        }
        if self.state == State::Between {
            if byte == Some(b',') {
                self.next += 1;
                byte = self.peek()?;
            } else if byte.is_some() {
                return Err(self.shape("neither a comma nor the end of the array stands"));
            }
        }
        match byte {
            Some(b'{') => self.object().map(Some),
            Some(_) => Err(self.shape("something else than an object stands")),
            None => Err(Broken::Truncated { at: self.offset() }),
        }
    }

    fn nothing_after(&mut self) -> Result<Option<Entry>, Broken> {
        self.state = State::Done;
        match self.peek()? {
            None => Ok(None),
            Some(_) => Err(self.shape("something stands after the array")),
        }
    }

    fn object(&mut self) -> Result<Entry, Broken> {
        let start = self.offset();
        let mut bytes = Vec::new();
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        loop {
            if !self.fill()? {
                return Err(Broken::Truncated { at: self.offset() });
            }
            let from = self.next;
            while self.next < self.filled {
                let byte = self.buffer[self.next];
                self.next += 1;
                if in_text {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => in_text = false,
                        _ => {}
                    }
                    continue;
                }
                match byte {
                    b'"' => in_text = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    bytes.extend_from_slice(&self.buffer[from..self.next]);
                    self.state = State::Between;
                    return check(bytes)
                        .map_err(|_| Broken::Shape { at: start, what: "an entry that is not JSON begins" });
                }
            }
            bytes.extend_from_slice(&self.buffer[from..self.next]);
        }
    }
}

impl<R: Read> Iterator for Entries<R> {
    type Item = Result<Entry, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.state != State::Done {
            match self.advance() {
                Ok(None) => {}
                Ok(Some(entry)) => return Some(Ok(entry)),
                Err(broken) => {
                    self.state = State::Done;
                    return Some(Err(broken));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &[u8]) -> Result<Vec<Entry>, Broken> {
        Entries::new(text).collect()
    }

    #[test]
    fn entries_keep_their_bytes() {
        let found = all(br#" [ {"id": 1, "t":"a\"]}, {"} , {"x":[1.50,{"y":{}}],"id":-2},{"id":"7"} ] "#).unwrap();
        let texts: Vec<&str> = found.iter().map(|e| std::str::from_utf8(&e.bytes).unwrap()).collect();
        assert_eq!(texts, [r#"{"id": 1, "t":"a\"]}, {"}"#, r#"{"x":[1.50,{"y":{}}],"id":-2}"#, r#"{"id":"7"}"#]);
        assert_eq!(found.iter().map(|e| e.id).collect::<Vec<_>>(), [Some(1), Some(-2), None]);
        assert!(all(b"[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_array_of_objects_is_told_apart() {
        assert!(matches!(all(b"<html>"), Err(Broken::NotJson)));
        assert!(matches!(all(b"{\"error\":1}"), Err(Broken::Shape { .. })));
        assert!(matches!(all(b"[1]"), Err(Broken::Shape { at: 1, .. })));
        assert!(matches!(all(b"[{},]"), Err(Broken::Shape { .. })));
        assert!(matches!(all(b"[{} {}]"), Err(Broken::Shape { .. })));
        assert!(matches!(all(b"[{}] x"), Err(Broken::Shape { .. })));
        assert!(matches!(all(b"[{\"a\":tru}]"), Err(Broken::Shape { at: 1, .. })));
        assert!(matches!(all(b""), Err(Broken::Truncated { .. })));
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(Into::into),
            any::<bool>().prop_map(Into::into),
            ".*".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    fn object() -> impl Strategy<Value = serde_json::Value> {
        prop::collection::btree_map(".{0,4}", value(), 0..5).prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn the_same_entries_as_serde_finds(objects in prop::collection::vec(object(), 0..6), pretty: bool) {
            let text = if pretty { serde_json::to_vec_pretty(&objects) } else { serde_json::to_vec(&objects) }.unwrap();
            let found = all(&text).unwrap();
            let back: Vec<serde_json::Value> = found.iter().map(|e| serde_json::from_slice(&e.bytes).unwrap()).collect();
            prop_assert_eq!(back, objects);
        }

        #[test]
        fn no_part_of_an_answer_counts_as_whole(objects in prop::collection::vec(object(), 1..4), cut in any::<prop::sample::Index>()) {
            let text = serde_json::to_vec(&objects).unwrap();
            prop_assert!(all(&text[..cut.index(text.len())]).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(all(&bytes));
        }
    }
}

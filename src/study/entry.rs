//! Entries of an answer, cut out of its JSON array byte for byte, one at a time: an answer of any size fits.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::study::fast_scan;
use crate::study::read_buffer::Window;

/// One entry as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'b> {
    /// A JSON object.
    pub bytes: &'b [u8],
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
    if let Some((_, id)) = fast_scan::plain(bytes).filter(|(length, _)| *length == bytes.len()) {
        return Ok(id);
    }
    let mut id = None;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    HeadVisitor { id: &mut id, keys: None }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(id)
}

/// Whether more bytes might mend what is wrong. Of a number that ends after its point or sign serde does not say so.
pub fn is_unfinished(error: &serde_json::Error, bytes: &[u8]) -> bool {
    error.is_eof() || matches!(bytes.last(), Some(b'.' | b'e' | b'E' | b'+' | b'-'))
}

/// The length and the id of the object at the beginning of `bytes`, whatever follows it. Every byte of it is checked.
///
/// # Errors
/// What serde says is wrong; [`is_unfinished`] tells whether only the end is missing.
pub(super) fn first(bytes: &[u8]) -> Result<(usize, Option<i64>), serde_json::Error> {
    let mut objects = serde_json::Deserializer::from_slice(bytes).into_iter::<Glance>();
    let id = objects.next().transpose()?.and_then(|glance| glance.0);
    Ok((objects.byte_offset(), id))
}

/// An object's id; all else is checked and passed over.
struct Glance(Option<i64>);

impl<'de> Deserialize<'de> for Glance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut id = None;
        HeadVisitor { id: &mut id, keys: None }.deserialize(deserializer)?;
        Ok(Self(id))
    }
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
        while let Some(FieldKey(key)) = map.next_key()? {
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
        while let Some(FieldKey(key)) = map.next_key()? {
            self.0(key, map.next_value::<&RawValue>()?.get());
        }
        Ok(())
    }
}

/// A key, borrowed unless something in it is escaped.
#[derive(Deserialize)]
#[serde(transparent)]
struct FieldKey<'k>(#[serde(borrow)] Cow<'k, str>);

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

/// So many bytes of an answer are in memory, unless one entry is longer.
const CHUNK: usize = 1 << 18;
/// No entry is longer, in bytes: no raw file could be read back with such a one.
pub const LONGEST: usize = 64 << 20;

/// The entries of an array, in order.
pub struct Entries<R> {
    window: Window<R>,
    state: ScanState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScanState {
    Start,
    /// After `[`.
    First,
    /// After an entry.
    Between,
    Done,
}

impl<R: Read> Entries<R> {
    pub fn new(reader: R) -> Self {
        Self { window: Window::new(reader, CHUNK), state: ScanState::Start }
    }

    /// How many bytes were used so far.
    pub fn offset(&self) -> u64 {
        self.window.offset()
    }

    /// The next entry; `None` at the end, and after what is broken.
    #[allow(clippy::should_implement_trait)] // the entry borrows the window, which an Iterator cannot say
    pub fn next(&mut self) -> Option<Result<Entry<'_>, Broken>> {
        if self.state == ScanState::Done {
            return None;
        }
        match self.advance() {
            Ok(None) => None,
            Ok(Some((length, id))) => Some(Ok(Entry { bytes: self.window.take(length), id })),
            Err(broken) => {
                self.state = ScanState::Done;
                Some(Err(broken))
            }
        }
    }

    /// The next byte that is no white space, not yet used.
    fn peek(&mut self) -> Result<Option<u8>, Broken> {
        self.window.peek().map_err(Broken::Io)
    }

    fn shape(&self, what: &'static str) -> Broken {
        Broken::Shape { at: self.offset(), what }
    }

    /// Length and id of the next entry, which begins at the first unused byte.
    fn advance(&mut self) -> Result<Option<(usize, Option<i64>)>, Broken> {
        if self.state == ScanState::Start {
            match self.peek()? {
                Some(b'[') => self.window.skip(1),
                Some(b'{' | b'"' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n') => {
                    return Err(self.shape("something else than an array begins"));
                }
                Some(_) => return Err(Broken::NotJson),
                None => return Err(Broken::Truncated { at: self.offset() }),
            }
            self.state = ScanState::First;
        }
        let mut byte = self.peek()?;
        if byte == Some(b']') {
            self.window.skip(1);
            return self.nothing_after().map(|()| None);
        }
        if self.state == ScanState::Between {
            if byte == Some(b',') {
                self.window.skip(1);
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

    fn nothing_after(&mut self) -> Result<(), Broken> {
        self.state = ScanState::Done;
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(self.shape("something stands after the array")),
        }
    }

    fn object(&mut self) -> Result<(usize, Option<i64>), Broken> {
        loop {
            let bytes = self.window.unused();
            let length = bytes.len();
            match fast_scan::plain(bytes).map_or_else(|| first(bytes), Ok) {
                Ok(found) => {
                    self.state = ScanState::Between;
                    return Ok(found);
                }
                Err(error) if !is_unfinished(&error, bytes) => {
                    return Err(self.shape("an entry that is not JSON begins"));
                }
                Err(_) if length > LONGEST => return Err(self.shape("an entry of more than 64 MiB begins")),
                Err(_) => {}
            }
            // Looked at again only when there is twice as much: a long entry is not read again with every part of it.
            while self.window.unused().len() < 2 * length {
                if !self.window.fill().map_err(Broken::Io)? {
                    break;
                }
            }
            if self.window.unused().len() == length {
                return Err(Broken::Truncated { at: self.offset() + length as u64 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Copied = (Vec<u8>, Option<i64>);

    fn all(text: &[u8]) -> Result<Vec<Copied>, Broken> {
        let (mut entries, mut all) = (Entries::new(text), Vec::new());
        while let Some(entry) = entries.next() {
            let Entry { bytes, id } = entry?;
            all.push((bytes.to_vec(), id));
        }
        Ok(all)
    }

    #[test]
    fn entries_keep_their_bytes() {
        let found = all(br#" [ {"id": 1, "t":"a\"]}, {"} , {"x":[1.50,{"y":{}}],"id":-2},{"id":"7"} ] "#).unwrap();
        let texts: Vec<&str> = found.iter().map(|(bytes, _)| std::str::from_utf8(bytes).unwrap()).collect();
        assert_eq!(texts, [r#"{"id": 1, "t":"a\"]}, {"}"#, r#"{"x":[1.50,{"y":{}}],"id":-2}"#, r#"{"id":"7"}"#]);
        assert_eq!(found.iter().map(|(_, id)| *id).collect::<Vec<_>>(), [Some(1), Some(-2), None]);
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
            let back: Vec<serde_json::Value> = found.iter().map(|(bytes, _)| serde_json::from_slice(bytes).unwrap()).collect();
            prop_assert_eq!(back, objects);
        }

        #[test]
        fn no_part_of_an_answer_counts_as_whole(objects in prop::collection::vec(object(), 1..4), cut in any::<prop::sample::Index>()) {
            let text = serde_json::to_vec(&objects).unwrap();
            let cut = all(&text[..cut.index(text.len())]);
            prop_assert!(matches!(cut, Err(Broken::Truncated { .. })), "{cut:?}");
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(all(&bytes));
        }
    }
}

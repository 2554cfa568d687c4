//! Entries of a raw file in any of its shapes, damaged ones included: every whole entry is found, the rest is told.
//!
//! A raw file is an array of entries, several such arrays one after the other (two answers of one second), or one
//! object keyed `<Scale>_<TIME>` with an array under each key (a day of the first generation). Where it is none of
//! these any more, the search goes on at the next object that looks like its neighbours: an integer `id`, and more
//! than half of the keys of the file's first entry. Objects within a damaged entry do not look so.

use std::io::{self, Read};

use crate::study::entry::{self, Head, LONGEST};
use crate::study::read_buffer::Window;

/// So many bytes are read at once.
const CHUNK: usize = 1 << 18;
/// So many bytes are looked at in vain before the search for whole entries in a damaged part is given up.
const BUDGET: usize = 1 << 30;
/// So much that is surely no entry is told at once, in bytes.
const FLUSH: usize = 1 << 20;
/// Of the first entry, enough to know its keys.
const SAMPLE: usize = 1 << 16;

/// What stands next in a raw file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'b> {
    /// From `{` to the bracket that closes it; the id only when it was checked.
    Object { at: u64, id: Option<i64>, bytes: &'b [u8] },
    /// What is no entry.
    Damage(Damage<'b>),
}

/// A part of a raw file that is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage<'b> {
    /// Where it begins, in bytes from the file's beginning.
    pub at: u64,
    pub why: &'static str,
    /// Empty when something is missing rather than wrong.
    pub bytes: &'b [u8],
}

/// Calls `use_piece` with each entry and each damaged part of a raw file, in order.
pub fn each<R: Read>(source: R, mut use_piece: impl FnMut(Piece<'_>)) -> io::Result<()> {
    let mut pieces = Pieces::new(source, Care::Checked);
    while let Some(piece) = pieces.next()? {
        use_piece(piece);
    }
    Ok(())
}

/// Whether objects are checked to be JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    Checked,
    /// Only brackets are counted, at several times the speed, for a reader that checks the objects itself. If one is
    /// not JSON, the file is damaged, all that comes after it is doubtful, and it has to be read again checked.
    Fast,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first document, or after one.
    Outside,
    /// After `[`, or after something that was told: a comma is not expected.
    Open,
    /// After an entry.
    After,
    /// After the value of a key of a daily object.
    Closing,
    /// Looking for the next entry; the reason why.
    Lost(&'static str),
    End,
}

/// What one step found; ranges count from the first unused byte.
enum Step {
    On,
    Object(usize, Option<i64>),
    Damage(usize, &'static str),
    End,
}

/// The pieces of a raw file, one at a time, in memory of a few chunks.
pub struct Pieces<R> {
    window: Window<R>,
    place: Place,
    /// Within an object keyed `<Scale>_<TIME>`.
    daily: bool,
    /// Anything but white space was seen.
    begun: bool,
    /// The beginning of the first object.
    sample: Vec<u8>,
    care: Care,
    reference: Vec<String>,
    budget: usize,
}

impl<R: Read> Pieces<R> {
    pub fn new(source: R, care: Care) -> Self {
        Self {
            window: Window::new(source, CHUNK),
            place: Place::Outside,
            daily: false,
            begun: false,
            sample: Vec::new(),
            care,
            reference: Vec::new(),
            budget: BUDGET,
        }
    }

    /// The next piece; `None` at the end.
    #[allow(clippy::should_implement_trait)] // the piece borrows the buffer, which an Iterator cannot say
    pub fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        loop {
            let (length, what) = match self.step()? {
                Step::On => continue,
                Step::End => return Ok(None),
                Step::Object(length, id) => (length, Ok(id)),
                Step::Damage(length, why) => (length, Err(why)),
            };
            let at = self.window.offset();
            let bytes = self.window.take(length);
            return Ok(Some(match what {
                Err(why) => Piece::Damage(Damage { at, why, bytes }),
                Ok(id) => {
                    if self.sample.is_empty() {
                        self.sample.extend_from_slice(&bytes[..length.min(SAMPLE)]);
                    }
                    Piece::Object { at, id, bytes }
                }
            }));
        }
    }

    fn step(&mut self) -> io::Result<Step> {
        if let Place::Lost(why) = self.place {
            return self.search(why);
        }
        if self.place == Place::End {
            return Ok(Step::End);
        }
        let byte = self.window.peek()?;
        match (self.place, byte) {
            (Place::Outside, _) => self.outside(byte),
            (Place::Closing, _) => self.closing(byte),
            (_, None) => Ok(self.end("the array does not end")),
            (_, Some(b'{')) if self.place == Place::Open => self.object(),
            (_, Some(b']')) => {
                self.window.skip(1);
                self.place = if self.daily { Place::Closing } else { Place::Outside };
                Ok(Step::On)
            }
            (Place::After, Some(b',')) => {
                self.window.skip(1);
                let next = self.window.peek()?;
                self.place = Place::Open;
                Ok(if next == Some(b']') { Step::Damage(0, "a comma stands before the array's end") } else { Step::On })
            }
            (Place::After, Some(b'{')) => {
                self.place = Place::Open;
                Ok(Step::Damage(0, "a comma is missing between two entries"))
            }
            (Place::After, Some(b'[')) => {
                self.place = Place::Outside;
                self.daily = false;
                Ok(Step::Damage(0, "the array does not end before the next begins"))
            }
            _ => {
                self.place = Place::Lost("something else than an entry stands");
                Ok(Step::On)
            }
        }
    }

    fn end(&mut self, why: &'static str) -> Step {
        self.place = Place::End;
        Step::Damage(0, why)
    }

    fn outside(&mut self, byte: Option<u8>) -> io::Result<Step> {
        let first = !std::mem::replace(&mut self.begun, true);
        match byte {
            None if first => Ok(self.end("the file is empty")),
            None => Ok(Step::End),
            Some(b'[') => {
                self.window.skip(1);
                self.place = Place::Open;
                Ok(Step::On)
            }
            Some(b'{') => {
                if let Some(length) = self.daily_key(true)? {
                    self.window.skip(length);
                    self.daily = true;
                    return self.daily_value();
                }
                let step = self.object()?;
                let Step::Object(length, _) = step else { return Ok(step) };
                self.place = Place::Outside;
                // An object on its own is an entry if it is one; an error message is none.
                if let Ok(Some(id)) = entry::id(&self.window.unused()[..length]) {
                    return Ok(Step::Object(length, Some(id)));
                }
                Ok(Step::Damage(length, "an object that is no entry stands"))
            }
            Some(0xef) if first && self.window.offset() == 0 => {
                while self.window.unused().len() < 3 && self.window.fill()? {}
                if self.window.unused().starts_with(b"\xef\xbb\xbf") {
                    self.window.skip(3);
                    self.begun = false;
                    return Ok(Step::On);
                }
                self.place = Place::Lost("something that is no JSON stands");
                Ok(Step::On)
            }
            Some(_) => {
                self.place = Place::Lost("something that is no JSON stands");
                Ok(Step::On)
            }
        }
    }

    fn daily_value(&mut self) -> io::Result<Step> {
        match self.window.peek()? {
            Some(b'[') => {
                self.window.skip(1);
                self.place = Place::Open;
                Ok(Step::On)
            }
            Some(b'{') => {
                let step = self.object()?;
                if matches!(step, Step::Object(..)) {
                    self.place = Place::Closing;
                }
                Ok(step)
            }
            _ => {
                self.place = Place::Lost("something else than answers stands");
                Ok(Step::On)
            }
        }
    }

    /// After an answer of a day.
    fn closing(&mut self, byte: Option<u8>) -> io::Result<Step> {
        match byte {
            None => Ok(self.end("the day's object does not end")),
            Some(b'}') => {
                self.window.skip(1);
                self.daily = false;
                self.place = Place::Outside;
                Ok(Step::On)
            }
            Some(b',') => {
                let Some(length) = self.daily_key(false)? else {
                    self.place = Place::Lost("something else than an answer's name stands");
                    return Ok(Step::On);
                };
                self.window.skip(length);
                self.daily_value()
            }
            Some(_) => {
                self.place = Place::Lost("something else than the day's next answer stands");
                Ok(Step::On)
            }
        }
    }

    /// The length of `{ "OA_08_54_35" :` or `, "OA_08_54_35" :` where a value that may be an answer follows.
    fn daily_key(&mut self, opening: bool) -> io::Result<Option<usize>> {
        while self.window.unused().len() < 512 && self.window.fill()? {}
        let text = self.window.unused();
        let spaces = |from: usize| {
            text.get(from..).map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count())
        };
        let mut at = 1 + spaces(1);
        if text.get(at) != Some(&b'"') {
            return Ok(None);
        }
        at += 1;
        let Some(length) = text[at..].iter().take(256).position(|byte| *byte == b'"') else { return Ok(None) };
        let key = &text[at..at + length];
        at += length + 1;
        at += spaces(at);
        if text.get(at) != Some(&b':') {
            return Ok(None);
        }
        at += 1;
        at += spaces(at);
        let named = key.contains(&b'_') && key.last().is_some_and(u8::is_ascii_digit);
        let answers = matches!(text.get(at), Some(b'[' | b'{'));
        Ok((answers && (named || !opening)).then_some(at))
    }

    /// The object that begins here.
    fn object(&mut self) -> io::Result<Step> {
        let mut scan = Scan::default();
        let mut checked = CHUNK * 4;
        loop {
            if let Some(length) = scan.go(self.window.unused()) {
                self.place = Place::After;
                if self.care == Care::Fast {
                    return Ok(Step::Object(length, None));
                }
                return Ok(if let Ok(id) = entry::id(&self.window.unused()[..length]) {
                    Step::Object(length, id)
                } else {
                    self.place = Place::Lost("an entry is not JSON");
                    Step::On
                });
            }
            let length = self.window.unused().len();
            let mut why = None;
            if length > LONGEST {
                why = Some("an entry does not end");
            } else if length > checked {
                checked = length * 2;
                // So long, it may be a bracket that is missing; where the JSON is wrong, that is known now.
                let bytes = self.window.unused();
                let wrong = entry::id(bytes).err().filter(|error| !entry::is_unfinished(error, bytes));
                why = wrong.map(|_| "an entry is not JSON");
            }
            if why.is_none() && !self.window.fill()? {
                why = Some("the file ends within an entry");
            }
            if let Some(why) = why {
                self.place = Place::Lost(why);
                return Ok(Step::On);
            }
        }
    }

    /// Looks for the next whole entry; everything before it is damage.
    fn search(&mut self, why: &'static str) -> io::Result<Step> {
        if self.reference.is_empty() {
            let sample = if self.sample.is_empty() { self.window.unused() } else { &self.sample };
            self.reference = keys_of(sample);
        }
        let mut at = 0;
        // A candidate that needs more bytes is looked at again only when there are twice as many.
        let mut enough = 0;
        loop {
            let length = self.window.unused().len();
            let rest = &self.window.unused()[at..];
            let candidate = if self.budget == 0 { None } else { memchr::memchr(b'{', rest).map(|found| at + found) };
            match candidate {
                None => at = length,
                Some(candidate) if length < enough && !self.window.is_exhausted() => at = candidate,
                Some(candidate) => match self.look(candidate) {
                    Look::Entry => {
                        self.place = Place::Open;
                        return Ok(if candidate == 0 { Step::On } else { Step::Damage(candidate, why) });
                    }
                    Look::Unfinished if !self.window.is_exhausted() && length - candidate < LONGEST => {
                        at = candidate;
                        enough = candidate + 2 * (length - candidate);
                    }
                    Look::Unfinished | Look::Nothing => {
                        at = candidate + 1;
                        continue;
                    }
                },
            }
            if at >= FLUSH {
                return Ok(Step::Damage(at, why));
            }
            if !self.window.fill()? && candidate.is_none() {
                self.place = Place::End;
                return Ok(if length == 0 { Step::End } else { Step::Damage(length, why) });
            }
        }
    }

    /// Whether an entry of this file begins at this unused byte.
    fn look(&mut self, candidate: usize) -> Look {
        let unused = self.window.unused();
        let before = unused[..candidate].iter().rev().find(|byte| !byte.is_ascii_whitespace());
        let line = candidate > 0 && unused[candidate - 1] == b'\n';
        if !line && before.is_some_and(|byte| !b",[]}".contains(byte)) {
            return Look::Nothing;
        }
        let mut head = Head::default();
        match head.read_first(&unused[candidate..]) {
            Ok(()) => {
                let shared = self.reference.iter().filter(|key| head.keys.contains(key)).count();
                if head.id.is_some() && shared * 2 > self.reference.len() || self.reference.is_empty() {
                    Look::Entry
                } else {
                    Look::Nothing
                }
            }
            Err(error) if entry::is_unfinished(&error, unused) => {
                self.budget = self.budget.saturating_sub(unused.len() - candidate);
                Look::Unfinished
            }
            Err(_) => {
                self.budget = self.budget.saturating_sub(64);
                Look::Nothing
            }
        }
    }
}

enum Look {
    Entry,
    /// More bytes might make it one.
    Unfinished,
    Nothing,
}

/// The keys of an object, up to where it ends or is no JSON any more.
pub fn keys_of(object: &[u8]) -> Vec<String> {
    let mut head = Head::default();
    // What was read before the damage is what is wanted.
    let _ = head.read_first(object);
    head.keys
}

/// Where an object ends: brackets counted, texts passed over.
#[derive(Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_text: bool,
}

impl Scan {
    /// The object's length once its last bracket is there; called again with more bytes behind the same ones.
    fn go(&mut self, bytes: &[u8]) -> Option<usize> {
        while self.at < bytes.len() {
            if self.in_text {
                let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[self.at..]) else {
                    self.at = bytes.len();
                    return None;
                };
                self.at += found;
                if bytes[self.at] == b'"' {
                    self.in_text = false;
                    self.at += 1;
                } else if self.at + 1 < bytes.len() {
                    self.at += 2;
                } else {
                    // What is escaped is not there yet.
                    return None;
                }
                continue;
            }
            let byte = bytes[self.at];
            self.at += 1;
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(self.at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hands out a few bytes at a time, as a slow disk might.
    struct Drops<'b>(&'b [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(buffer.len()).min(self.0.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    /// Ids of the entries, and what was wrong where.
    fn read(bytes: &[u8]) -> (Vec<i64>, Vec<(u64, String)>) {
        let found = |step: usize| {
            let (mut ids, mut damages) = (Vec::new(), Vec::new());
            each(Drops(bytes, step), |piece| match piece {
                Piece::Object { id, .. } => ids.push(id.unwrap_or(-1)),
                Piece::Damage(damage) => {
                    assert_eq!(&bytes[usize::try_from(damage.at).unwrap()..][..damage.bytes.len()], damage.bytes);
                    damages.push((damage.at, String::from_utf8_lossy(damage.bytes).into_owned()));
                }
            })
            .unwrap();
            (ids, damages)
        };
        let whole = found(usize::MAX);
        if bytes.len() < 2000 {
            assert_eq!(found(1), whole);
        }
        whole
    }

    fn sound(text: &str, ids: &[i64]) {
        assert_eq!(read(text.as_bytes()), (ids.to_vec(), Vec::new()), "{text}");
    }

    #[test]
    fn every_shape_is_read() {
        sound("[]", &[]);
        sound(" [ ]\n", &[]);
        sound(r#"[{"id":1},{"id":2}]"#, &[1, 2]);
        sound("\u{feff}[{\"id\":1}]", &[1]);
        sound(r#"[{"id":1,"x":"}]\\\""},{"id":2,"x":{"id":7}}][{"id":3}] [] "#, &[1, 2, 3]);
        sound(r#"{"OA_08_54_35":[{"id":1},{"id":2}],"OA_09_00_00" : [ ],"OA_10_00_00":{"id":3}}"#, &[1, 2, 3]);
        sound(r#"{"OA_08_54_35":[]}[{"id":4}]"#, &[4]);
        sound(r#"{"id":5,"list_1":[{"id":6}]}"#, &[5]);
        sound(r#"[{"a":1},{"id":"x"}]"#, &[-1, -1]);
    }

    /// Where reading stops within a number is no reason to give up the entry.
    #[test]
    fn a_number_may_be_read_in_two_parts() {
        for number in ["4333.25", "-1", "1e5", "1E-5", "2.5e+10"] {
            let entry = format!(r#"{{"id":1,"k":{number}}}"#);
            assert_eq!(read(format!("[;,{entry}]").as_bytes()).0, [1], "{number}");
            let long = format!(r#"[{{"id":2,"text":"{}","k":{number}}},{entry}]"#, "x".repeat(CHUNK * 5));
            for step in [CHUNK * 5 + 25, CHUNK * 5 + 26, CHUNK * 5 + 27, CHUNK * 5 + 28] {
                let mut ids = Vec::new();
                each(Drops(long.as_bytes(), step), |piece| match piece {
                    Piece::Object { id, .. } => ids.push(id),
                    Piece::Damage(damage) => panic!("{number}, {step}: {}", damage.why),
                })
                .unwrap();
                assert_eq!(ids, [Some(2), Some(1)]);
            }
        }
    }

    #[test]
    fn whole_entries_of_damaged_files_are_found() {
        type Case = (&'static str, &'static [i64], &'static [(u64, &'static str)]);
        let cases: &[Case] = &[
            ("", &[], &[(0, "")]),
            ("<html>", &[], &[(0, "<html>")]),
            (r#"{"error":"no"}"#, &[], &[(0, r#"{"error":"no"}"#)]),
            (r#"[{"id":1},{"id":2}"#, &[1, 2], &[(18, "")]),
            (r#"[{"id":1},{"id":2,"#, &[1], &[(10, r#"{"id":2,"#)]),
            (r#"[{"id":1},{"id":2][{"id":3}]"#, &[1, 3], &[(10, r#"{"id":2]["#)]),
            (r#"[{"id":1}[{"id":3}]"#, &[1, 3], &[(9, "")]),
            (r#"[{"id":1} {"id":3}]"#, &[1, 3], &[(10, "")]),
            (r#"[{"id":1},]"#, &[1], &[(10, "")]),
            (r#"[7,{"id":1},null,{"id":2}]"#, &[1, 2], &[(1, "7,"), (12, "null,")]),
            (r#"[{"id":1,"a":tru},{"id":2,"a":1}]"#, &[2], &[(1, r#"{"id":1,"a":tru},"#)]),
            (
                r#"[{"id":1,"a":1},{"id":2,"a:1},{"id":3,"a":3},{"id":4,"a":4}]"#,
                &[1, 3, 4],
                &[(16, r#"{"id":2,"a:1},"#)],
            ),
            ("[{\"id\":1}] x", &[1], &[(11, "x")]),
            (r#"{"OA_08_54_35":[{"id":1}],"OA_09_00_00":[{"id":2}"#, &[1, 2], &[(49, "")]),
        ];
        for (text, ids, damages) in cases {
            let damages = damages.iter().map(|(at, text)| (*at, (*text).to_owned())).collect();
            assert_eq!(read(text.as_bytes()), (ids.to_vec(), damages), "{text}");
        }
    }

    /// A file cut within an entry that holds lists of objects: these are none of its entries.
    #[test]
    fn what_a_damaged_entry_holds_is_no_entry() {
        let text = r#"[{"id":1,"session":"s","t":[]},{"id":2,"session":"s","t":[{"id":7,"x":1},{"id":8,"x":2},{"id":9"#;
        assert_eq!(read(text.as_bytes()).0, [1]);
        let whole = r#"[{"id":3,"session":"s","t":[]},{"id":4,"session":"s","t":[]}]"#;
        assert_eq!(read(format!("{text}{whole}").as_bytes()).0, [1, 3, 4]);
    }

    #[test]
    fn a_text_of_ten_megabytes_is_one_entry_and_rubbish_is_told_in_parts() {
        let text = format!(r#"[{{"id":1,"t":"{}"}},{{"id":2}}]"#, "a\\n".repeat(5 << 20));
        sound(&text, &[1, 2]);
        let rubbish = vec![b'x'; 3 << 20];
        let (ids, damages) = read(&rubbish);
        assert!(ids.is_empty() && damages.len() > 1);
        assert_eq!(damages.iter().map(|(_, text)| text.len()).sum::<usize>(), rubbish.len());
    }

    fn entries() -> impl Strategy<Value = Vec<serde_json::Value>> {
        let value = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(Into::into),
            ".*".prop_map(serde_json::Value::from),
            Just(serde_json::json!([{"id": 1, "x": [{}]}])),
            Just(serde_json::json!({"id": 2, "\"}": "["})),
        ];
        let entry = (any::<i64>(), value.clone(), value)
            .prop_map(|(id, a, b)| serde_json::json!({"id": id, "session": a, "answers": b}));
        prop::collection::vec(entry, 1..6)
    }

    fn ids(entries: &[serde_json::Value]) -> Vec<i64> {
        entries.iter().map(|entry| entry["id"].as_i64().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn the_same_entries_as_serde_finds(all in entries(), pretty: bool) {
            let text = if pretty { serde_json::to_vec_pretty(&all) } else { serde_json::to_vec(&all) }.unwrap();
            prop_assert_eq!(read(&text), (ids(&all), Vec::new()));
        }

        #[test]
        fn a_cut_costs_the_entry_it_goes_through(all in entries(), cut in any::<prop::sample::Index>()) {
            let text = serde_json::to_vec(&all).unwrap();
            let cut = cut.index(text.len());
            // How many are whole before the cut: each entry, and the bracket or comma before it.
            let mut end = 0;
            let whole = all.iter().take_while(|entry| { end += 1 + entry.to_string().len(); end <= cut }).count();
            let (found, damages) = read(&text[..cut]);
            prop_assert_eq!(&found, &ids(&all[..whole]));
            prop_assert!(!damages.is_empty());
            // Another answer behind it is read whole.
            let mut twice = text[..cut].to_vec();
            twice.extend_from_slice(&text);
            let (found, _) = read(&twice);
            prop_assert!(found.ends_with(&ids(&all[usize::from(whole < all.len() && cut > 0)..])), "{:?}", found);
        }

        #[test]
        fn nothing_is_lost_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes);
        }

        #[test]
        fn nothing_is_lost_of_any_json_like_text(text in r#"([\[\]{},:"\\a1]|"id":1|\{"id":2\}|\{"OA_1":){0,40}"#) {
            read(text.as_bytes());
        }
    }
}

//! The end and the id of a plain entry at one glance: nearly all entries are a flat object of numbers and short texts,
//! and telling where one ends is most of the work of an export. It says only what serde would say, or nothing.

/// The length and the id of the object at the beginning of `bytes`, every byte of it checked as serde would check it.
/// `None` is no verdict: the entry is not plain, or is none, or does not end here.
pub fn plain(bytes: &[u8]) -> Option<(usize, Option<i64>)> {
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let mut at = after_space(bytes, 1);
    if *bytes.get(at)? == b'}' {
        return Some((at + 1, None));
    }
    let mut id = None;
    loop {
        if *bytes.get(at)? != b'"' {
            return None;
        }
        let key = at + 1..key_end(bytes, at + 1)?;
        at = after_space(bytes, key.end + 1);
        if *bytes.get(at)? != b':' {
            return None;
        }
        let value = after_space(bytes, at + 1);
        at = value_end(bytes, value)?;
        if &bytes[key] == b"id" {
            id = Some(small(&bytes[value..at])?);
        }
        at = after_space(bytes, at);
        match *bytes.get(at)? {
            b',' => at = after_space(bytes, at + 1),
            b'}' => return Some((at + 1, id)),
            _ => return None,
        }
    }
}

fn after_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// A byte of each kind in eight at once; the lowest bit that is set belongs to the first such byte.
mod eight {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    pub const HIGH: u64 = ONES << 7;

    pub fn equal(word: u64, byte: u8) -> u64 {
        let differing = word ^ (ONES * u64::from(byte));
        differing.wrapping_sub(ONES) & !differing & HIGH
    }

    pub fn below(word: u64, least: u8) -> u64 {
        word.wrapping_sub(ONES * u64::from(least)) & !word & HIGH
    }
}

/// Where, from `at` on, the first byte stands that does not simply belong to a text: its end, a backslash, a control
/// character, and, among `also`, what is beyond ASCII.
fn text_stop(bytes: &[u8], mut at: usize, also: u64) -> Option<usize> {
    while let Some(eight) = bytes.get(at..at + 8).and_then(|part| part.try_into().ok()) {
        let word = u64::from_le_bytes(eight);
        let stops = eight::equal(word, b'"') | eight::equal(word, b'\\') | eight::below(word, 0x20) | (word & also);
        if stops != 0 {
            return Some(at + (stops.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20) || (also != 0 && !byte.is_ascii());
    bytes.get(at..)?.iter().position(stop).map(|found| at + found)
}

/// Where the quote stands that ends a key; escapes and what is beyond ASCII are not plain.
fn key_end(bytes: &[u8], at: usize) -> Option<usize> {
    text_stop(bytes, at, eight::HIGH).filter(|end| bytes[*end] == b'"')
}

/// Where a value that is neither an array nor an object has ended.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    let word = |word: &[u8]| bytes[at..].starts_with(word).then_some(at + word.len());
    match *bytes.get(at)? {
        b'"' => text_end(bytes, at + 1),
        b't' => word(b"true"),
        b'f' => word(b"false"),
        b'n' => word(b"null"),
        b'-' => number_end(bytes, at + 1),
        _ => number_end(bytes, at),
    }
}

fn text_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = text_stop(bytes, at, 0)?;
        match bytes[at] {
            b'"' => return Some(at + 1),
            b'\\' => match *bytes.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                b'u' if bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => at += 6,
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// Of a number without exponent, after its sign. What might go on behind the last byte is not plain.
fn number_end(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return None;
    }
    let mut end = at + whole;
    if *bytes.get(end)? == b'.' {
        let fraction = digits(end + 1);
        end += 1 + fraction;
        if fraction == 0 {
            return None;
        }
    }
    (!matches!(bytes.get(end)?, b'e' | b'E')).then_some(end)
}

/// A whole number of few digits; ids are nothing else.
fn small(value: &[u8]) -> Option<i64> {
    let is_small = value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
    is_small.then(|| value.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::study::entry;

    fn agrees(bytes: &[u8]) -> bool {
        match plain(bytes) {
            Some(found) => {
                assert_eq!(entry::first(bytes).ok(), Some(found), "{}", String::from_utf8_lossy(bytes));
                true
            }
            None => false,
        }
    }

    #[test]
    fn the_entries_of_the_server_are_plain() {
        let text = r#"{"id":41,"date":"Tue, 25 Aug 2015 08:54:35 -0500","a":-1.50,"b":null,"c" : true,"d":false,"e":"é\"\\\u00e9 {]","f":0}"#;
        assert_eq!(plain(text.as_bytes()), Some((text.len(), Some(41))));
        assert_eq!(plain(format!("{text},{text}").as_bytes()), Some((text.len(), Some(41))));
        assert_eq!((plain(b"{}"), plain(b"{ \"a\" : 1 }x")), (Some((2, None)), Some((11, None))));
    }

    #[test]
    fn what_is_not_plain_is_left_to_serde() {
        for text in [
            r#"{"id":"7"}"#,
            r#"{"id":-7}"#,
            r#"{"id":1.0}"#,
            r#"{"id":1234567890123456789}"#,
            r#"{"a":[1]}"#,
            r#"{"a":{}}"#,
            r#"{"a":1e5}"#,
            r#"{"\u0069d":1}"#,
            r#"{"é":1}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":-}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12g4"}"#,
            "{\"a\":\"\n\"}",
            "{\"a\n\":1}",
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            "{,}",
            r#"{"a":}"#,
            "[1]",
            "",
        ] {
            assert_eq!(plain(text.as_bytes()), None, "{text}");
        }
        let whole = br#"{"id":41,"t":"a\"b","n":1.5}"#;
        assert!((0..whole.len()).all(|cut| plain(&whole[..cut]).is_none()));
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "{", "}", "\"", "\"id\"", "\"a\":", ":", ",", " ", "\n", "0", "12", "-", ".", "e", "+", "true", "null",
            "fals", "[", "]", "\\", "\\n", "\\u00", "e9", "abcdefgh", "é", "\u{7f}", "\u{1}", "\"x\"",
        ]);
        prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn never_another_verdict_than_that_of_serde(mut bytes in text(), opened: bool) {
            if opened {
                bytes.splice(0..0, *b"{\"id\":12,");
            }
            agrees(&bytes);
        }

        #[test]
        fn never_another_verdict_of_a_damaged_entry(at in any::<prop::sample::Index>(), byte: u8, keys in prop::collection::btree_map("[a-z\u{20}\"\\\\é]{1,9}", "[ -~é\u{1}]{0,20}", 0..4)) {
            let mut bytes = serde_json::to_vec(&keys).unwrap();
            bytes.extend_from_slice(b", ");
            agrees(&bytes);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            agrees(&bytes);
        }
    }
}

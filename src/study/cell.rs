//! A JSON value as a cell of a table: numbers keep their digits, nothing is guessed.

use std::borrow::Cow;

/// What no cell can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUnicode;

/// What a cell can look like.
pub const KINDS: [&str; 4] = ["number", "true or false", "list", "text"];

/// What a cell that is not empty looks like, by its place in [`KINDS`]; nothing is guessed from a definition.
pub fn kind(cell: &[u8]) -> usize {
    match cell {
        // Most answers are one digit.
        [b'0'..=b'9'] => 0,
        b"true" | b"false" => 1,
        [b'[' | b'{', ..] => 2,
        _ if cell.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) => 0,
        _ => 3,
    }
}

/// The whole number that a cell is.
pub fn integer(cell: &[u8]) -> Option<i64> {
    match digits(cell) {
        // Nearly all are ids of a few digits.
        Some(number) if cell.len() <= 18 => Some(number),
        _ => std::str::from_utf8(cell).ok()?.parse().ok(),
    }
}

/// The number that a cell is.
pub fn decimal(cell: &[u8]) -> Option<f64> {
    /// Exact in 64 bits, as is every whole number of 15 digits: their quotient is the nearest number there is.
    const TENS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let plain = || {
        if cell.len() > 16 {
            return None;
        }
        let (whole, part) = match memchr::memchr(b'.', cell) {
            Some(point) => (&cell[..point], &cell[point + 1..]),
            None => (cell, &b""[..]),
        };
        if whole.len() + part.len() > 15 || (part.is_empty() && whole.len() < cell.len()) {
            return None;
        }
        let scale = TENS[part.len()];
        let part = if part.is_empty() { 0 } else { digits(part)? };
        Some((digits(whole)? as f64 * scale + part as f64) / scale)
    };
    plain().or_else(|| std::str::from_utf8(cell).ok()?.parse().ok())
}

/// The number of at most 18 digits; of more, whatever.
fn digits(text: &[u8]) -> Option<i64> {
    let add = |sum: i64, byte: &u8| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| sum.wrapping_mul(10).wrapping_add(i64::from(digit)))
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, add) }
}

/// Whether a value is its own text, in which nothing has to be quoted: numbers and booleans, and what is absent.
pub fn is_bare(raw: &str) -> bool {
    !matches!(raw.as_bytes().first(), Some(b'"' | b'[' | b'{' | b'n'))
}

/// The text of a value: null and absent are empty, texts are themselves, numbers and booleans keep their letters,
/// arrays and objects become compact JSON.
///
/// # Errors
/// A text with half a surrogate pair is no Unicode.
pub fn text(raw: &str) -> Result<Cow<'_, str>, NotUnicode> {
    match raw.as_bytes().first() {
        Some(b'n') | None => Ok(Cow::Borrowed("")),
        Some(b'"') => {
            let inner = raw.get(1..raw.len() - 1).unwrap_or_default();
            if inner.contains('\\') {
                serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|_| NotUnicode)
            } else {
                Ok(Cow::Borrowed(inner))
            }
        }
        Some(b'[' | b'{') => Ok(Cow::Owned(compact(raw))),
        Some(_) => Ok(Cow::Borrowed(raw)),
    }
}

/// White space between the tokens removed, everything else as it was.
fn compact(raw: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    raw.chars()
        .filter(|&c| {
            if in_text {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => in_text = false,
                    _ => {}
                }
                return true;
            }
            in_text = c == '"';
            !c.is_ascii_whitespace()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_and_texts_are_kept() {
        for (raw, cell) in [
            ("null", ""),
            ("1.10", "1.10"),
            ("123456789012345678901234567890.1e+5", "123456789012345678901234567890.1e+5"),
            ("true", "true"),
            (r#""""#, ""),
            (r#""=1+1\n\"x\"""#, "=1+1\n\"x\""),
            (r#"[ "a b", 1.50 ]"#, r#"["a b",1.50]"#),
            (r#"{ "k\" " : [ ] }"#, r#"{"k\" ":[]}"#),
        ] {
            assert_eq!(text(raw).as_deref(), Ok(cell));
        }
        assert_eq!(text(r#""\ud800""#), Err(NotUnicode));
    }

    #[test]
    fn numbers_are_read_as_rust_reads_them() {
        for text in
            ["", ".", "5.", ".5", "-", "-3", "+3", "007", "1e3", "inf", "9223372036854775808", "1.5 ", "0.1", "1..2"]
        {
            assert_eq!(integer(text.as_bytes()), text.parse().ok(), "{text}");
            assert_eq!(decimal(text.as_bytes()), text.parse().ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_number_is_read_as_rust_reads_it(text in "[-]?[0-9]{1,20}([.][0-9]{0,20})?") {
            prop_assert_eq!(integer(text.as_bytes()), text.parse().ok());
            prop_assert_eq!(decimal(text.as_bytes()), text.parse().ok());
        }

        #[test]
        fn any_text_comes_through(value in ".*") {
            let raw = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(text(&raw).unwrap(), value);
        }
    }
}

//! A JSON value as a cell of a table: numbers keep their digits, nothing is guessed.

use std::borrow::Cow;

/// What no cell can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUnicode;

/// What a cell can look like.
pub const KINDS: [&str; 4] = ["number", "true or false", "list", "text"];

/// What a cell that is not empty looks like, by its place in [`KINDS`]; nothing is guessed from a definition.
#[must_use]
pub fn kind(cell: &[u8]) -> usize {
    match cell {
        // Most answers are one digit.
        [b'0'..=b'9'] => 0,
        b"true" | b"false" => 1,
        [b'[' | b'{', ..] => 2,
        _ if cell.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)) => 0,
        _ => 3,
    }
}

/// Whether a value is its own text, in which nothing has to be quoted: numbers and booleans, and what is absent.
#[must_use]
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

    proptest! {
        #[test]
        fn any_text_comes_through(value in ".*") {
            let raw = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(text(&raw).unwrap(), value);
        }
    }
}

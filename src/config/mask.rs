//! Text of a configuration file made fit to be shown: a secret that stands where none should is shown as `***`.

use std::ops::Range;

/// Keys whose value is nobody's business.
const SECRET_WORDS: [&str; 6] = ["pass", "pwd", "secret", "token", "credential", "api_key"];

/// What stands for a value, and for the credentials of an address.
const VALUE: &str = "\"***\"";
const CREDENTIALS: &str = "***";

/// A text without its secrets, and where its other places went.
#[derive(Debug)]
pub struct Masked {
    pub text: String,
    /// Ranges of the original and the length of what stands there now, in order.
    replaced: Vec<(Range<usize>, usize)>,
}

impl Masked {
    pub fn new(text: &str) -> Self {
        let mut masked = Self { text: String::with_capacity(text.len()), replaced: Vec::new() };
        let mut from = 0;
        for (range, stars) in secrets(text).into_iter().chain([(text.len()..text.len(), "")]) {
            if range.start < from {
                continue;
            }
            masked.text.push_str(&text[from..range.start]);
            masked.text.push_str(stars);
            from = range.end;
            masked.replaced.push((range, stars.len()));
        }
        masked
    }

    /// Where a span of the original is now; a place within a secret becomes the stars' own.
    pub fn place(&self, span: &Range<usize>) -> Range<usize> {
        self.moved(span.start, false)..self.moved(span.end, true)
    }

    fn moved(&self, at: usize, end: bool) -> usize {
        let (mut taken, mut given) = (0, 0);
        for (range, length) in &self.replaced {
            if at >= range.end {
                taken += range.len();
                given += length;
            } else if at > range.start {
                return range.start - taken + given + if end { *length } else { 0 };
            } else {
                break;
            }
        }
        at - taken + given
    }
}

/// Values of secret keys and the credentials of addresses, in order. Reads line by line and not by TOML's grammar,
/// since the text may be broken at this very place; rather too much than too little.
fn secrets(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let mut found = credentials(text);
    found.extend(text.match_indices("-----BEGIN").map(|(at, _)| (at..key_end(text, at), CREDENTIALS)));
    let mut below_secret = false;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        if trimmed.starts_with('[') {
            below_secret = is_secret(trimmed);
        }
        // End of an inline table that a secret key opened.
        let mut table = start;
        for (at, _) in line.match_indices('=') {
            let key = key_before(&line[..at]);
            let inside = below_secret || start + at < table;
            if !(is_secret(key) || inside && !matches!(key, "env" | "file")) {
                continue;
            }
            let value = start + at + 1 + (line[at + 1..].len() - line[at + 1..].trim_start_matches([' ', '\t']).len());
            if text[value..].starts_with('{') {
                table = line.rfind('}').map_or(start + line.len(), |end| start + end);
            } else {
                found.push((value..value_end(text, value), VALUE));
            }
        }
        start += line.len();
    }
    found.retain(|(range, _)| !range.is_empty());
    found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    found
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// The key that ends here, without its quotes.
fn key_before(text: &str) -> &str {
    let key = text.trim_end().trim_end_matches(['"', '\'']);
    let start = key
        .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
        .map_or(0, |at| at + key[at..].chars().next().map_or(1, char::len_utf8));
    &key[start..]
}

/// A string to its closing quote, anything else to the end of its line.
fn value_end(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    for quotes in ["\"\"\"", "'''"] {
        if let Some(inner) = rest.strip_prefix(quotes) {
            return inner.find(quotes).map_or(text.len(), |end| start + end + 2 * quotes.len());
        }
    }
    let line = rest.find('\n').unwrap_or(rest.len());
    let line = &rest[..line];
    let end = line.trim_end().len();
    let Some(quote) = line.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else { return start + end };
    let mut escaped = false;
    for (at, letter) in line.char_indices().skip(1) {
        if letter == quote && !escaped {
            return start + at + 1;
        }
        escaped = quote == '"' && letter == '\\' && !escaped;
    }
    start + end
}

/// A private key goes on to its last line, and else to the quote or line that ends it.
fn key_end(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    let after = "-----BEGIN".len();
    let last = rest.find("-----END").and_then(|end| rest[end..].find(['"', '\'', '\n']).map(|more| end + more));
    let end = last.unwrap_or_else(|| rest[after..].find(['"', '\'', '\n']).map_or(rest.len(), |end| after + end));
    start + end
}

/// `user:password` of `https://user:password@host/`.
fn credentials(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let mut found = Vec::new();
    for (at, separator) in text.match_indices("://") {
        let start = at + separator.len();
        let rest = &text[start..];
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#'));
        if let Some(sign) = rest[..end.unwrap_or(rest.len())].rfind('@') {
            found.push((start..start + sign, CREDENTIALS));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_stars_and_the_rest_stays() {
        let cases = [
            ("password = \"hunter2\" # old\nuser = \"a\"\n", "password = \"***\" # old\nuser = \"a\"\n"),
            ("password = \"hun\\\"ter2\"\n", "password = \"***\"\n"),
            ("PASS = hunter2 and more\nx = 1\n", "PASS = \"***\"\nx = 1\n"),
            ("password = \"hunter2\nx = 1\n", "password = \"***\"\nx = 1\n"),
            (
                "s = { user = \"a\", \"password\"='hunter2', x = 1 }",
                "s = { user = \"a\", \"password\"=\"***\", x = 1 }",
            ),
            ("password = \"\"\"a\nb\"\"\"\nx = 1", "password = \"***\"\nx = 1"),
            ("password = { env = \"NAME\" }", "password = { env = \"NAME\" }"),
            ("password = { value = \"x\", env = \"NAME\" }", "password = { value = \"***\", env = \"NAME\" }"),
            (
                "[mail.password]\nvalue = \"x\"\nfile = \"p\"\n[b]\nc = 1",
                "[mail.password]\nvalue = \"***\"\nfile = \"p\"\n[b]\nc = 1",
            ),
            ("url = \"https://a:b@c.d/e\"", "url = \"https://***@c.d/e\""),
            ("keys = [\"-----BEGIN X-----\\nMIIE\", \"b\"]", "keys = [\"***\", \"b\"]"),
            ("k = '''-----BEGIN X-----\nMIIE\n-----END X-----\n'''", "k = '''***\n'''"),
            ("mail.password = 12", "mail.password = \"***\""),
        ];
        for (text, shown) in cases {
            assert_eq!(Masked::new(text).text, shown);
        }
    }

    #[test]
    fn places_follow_what_moved() {
        let text = "a = { password = \"a long secret\", b = 1 }";
        let masked = Masked::new(text);
        let b = text.find("b = 1").unwrap();
        assert_eq!(&masked.text[masked.place(&(b..b + 5))], "b = 1");
        let secret = text.find("long").unwrap();
        assert_eq!(&masked.text[masked.place(&(secret..secret + 4))], VALUE);
    }

    proptest! {
        #[test]
        fn any_text_is_masked_and_every_place_stays_inside(text in "[\\PC=\"'\n{}\\[\\]@:/]{0,80}|(pass(word)? ?= ?[\"'{]?\\PC{0,9}[\"'}]?\n?){0,4}", a in 0usize..90, b in 0usize..90) {
            let masked = Masked::new(&text);
            let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let (a, b) = (floor(a.min(b)), floor(a.max(b)));
            let place = masked.place(&(a..b));
            prop_assert!(place.start <= place.end && masked.text.get(place).is_some());
        }

        #[test]
        fn a_quoted_password_is_never_shown(secret in "[a-zA-Z0-9\\$%!]{4,20}", before in "[a-z ,{]{0,9}") {
            for text in [format!("{before}password = \"{secret}\" }}"), format!("{before}\npassphrase='{secret}'"), format!("{before} TOKEN = {secret}")] {
                prop_assert!(!Masked::new(&text).text.contains(&secret));
            }
        }
    }
}

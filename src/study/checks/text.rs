//! What a text gives away: addresses, telephone and order numbers (S9); and how a server breaks one (R15).

/// What was found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifying {
    Mail,
    Telephone,
    Order,
}

impl Identifying {
    pub fn word(self) -> &'static str {
        match self {
            Self::Mail => "an e-mail address",
            Self::Telephone => "a telephone number",
            Self::Order => "an order number",
        }
    }
}

/// The first thing in a text that tells who wrote it. Cheap for the many texts without `@` and digits.
pub fn identifying(text: &[u8]) -> Option<Identifying> {
    if memchr::memchr(b'@', text).is_some() && has_mail(text) {
        return Some(Identifying::Mail);
    }
    if text.iter().filter(|byte| byte.is_ascii_digit()).count() < 3 {
        return None;
    }
    if has_order(text) {
        return Some(Identifying::Order);
    }
    has_telephone(text).then_some(Identifying::Telephone)
}

/// `name@host.tld`.
fn has_mail(text: &[u8]) -> bool {
    let local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte) || *byte >= 0x80;
    let host = |byte: &u8| byte.is_ascii_alphanumeric() || b".-".contains(byte) || *byte >= 0x80;
    memchr::memchr_iter(b'@', text).any(|at| {
        let before = text[..at].last().is_some_and(local);
        let domain: &[u8] = &text[at + 1..];
        let domain = &domain[..domain.iter().position(|byte| !host(byte)).unwrap_or(domain.len())];
        let top = domain.rsplit(|byte| *byte == b'.').find(|part| !part.is_empty()).unwrap_or_default();
        before && domain.contains(&b'.') && top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic)
    })
}

/// Ten to fifteen digits with nothing between them but what telephone numbers have, and no date.
fn has_telephone(text: &[u8]) -> bool {
    let (mut digits, mut start) = (0, 0);
    let mut gap = 0;
    for (at, byte) in text.iter().chain(b"\n").enumerate() {
        match byte {
            b'0'..=b'9' => {
                if digits == 0 {
                    start = at;
                }
                digits += 1;
                gap = 0;
            }
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' | b'+' if digits > 0 && gap < 3 => gap += 1,
            _ => {
                let run = &text[start..at.min(text.len())];
                let word =
                    start > 0 && text[start - 1].is_ascii_alphanumeric() || byte.is_ascii_alphabetic() && gap == 0;
                if (10..=15).contains(&digits) && !is_date(run) && !word {
                    return true;
                }
                (digits, gap) = (0, 0);
            }
        }
    }
    false
}

/// `2015-08-25 08`: a date and an hour have ten digits, too.
fn is_date(run: &[u8]) -> bool {
    let digits = |range: std::ops::Range<usize>| run.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    digits(0..4)
        && digits(5..7)
        && digits(8..10)
        && run.get(4) == run.get(7)
        && run.get(4).is_some_and(|b| b"-./".contains(b))
}

/// `order 123-4567`, `Order #A1B2C3`, `orderId: 99881`.
fn has_order(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    memchr::memmem::find_iter(&lower, b"order").any(|at| {
        let rest = &lower[at + 5..];
        let rest = [&b" number"[..], b" no.", b" no", b" id", b"id", b"_id"]
            .iter()
            .find_map(|word| rest.strip_prefix(*word))
            .unwrap_or(rest);
        let skip = rest.iter().take(3).take_while(|byte| b" #:=".contains(byte)).count();
        let number: &[u8] = &rest[skip..];
        let end = number.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-').unwrap_or(number.len());
        let number = &number[..end];
        skip > 0 && number.len() >= 5 && number.iter().filter(|byte| byte.is_ascii_digit()).count() >= 3
    })
}

/// What the bytes 0x80 to 0x9f are where somebody took them for Windows' letters.
const WINDOWS: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";

/// Question marks for letters, the replacement character, or UTF-8 that was read as Latin-1.
pub fn is_broken(text: &[u8]) -> bool {
    if text.is_ascii() {
        return text.len() >= 2
            && memchr::memmem::find(text, b"??").is_some()
            && !text.iter().any(u8::is_ascii_alphabetic);
    }
    let Ok(text) = std::str::from_utf8(text) else { return true };
    let next = text.chars().skip(1);
    text.contains('\u{fffd}')
        || text
            .chars()
            .zip(next)
            .any(|(a, b)| matches!(a, 'Ã' | 'Â' | 'â') && (matches!(b, '\u{80}'..='\u{bf}') || WINDOWS.contains(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_identifies_is_found() {
        for text in ["write to ann.b+c@mail.example.org", "ann@exämple.co", "[\"a\",\"b@c.de\"]"] {
            assert_eq!(identifying(text.as_bytes()), Some(Identifying::Mail), "{text}");
        }
        for text in ["call (434) 555-0123 now", "+49 170 1234567", "4345550123", "tel. 434.555.0123"] {
            assert_eq!(identifying(text.as_bytes()), Some(Identifying::Telephone), "{text}");
        }
        for text in ["my gift, order #12345-678", "orderId: A1B2C3D4", "Order number 998812"] {
            assert_eq!(identifying(text.as_bytes()), Some(Identifying::Order), "{text}");
        }
    }

    #[test]
    fn what_does_not_is_left_alone() {
        for text in [
            "",
            "home @ work",
            "@home.",
            "2015-08-25 08:54:35",
            "I tried 3 times in 2015, 2016 and 2017",
            "in order 1 2 3",
            "abc12345678901def",
            "1,2,3,4,5,6,7,8,9,10,11,12",
            "a@b",
        ] {
            assert_eq!(identifying(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn broken_texts_are_known() {
        for text in ["????", "??", "Ã‰tudiant\u{a0}", "Ã©", "\u{fffd}tudiant"] {
            assert!(is_broken(text.as_bytes()), "{text}");
        }
        for text in ["", "?", "Étudiant", "Female", "what??", "Ã"] {
            assert!(!is_broken(text.as_bytes()), "{text}");
        }
        assert!(is_broken(&[0xff, 0x41]));
    }
}

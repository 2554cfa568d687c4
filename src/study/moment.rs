//! Dates as entries write them: RFC 2822, ISO 8601 with or without zone, epoch milliseconds. Nothing else is guessed.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, TimeZone, Utc};

/// The server prints dates at this fixed offset all year, in seconds; a date without zone is taken to be one of them.
const SERVER_OFFSET: i32 = -5 * 3600;

/// A moment, with the offset it was written in.
#[must_use]
pub fn parse(text: &str) -> Option<DateTime<FixedOffset>> {
    let text = text.trim();
    let zone = FixedOffset::east_opt(SERVER_OFFSET)?;
    if text.len() >= 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Utc.timestamp_millis_opt(text.parse().ok()?).single().map(|moment| moment.with_timezone(&zone));
    }
    if let Ok(moment) = DateTime::parse_from_rfc2822(text).or_else(|_| DateTime::parse_from_rfc3339(text)) {
        return Some(moment);
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z"] {
        if let Ok(moment) = DateTime::parse_from_str(text, format) {
            return Some(moment);
        }
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(moment) = NaiveDateTime::parse_from_str(text, format) {
            return zone.from_local_datetime(&moment).single();
        }
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?;
    zone.from_local_datetime(&day).single()
}

/// Columns that may hold the moment of an entry, the first that is there counts.
pub const COLUMNS: &[&str] = &["date", "dateCompleted", "dateSent", "dateCreated", "datetime"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_three_eras_are_one_moment() {
        let expected = parse("Tue, 25 Aug 2015 08:54:35 -0500").unwrap();
        for text in ["1440510875000", "2015-08-25T13:54:35Z", "2015-08-25T08:54:35.000-0500", "2015-08-25 08:54:35"] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "25/08/2015", "17"] {
            assert_eq!(parse(text), None);
        }
    }
}

//! Dates as entries write them: RFC 2822, ISO 8601 with or without zone, epoch milliseconds. Nothing else is guessed.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, TimeZone, Utc};

/// The server prints dates at this fixed offset all year, in seconds; a date without zone is taken to be one of them.
const SERVER_OFFSET: i32 = -5 * 3600;

/// A moment, with the offset it was written in.
pub fn parse(text: &str) -> Option<DateTime<FixedOffset>> {
    if let Some((seconds, offset)) = usual(text.as_bytes(), &mut CachedDay::default()) {
        let moment = DateTime::from_timestamp(seconds, 0)?;
        return Some(moment.with_timezone(&FixedOffset::east_opt(offset)?));
    }
    parse_any(text)
}

/// A moment in milliseconds since 1970.
pub fn millis(text: &str) -> Option<i64> {
    Moment::read(text.as_bytes()).map(|moment| moment.millis)
}

/// A moment as two numbers: tables have millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub millis: i64,
    /// Seconds east of Greenwich where it was written.
    offset: i32,
}

impl Moment {
    pub fn read(text: &[u8]) -> Option<Self> {
        Moments::default().read(text)
    }

    fn parse(text: &[u8], day: &mut CachedDay) -> Option<Self> {
        if let Some((seconds, offset)) = usual(text, day) {
            return Some(Self { millis: seconds * 1000, offset });
        }
        let moment = parse_any(std::str::from_utf8(text).ok()?)?;
        Some(Self { millis: moment.timestamp_millis(), offset: moment.offset().local_minus_utc() })
    }

    /// Where it was written, the days since 1970.
    pub fn day(self) -> i64 {
        (self.millis + i64::from(self.offset) * 1000).div_euclid(86_400_000)
    }

    /// Where it was written, the date.
    pub fn date(self) -> NaiveDate {
        day_of(self.day() * 86_400_000)
    }

    pub fn with_offset(self) -> Option<DateTime<FixedOffset>> {
        Some(DateTime::from_timestamp_millis(self.millis)?.with_timezone(&FixedOffset::east_opt(self.offset)?))
    }
}

/// The dates of a table, one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moments(CachedDay);

impl Moments {
    pub fn read(&mut self, text: &[u8]) -> Option<Moment> {
        Moment::parse(text, &mut self.0)
    }
}

const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
const WEEKDAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";

/// The form that nearly all entries have, `Tue, 25 Aug 2015 08:54:35 -0500`, in seconds since 1970 and seconds of
/// offset. Dates are parsed for every row of every table, so this is fifteen times faster than the general way.
fn usual(text: &[u8], day: &mut CachedDay) -> Option<(i64, i32)> {
    // A day of the month may have one digit.
    let at = if *text.get(6)? == b' ' { 6 } else { 7 };
    let (date, clock) = text.split_at_checked(at + 9)?;
    let clock: &[u8; 15] = clock.try_into().ok()?;
    if [clock[0], clock[3], clock[6], clock[9]] != *b" :: " {
        return None;
    }
    let pair = |at: usize| {
        let (ten, one) = (clock[at].wrapping_sub(b'0'), clock[at + 1].wrapping_sub(b'0'));
        (ten < 10 && one < 10).then(|| i64::from(ten) * 10 + i64::from(one))
    };
    let (hour, minute, second, zone_hour, zone_minute) = (pair(1)?, pair(4)?, pair(7)?, pair(11)?, pair(13)?);
    if hour > 23 || minute > 59 || second > 59 || zone_hour > 23 || zone_minute > 59 {
        return None;
    }
    let sign = match clock[10] {
        b'-' => -1,
        b'+' => 1,
        _ => return None,
    };
    let offset = sign * (zone_hour * 3600 + zone_minute * 60);
    let days = day.read(date)?;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second - offset, i32::try_from(offset).ok()?))
}

/// The last day that was read: entries follow each other, and most are of the same day as the one before.
#[derive(Debug, Clone, Copy, Default)]
struct CachedDay {
    text: [u8; 16],
    length: usize,
    /// Since 1970.
    days: i64,
}

impl CachedDay {
    /// `Tue, 25 Aug 2015` in days since 1970.
    fn read(&mut self, date: &[u8]) -> Option<i64> {
        if self.length == 0 || self.text[..self.length] != *date {
            let days = days(date)?;
            self.text[..date.len()].copy_from_slice(date);
            (self.length, self.days) = (date.len(), days);
        }
        Some(self.days)
    }
}

/// `Tue, 25 Aug 2015` or `Sat, 1 Aug 2015` in days since 1970.
fn days(date: &[u8]) -> Option<i64> {
    let (weekday, rest) = date.split_first_chunk::<3>()?;
    let (day, rest) = match rest {
        [b',', b' ', one, b' ', rest @ ..] => ([b'0', *one], rest),
        [b',', b' ', ten, one, b' ', rest @ ..] => ([*ten, *one], rest),
        _ => return None,
    };
    let [m1, m2, m3, b' ', year @ ..] = rest else { return None };
    let year: &[u8; 4] = year.try_into().ok()?;
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let month = MONTHS.chunks_exact(3).position(|month| month == [*m1, *m2, *m3])?;
    let month = i64::try_from(month).ok()? + 1;
    let (day, year) = (number(&day)?, number(year)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let days = days_since_1970(year, month, day);
    let named = usize::try_from(days.rem_euclid(7)).ok()? * 3;
    ((1..=length).contains(&day) && *weekday == WEEKDAYS[named..named + 3]).then_some(days)
}

/// The proleptic Gregorian calendar in years that begin in March, so that the leap day is their last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn parse_any(text: &str) -> Option<DateTime<FixedOffset>> {
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
pub const COLUMNS: &[&str] = &["date", "dateCompleted", "dateSent", "dateCreated", "datetime", "lastSessionDate"];

/// The day of a moment, for counting.
pub fn day_of(millis: i64) -> NaiveDate {
    DateTime::from_timestamp_millis(millis).map(|moment| moment.date_naive()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_usual_form_is_what_chrono_makes_of_it(seconds in -2_000_000_000_i64..40_000_000_000, zone in -14_i32..15, half in any::<bool>()) {
            let zone = FixedOffset::east_opt(zone * 3600 + i32::from(half) * 1800).unwrap();
            let moment = DateTime::from_timestamp(seconds, 0).unwrap().with_timezone(&zone);
            let text = moment.to_rfc2822();
            prop_assert_eq!(parse(&text), Some(moment));
            prop_assert_eq!(usual(text.as_bytes(), &mut CachedDay::default()).map(|(seconds, _)| seconds), Some(seconds));
            prop_assert_eq!(millis(&text), Some(seconds * 1000));
            let read = Moment::read(text.as_bytes()).unwrap();
            prop_assert_eq!((read.with_offset(), read.date()), (Some(moment), moment.date_naive()));
        }

        #[test]
        fn what_is_no_date_is_none(text in "[A-Z][a-z]{2}, [0-3]?[0-9] [A-Z][a-z]{2} [0-9]{4} [0-2][0-9]:[0-6][0-9]:[0-6][0-9] [+-][0-9]{4}") {
            if let Some((seconds, _)) = usual(text.as_bytes(), &mut CachedDay::default()) {
                prop_assert_eq!(parse_any(&text).map(|moment| moment.timestamp()), Some(seconds));
            }
        }
    }

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

//! Names in the pool: which scale and day a file belongs to, in mtdata's own form and in those of the first generation.

use std::path::{Path, PathBuf};

use chrono::{NaiveDate, NaiveTime};

use crate::study::name::ScaleName;

/// The folders of one server in the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFolder(PathBuf);

impl ServerFolder {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn raw(&self) -> PathBuf {
        self.0.join("raw_data")
    }

    pub fn active(&self) -> PathBuf {
        self.0.join("active_data")
    }

    pub fn quarantine(&self) -> PathBuf {
        self.0.join("quarantine")
    }

    /// Bodies that were not what they should be.
    pub fn answers(&self) -> PathBuf {
        self.0.join("quarantine/answers")
    }

    pub fn combined(&self) -> PathBuf {
        self.0.join("combined")
    }

    pub fn scored(&self) -> PathBuf {
        self.0.join("scored")
    }

    pub fn wide(&self) -> PathBuf {
        self.0.join("wide")
    }

    pub fn reports(&self) -> PathBuf {
        self.0.join("reports")
    }

    /// Copies of `GET study`.
    pub fn study(&self) -> PathBuf {
        self.0.join("study")
    }

    /// Remembered plaintext of encrypted values, one file per raw file; rebuildable.
    pub fn plain(&self) -> PathBuf {
        self.0.join(".plain")
    }

    /// What is archived under which content; rebuildable from the raw files.
    pub fn index(&self) -> PathBuf {
        self.0.join(".archive")
    }

    pub fn deletions(&self) -> PathBuf {
        self.0.join("deletions.jsonl")
    }

    /// What became of each answer.
    pub fn receipts(&self) -> PathBuf {
        self.0.join("receipts.jsonl")
    }
}

/// How dates are written in file names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DateStyle {
    /// `2026-11-23`, and `08-54-35` for times.
    #[default]
    Iso,
    /// A strftime pattern such as `%b_%d_%Y`, as the first generation wrote; times as `08_54_35`.
    Pattern(String),
}

impl DateStyle {
    pub fn date(&self, date: NaiveDate) -> String {
        match self {
            Self::Iso => date.to_string(),
            Self::Pattern(pattern) => date.format(pattern).to_string(),
        }
    }

    /// `<Scale>_<date>.csv`.
    pub fn table(&self, scale: &ScaleName, date: NaiveDate) -> String {
        format!("{scale}_{}.csv", self.date(date))
    }

    /// `<Scale>_<date>_<time>[-N].json`; `repeat` counts from 0 for files of the same second.
    pub fn raw(&self, scale: &ScaleName, date: NaiveDate, time: NaiveTime, repeat: u32) -> String {
        let time = match self {
            Self::Iso => time.format("%H-%M-%S"),
            Self::Pattern(_) => time.format("%H_%M_%S"),
        };
        let date = self.date(date);
        match repeat {
            0 => format!("{scale}_{date}_{time}.json"),
            n => format!("{scale}_{date}_{time}-{n}.json"),
        }
    }
}

/// What the name of a dated file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated<'n> {
    pub scale: &'n str,
    pub date: NaiveDate,
    /// Absent in daily files.
    pub time: Option<NaiveTime>,
    /// The `N` of `-N`, 0 without.
    pub repeat: u32,
}

/// Reads the name of a raw file: `OA_2026-11-23_08-54-35-1.json`, `OA_Aug_25_2015_08_54_35.json`, `OA_29_10_2015.json`.
/// `None` for anything else: derived (`*_recovered_*`), foreign and temporary files.
pub fn raw_name(name: &str) -> Option<Dated<'_>> {
    let stem = dated_stem(name, ".json")?;
    timed(stem).or_else(|| {
        let (scale, date) = date_at_end(stem)?;
        Some(Dated { scale, date, time: None, repeat: 0 })
    })
}

/// Reads the name of an active or quarantine table: `OA_2026-11-23.csv`, `OA_Aug_25_2015.csv`, `OA_29_10_2015.csv`.
pub fn table_name(name: &str) -> Option<Dated<'_>> {
    let (scale, date) = date_at_end(dated_stem(name, ".csv")?)?;
    Some(Dated { scale, date, time: None, repeat: 0 })
}

fn dated_stem<'n>(name: &'n str, suffix: &str) -> Option<&'n str> {
    let stem = name.strip_suffix(suffix)?;
    (!stem.starts_with('.') && !stem.contains("_recovered")).then_some(stem)
}

/// A stem that ends in date and time.
fn timed(stem: &str) -> Option<Dated<'_>> {
    // 08-54-35 or 08-54-35-12; the separator before it is always `_`.
    let (rest, last) = stem.rsplit_once('_')?;
    if last.len() >= 8 && last.as_bytes()[2] == b'-' {
        let repeat = match last.get(8..)? {
            "" => 0,
            tail => number(tail.strip_prefix('-')?, 1, 9)?,
        };
        let time = clock(&last[..8], '-')?;
        let (scale, date) = date_at_end(rest)?;
        return Some(Dated { scale, date, time: Some(time), repeat });
    }
    // First generation: 08_54_35, with -N when mtdata itself writes that form.
    let (seconds, repeat) = match last.split_once('-') {
        Some((seconds, tail)) => (seconds, number(tail, 1, 9)?),
        None => (last, 0),
    };
    let start = stem.len() - last.len();
    let from = start.checked_sub(6)?;
    let clock_text = stem.get(from..start + seconds.len())?;
    let time = clock(clock_text, '_')?;
    let rest = stem.get(..from)?.strip_suffix('_')?;
    let (scale, date) = date_at_end(rest)?;
    Some(Dated { scale, date, time: Some(time), repeat })
}

fn clock(text: &str, separator: char) -> Option<NaiveTime> {
    let bytes = text.as_bytes();
    if bytes.len() != 8 || bytes[2] != separator as u8 || bytes[5] != separator as u8 {
        return None;
    }
    NaiveTime::from_hms_opt(
        number(text.get(..2)?, 2, 2)?,
        number(text.get(3..5)?, 2, 2)?,
        number(text.get(6..)?, 2, 2)?,
    )
}

/// Splits `OA_2026-11-23` into scale and date, whichever of the three forms the date has.
fn date_at_end(stem: &str) -> Option<(&str, NaiveDate)> {
    let (rest, last) = stem.rsplit_once('_')?;
    if last.len() == 10 {
        let bytes = last.as_bytes();
        if bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let date = NaiveDate::from_ymd_opt(
            number(last.get(..4)?, 4, 4)?.cast_signed(),
            number(last.get(5..7)?, 2, 2)?,
            number(last.get(8..)?, 2, 2)?,
        )?;
        return named(rest, date);
    }
    let year = number(last, 4, 4)?.cast_signed();
    let (rest, middle) = rest.rsplit_once('_')?;
    let (rest, first) = rest.rsplit_once('_')?;
    let date = match month(first) {
        // Aug_25_2015
        Some(month) => NaiveDate::from_ymd_opt(year, month, number(middle, 1, 2)?)?,
        // 29_10_2015: day first
        None => NaiveDate::from_ymd_opt(year, number(middle, 1, 2)?, number(first, 1, 2)?)?,
    };
    named(rest, date)
}

fn named(scale: &str, date: NaiveDate) -> Option<(&str, NaiveDate)> {
    (!scale.is_empty()).then_some((scale, date))
}

fn month(text: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    if text.len() != 3 {
        return None;
    }
    let place = MONTHS.iter().position(|month| text.eq_ignore_ascii_case(month))?;
    u32::try_from(place + 1).ok()
}

fn number(text: &str, least: usize, most: usize) -> Option<u32> {
    ((least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).unwrap()
    }

    #[test]
    fn every_form_of_raw_name_is_read() {
        let time = NaiveTime::from_hms_opt(8, 54, 35);
        let cases = [
            ("OA_2026-11-23_08-54-35.json", "OA", day(2026, 11, 23), time, 0),
            ("DASS21_AS_2026-11-23_08-54-35-12.json", "DASS21_AS", day(2026, 11, 23), time, 12),
            ("OA_Aug_25_2015_08_54_35.json", "OA", day(2015, 8, 25), time, 0),
            ("DD_FU_Aug_25_2015_08_54_35-2.json", "DD_FU", day(2015, 8, 25), time, 2),
            ("OA_29_10_2015_08_54_35.json", "OA", day(2015, 10, 29), time, 0),
            ("OA_29_10_2015.json", "OA", day(2015, 10, 29), None, 0),
            ("OA_Aug_25_2015.json", "OA", day(2015, 8, 25), None, 0),
            ("OA_2015-08-25.json", "OA", day(2015, 8, 25), None, 0),
        ];
        for (name, scale, date, time, repeat) in cases {
            assert_eq!(raw_name(name), Some(Dated { scale, date, time, repeat }), "{name}");
        }
    }

    #[test]
    fn other_files_are_not_taken_for_raw_files() {
        for name in [
            "benchMark.json",
            "OA.json",
            "_2026-11-23_08-54-35.json",
            "OA_recovered_2026-11-23_08-54-35.json",
            ".mtdata-tmp-1-0-OA_2026-11-23_08-54-35.json",
            "OA_2026-13-23_08-54-35.json",
            "OA_2026-11-23_28-54-35.json",
            "OA_2026-11-23_08-54-35-.json",
            "OA_2026-11-23.csv",
            "é_é.json",
        ] {
            assert_eq!(raw_name(name), None, "{name}");
        }
    }

    #[test]
    fn written_names_are_read_back() {
        let scale = ScaleName::new("DASS21_AS").unwrap();
        let time = NaiveTime::from_hms_opt(23, 59, 1).unwrap();
        for style in [DateStyle::Iso, DateStyle::Pattern("%b_%d_%Y".into())] {
            let name = style.raw(&scale, day(2026, 1, 2), time, 3);
            let read = raw_name(&name).unwrap();
            assert_eq!((read.scale, read.date, read.time, read.repeat), ("DASS21_AS", day(2026, 1, 2), Some(time), 3));
            let table = style.table(&scale, day(2026, 1, 2));
            assert_eq!(table_name(&table).unwrap().date, day(2026, 1, 2));
        }
    }
}

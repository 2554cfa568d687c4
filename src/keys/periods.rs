//! Which key opened the values of which days, as the memory of opened values has it.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use chrono::NaiveDate;
use rayon::prelude::*;
use serde::Serialize;

use crate::keys::remembered::opened_by;
use crate::pool::paths::{ServerFolder, raw_name};

/// What one key opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeyPeriod {
    pub values: u64,
    /// Of the raw files: when the answers arrived.
    pub first: NaiveDate,
    pub last: NaiveDate,
}

impl KeyPeriod {
    fn with(self, other: Self) -> Self {
        Self { values: self.values + other.values, first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// By fingerprint.
pub type Periods = BTreeMap<String, KeyPeriod>;

/// Looks through all that was opened of a server, keys that are gone included.
///
/// # Errors
/// Whatever the file system says; nothing opened yet is no error.
pub fn look(folder: &ServerFolder) -> io::Result<Periods> {
    let files = match fs::read_dir(folder.plain()) {
        Ok(files) => files.collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Periods::new()),
        Err(error) => return Err(error),
    };
    let one = |file: fs::DirEntry| -> io::Result<Periods> {
        let name = file.file_name().to_string_lossy().into_owned();
        let Some(dated) = name.strip_suffix(".plain").and_then(raw_name) else { return Ok(Periods::new()) };
        let period = |(key, values)| (key, KeyPeriod { values, first: dated.date, last: dated.date });
        Ok(opened_by(fs::read(file.path())?).into_iter().map(period).collect())
    };
    files.into_par_iter().map(one).try_reduce(Periods::new, |mut all, more| {
        for (key, period) in more {
            all.entry(key).and_modify(|known| *known = known.with(period)).or_insert(period);
        }
        Ok(all)
    })
}

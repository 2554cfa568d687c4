//! Participants that no key opened: decode leaves their cells empty and keeps them in quarantine, and without a look there
//! they could not be told from entries of an era that encrypted nothing.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::failure::Failure;
use crate::keys::ring;
use crate::study::checks::cells::Undecrypted;
use crate::study::scale::PARTICIPANT;
use crate::table::file::TableReader;
use crate::task::Work;

/// By entry: which columns, and why.
#[derive(Debug, Default)]
pub struct ClosedParticipants(BTreeMap<i64, Vec<(usize, Undecrypted)>>);

impl ClosedParticipants {
    /// Reads the quarantine tables of all days; `header` is the combined table's.
    pub fn read(work: &Work<'_>, header: &[String]) -> Result<Self, Failure> {
        let mut closed = Self::default();
        for path in work.inputs_in("quarantine").filter(|path| path.exists()) {
            let failed =
                |error: csv::Error| Failure::new(Code::Read, format!("cannot read {}: {error}", path.display()));
            let mut table = TableReader::open(&path).map_err(failed)?;
            let [id, column, reason] = ["id", "column", "reason"].map(|name| table.column(name));
            let mut record = csv::StringRecord::new();
            while table.next(&mut record).map_err(failed)? {
                let cell = |at: Option<usize>| at.and_then(|at| record.get(at)).unwrap_or_default();
                let (Ok(id), column) = (cell(id).parse::<i64>(), cell(column)) else { continue };
                let why = match cell(reason) {
                    said if said == ring::DecryptFailure::NoKey.word() => Undecrypted::Ciphertext,
                    _ => Undecrypted::Garbage,
                };
                if let Ok(at) = header.binary_search_by(|name| name.as_str().cmp(column))
                    && PARTICIPANT.contains(&column)
                {
                    closed.0.entry(id).or_default().push((at, why));
                }
            }
        }
        Ok(closed)
    }

    /// Of one entry.
    pub fn of(&self, id: i64) -> &[(usize, Undecrypted)] {
        self.0.get(&id).map_or(&[], Vec::as_slice)
    }
}

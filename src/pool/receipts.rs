//! receipts.jsonl: what became of each answer of the server, so that the report can close its books: entries listed,
//! received, stored, held already, and left to be deleted. Only ever appended to; no export decides anything by it.

use std::io;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::disk::append_log;
use crate::pool::paths::ServerFolder;

/// One answer, in entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// When it was dealt with (UTC).
    pub at: String,
    /// The day on which it came, where the study is: as in the names of raw files.
    pub day: NaiveDate,
    pub scale: String,
    /// The raw file that was made of it; none when nothing was new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// In the table, by the listing.
    pub listed: u64,
    /// Listed but not sent although the whole table was asked for.
    pub not_sent: u64,
    pub received: u64,
    pub stored: u64,
    pub already_held: u64,
    /// Exact repeats within the answer.
    pub repeated: u64,
    /// To be deleted on the server, and not known to be gone.
    pub pending: u64,
}

impl Receipt {
    /// Every entry that came is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.received == self.stored + self.already_held + self.repeated
    }
}

/// Adds a receipt. It is not synced: what a crash takes of it shows in the ledger as entries that no answer accounts
/// for.
pub fn append(folder: &ServerFolder, receipt: &Receipt) -> io::Result<()> {
    append_log::append_line(&folder.receipts(), receipt)
}

/// Calls `use_receipt` with each receipt that can be read, in the order in which they came.
pub fn each(folder: &ServerFolder, mut use_receipt: impl FnMut(Receipt)) -> io::Result<()> {
    append_log::each_line(&folder.receipts(), 0, |line| {
        if let Ok(receipt) = serde_json::from_slice(line) {
            use_receipt(receipt);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(scale: &str, stored: u64) -> Receipt {
        let day = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        Receipt { day, scale: scale.to_owned(), received: stored, stored, ..Receipt::default() }
    }

    fn all(folder: &ServerFolder) -> Vec<Receipt> {
        let mut all = Vec::new();
        each(folder, |receipt| all.push(receipt)).unwrap();
        all
    }

    #[test]
    fn a_line_that_a_crash_left_half_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path().join("calm"));
        assert_eq!(all(&server), []);
        append(&server, &receipt("OA", 1)).unwrap();
        let whole = std::fs::read(server.receipts()).unwrap();
        for cut in 1..whole.len() {
            std::fs::write(server.receipts(), &whole[..cut]).unwrap();
            append(&server, &receipt("RR", 2)).unwrap();
            assert_eq!(all(&server).last(), Some(&receipt("RR", 2)), "cut at {cut}");
        }
    }

    #[test]
    fn receipts_that_come_side_by_side_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        std::thread::scope(|scope| {
            for stored in 0..8 {
                let server = &server;
                scope.spawn(move || append(server, &receipt("OA", stored)).unwrap());
            }
        });
        let mut found: Vec<u64> = all(&server).iter().map(|receipt| receipt.stored).collect();
        found.sort_unstable();
        assert_eq!(found, (0..8).collect::<Vec<_>>());
    }
}

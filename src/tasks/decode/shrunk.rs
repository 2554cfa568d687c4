//! A table that would lose entries is kept: when a raw file is gone, the old table may be the last place they stand.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::code::Code;
use crate::disk::atomic;
use crate::table::file;
use crate::task::Warning;

/// Keeps the table at `active` beside its place as `<Scale>_recovered_<date>.csv` when it has ids that are not among
/// the sorted `ids`. Such copies are nobody's input.
pub fn keep(active: &Path, ids: &[i64]) -> io::Result<Option<Warning>> {
    let Ok(old) = file::entry_ids(active) else { return Ok(None) };
    let lost: BTreeSet<i64> = old.into_iter().filter(|id| ids.binary_search(id).is_err()).collect();
    let Some(first) = lost.first() else { return Ok(None) };
    let copy = copy_name(active);
    // An older copy that has all of these stays.
    let kept: BTreeSet<i64> = file::entry_ids(&copy).unwrap_or_default().into_iter().collect();
    if !lost.is_subset(&kept) {
        atomic::write(&copy, atomic::PRIVATE, &std::fs::read(active)?)?;
    }
    let message = format!(
        "{} entries, id {first} first, stood in {} and are in no raw file of that day any more; the table as it was is \
         kept as {}; `mtdata recover` says what is lost; restore the raw file from a backup",
        lost.len(),
        active.display(),
        copy.display()
    );
    Ok(Some(Warning::new(Code::EntriesGone, message)))
}

/// `OA_recovered_2026-11-23.csv` for `OA_2026-11-23.csv`.
fn copy_name(active: &Path) -> PathBuf {
    let name = active.file_name().unwrap_or_default().to_string_lossy();
    let scale = crate::pool::paths::table_name(&name).map(|dated| dated.scale.len()).unwrap_or_default();
    let (scale, rest) = name.split_at(scale);
    active.with_file_name(format!("{scale}_recovered{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_copy_of_an_entry_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let active = folder.path().join("DD_FU_2026-11-23.csv");
        let copy = folder.path().join("DD_FU_recovered_2026-11-23.csv");
        assert!(keep(&active, &[1]).unwrap().is_none());
        std::fs::write(&active, "a,id\nx,2\ny,1\ny,1\n").unwrap();
        assert!(keep(&active, &[1, 2, 3]).unwrap().is_none());
        assert!(!copy.exists());
        let warning = keep(&active, &[2]).unwrap().unwrap();
        assert!(warning.critical && warning.message.contains("1 entries, id 1 first"));
        assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&active).unwrap());
        // A smaller table later does not take the copy away.
        std::fs::write(&active, "id\n2\n").unwrap();
        std::fs::write(&copy, "id\n1\n2\n").unwrap();
        assert!(keep(&active, &[]).unwrap().is_some());
        assert_eq!(std::fs::read_to_string(&copy).unwrap(), "id\n1\n2\n");
    }
}

//! The raw archive held against every record of it: the index of each scale, the ledger of deletions, and what runs read.
//!
//! A raw file never changes, so the first record of it says what it has to be. Every byte is read; nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use chrono::NaiveDate;
use rayon::prelude::*;

use crate::pool::benchmark;
use crate::pool::history::History;
use crate::pool::identity::{Identities, Identity, NO_ID};
use crate::pool::ledger;
use crate::pool::paths::{ServerFolder, raw_name};
use crate::pool::raw_file::read_back;
use crate::study::name::ScaleName;

/// Hashes of raw files that others than the archive recorded, by name.
pub type Witness = BTreeMap<String, [u8; 32]>;

/// What was found of a server's raw archive.
#[derive(Debug)]
pub struct Audit {
    pub scales: BTreeMap<ScaleName, ScaleAudit>,
    /// What stands in raw_data and is none of it.
    pub foreign: Vec<String>,
    /// Lines of deletions.jsonl that cannot be read.
    pub ledger_lines: Vec<usize>,
}

/// What was found of one scale.
#[derive(Debug)]
pub struct ScaleAudit {
    /// Raw files that are there, the oldest first.
    pub files: Vec<FileAudit>,
    /// Recorded raw files that are not there.
    pub missing: Vec<String>,
    /// Different entries in these files.
    pub entries: usize,
    /// Recorded entries that no raw file has.
    pub lost: Vec<Lost>,
    pub index: IndexState,
}

/// What became of a scale's own record of its raw files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexState {
    Whole,
    /// As before the first export or adoption.
    None,
    Damaged,
}

/// One raw file that is there.
#[derive(Debug)]
pub struct FileAudit {
    pub name: String,
    pub date: NaiveDate,
    /// Whole entries.
    pub entries: u64,
    /// None when it cannot be read.
    pub hash: Option<[u8; 32]>,
    pub standing: Standing,
    pub harm: Option<Harm>,
}

/// A raw file against its first record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    AsRecorded,
    Unrecorded,
    /// The hash that was recorded.
    Changed([u8; 32]),
    Unreadable(String),
}

/// What of a raw file is no entry.
#[derive(Debug)]
pub struct Harm {
    /// What is wrong first, and where.
    pub why: String,
    pub places: u64,
    /// Bytes that belong to no whole entry.
    pub bytes: u64,
}

/// An entry that was archived and is not any more.
#[derive(Debug, Clone)]
pub struct Lost {
    /// None for entries of old raw files that had none.
    pub id: Option<i64>,
    /// The raw file it stood in, when that was recorded.
    pub file: Option<String>,
    /// It was seen to be gone from the server, too.
    pub deleted: bool,
    /// The archive has another content of this id.
    pub other: bool,
}

impl Audit {
    /// Reads all raw files of a server, or those of one scale. `witness`: hashes that runs recorded.
    ///
    /// # Errors
    /// Whatever the file system says, except that a raw file cannot be read: that is a finding.
    pub fn of(folder: &ServerFolder, only: Option<&ScaleName>, witness: &Witness) -> io::Result<Self> {
        let (mut named, foreign) = list(&folder.raw())?;
        let known = witness.keys().filter_map(|name| ScaleName::new(raw_name(name)?.scale).ok());
        for scale in History::scales(folder)?.into_iter().chain(ledger::scales(folder)?).chain(known) {
            named.entry(scale).or_default();
        }
        named.retain(|scale, _| only.is_none_or(|only| only == scale));
        let scales = named
            .into_par_iter()
            .map(|(scale, files)| ScaleAudit::of(folder, &scale, &files, witness).map(|audit| (scale, audit)))
            .collect::<io::Result<_>>()?;
        let ledger_lines = ledger::unreadable_lines(folder)?;
        Ok(Self { scales, foreign, ledger_lines })
    }
}

impl ScaleAudit {
    fn of(folder: &ServerFolder, scale: &ScaleName, names: &BTreeSet<String>, witness: &Witness) -> io::Result<Self> {
        let history = History::read(folder, scale)?;
        let recorded = history.first();
        let known = |name: &str| recorded.get(name).map(|record| &record.hash).or_else(|| witness.get(name));
        let mut present = Identities::default();
        let mut files = Vec::new();
        for name in names {
            files.extend(FileAudit::of(&folder.raw(), name, known(name), &mut present));
        }
        files.sort_by(|a, b| (a.date, &a.name).cmp(&(b.date, &b.name)));
        let mut present = present.finish();
        present.sort_unstable();
        present.dedup();
        let own = |name: &&str| raw_name(name).is_some_and(|dated| dated.scale == scale.as_str());
        let missing: BTreeSet<&str> = recorded
            .keys()
            .copied()
            .chain(witness.keys().map(String::as_str).filter(own))
            .filter(|name| !names.contains(*name))
            .collect();
        let index = match (history.found, history.whole) {
            (false, _) => IndexState::None,
            (true, true) => IndexState::Whole,
            (true, false) => IndexState::Damaged,
        };
        let missing = missing.into_iter().map(str::to_owned).collect();
        let lost = lost(folder, scale, &history, &present)?;
        Ok(Self { files, missing, entries: present.len(), lost, index })
    }
}

impl FileAudit {
    /// `None` when the name says that it is no raw file.
    fn of(folder: &Path, name: &str, recorded: Option<&[u8; 32]>, present: &mut Identities) -> Option<Self> {
        let date = raw_name(name)?.date;
        let mut entries = 0;
        let reading = read_back(&folder.join(name), |id, bytes| {
            entries += 1;
            present.add(id, bytes);
        });
        let (hash, standing, harm) = match reading {
            Err(error) => (None, Standing::Unreadable(error.to_string()), None),
            Ok(reading) => {
                let found = *reading.hash.as_bytes();
                let standing = match recorded {
                    None => Standing::Unrecorded,
                    Some(recorded) if *recorded == found => Standing::AsRecorded,
                    Some(recorded) => Standing::Changed(*recorded),
                };
                let broken = reading.result.err();
                let harm = broken.map(|why| Harm { why: why.to_string(), places: reading.places, bytes: reading.lost });
                (Some(found), standing, harm)
            }
        };
        Some(Self { name: name.to_owned(), date, entries, hash, standing, harm })
    }
}

/// Names of raw files by scale.
type Named = BTreeMap<ScaleName, BTreeSet<String>>;

/// Raw files, and the names that are none.
fn list(raw: &Path) -> io::Result<(Named, Vec<String>)> {
    let (mut named, mut foreign) = (Named::new(), Vec::new());
    let entries = match fs::read_dir(raw) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((named, foreign)),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let scale = raw_name(&name).and_then(|dated| ScaleName::new(dated.scale).ok());
        match scale.filter(|_| entry.path().is_file()) {
            Some(scale) => drop(named.entry(scale).or_default().insert(name)),
            // Derived from raw files by a former recovery, or the desktop's, or a run's own that has not its name yet.
            None if name.contains("_recovered") || name.starts_with('.') => {}
            None if name == benchmark::NAME => {}
            None => foreign.push(name),
        }
    }
    foreign.sort_unstable();
    Ok((named, foreign))
}

/// Entries that were archived once and are not among the sorted present ones.
fn lost(folder: &ServerFolder, scale: &ScaleName, history: &History, present: &[Identity]) -> io::Result<Vec<Lost>> {
    let deleted = ledger::archived(folder, scale)?;
    let mut all: BTreeMap<Identity, Option<String>> = BTreeMap::new();
    history.each(|name, identity| {
        if present.binary_search(&identity).is_err() {
            all.entry(identity).or_insert_with(|| Some(name.to_owned()));
        }
    })?;
    for identity in deleted.keys().filter(|identity| present.binary_search(identity).is_err()) {
        all.entry(*identity).or_default();
    }
    let other =
        |id: i64| id != NO_ID && present.get(present.partition_point(|p| p.id < id)).is_some_and(|p| p.id == id);
    let one = |(identity, file): (Identity, Option<String>)| Lost {
        id: (identity.id != NO_ID).then_some(identity.id),
        file,
        deleted: deleted.get(&identity).copied().unwrap_or_default(),
        other: other(identity.id),
    };
    Ok(all.into_iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::index::Index;

    struct Pool {
        _folder: tempfile::TempDir,
        server: ServerFolder,
    }

    impl Pool {
        /// Three files of OA, recorded.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let pool = Self { server: ServerFolder::new(folder.path()), _folder: folder };
            fs::create_dir_all(pool.server.raw()).unwrap();
            pool.put("OA_Aug_25_2015_08_54_35.json", r#"[{"id":1,"a":"x"},{"id":2}]"#);
            pool.put("OA_2026-11-23_08-00-00.json", r#"[{"id":3},{"id":4}]"#);
            pool.put("OA_2026-11-24_08-00-00.json", r#"[{"id":4}]"#);
            Index::open(&pool.server, &ScaleName::new("OA").unwrap()).unwrap();
            pool
        }

        fn put(&self, name: &str, text: &str) {
            fs::write(self.server.raw().join(name), text).unwrap();
        }

        fn audit(&self) -> Audit {
            Audit::of(&self.server, None, &Witness::new()).unwrap()
        }
    }

    fn changed(scale: &ScaleAudit) -> impl Iterator<Item = &str> {
        let changed = |file: &&FileAudit| matches!(file.standing, Standing::Changed(_));
        scale.files.iter().filter(changed).map(|file| file.name.as_str())
    }

    #[test]
    fn an_untouched_archive_differs_in_nothing() {
        let pool = Pool::new();
        pool.put("OA_recovered_2026-11-23_08-00-00.json", "derived");
        pool.put("benchMark.json", "{}");
        pool.put(".DS_Store", "of a desktop");
        let audit = pool.audit();
        let oa = &audit.scales["OA"];
        assert!(oa.files.iter().all(|file| file.standing == Standing::AsRecorded && file.harm.is_none()));
        assert_eq!((oa.files.len(), oa.entries, oa.lost.len(), oa.missing.len()), (3, 4, 0, 0));
        assert_eq!(oa.files[0].name, "OA_Aug_25_2015_08_54_35.json");
        assert!(audit.foreign.is_empty() && audit.ledger_lines.is_empty());
    }

    #[test]
    fn what_is_missing_changed_cut_or_foreign_is_found_and_so_is_what_is_lost_by_it() {
        let pool = Pool::new();
        fs::remove_file(pool.server.raw().join("OA_2026-11-23_08-00-00.json")).unwrap();
        pool.put("OA_Aug_25_2015_08_54_35.json", r#"[{"id":1,"a":"y"},{"id":2"#);
        pool.put("OA_2026-11-25_08-00-00.json", "[]");
        pool.put("notes.txt", "mine");
        let audit = pool.audit();
        let oa = &audit.scales["OA"];
        assert_eq!(oa.missing, ["OA_2026-11-23_08-00-00.json"]);
        assert_eq!(changed(oa).collect::<Vec<_>>(), ["OA_Aug_25_2015_08_54_35.json"]);
        let harm = oa.files[0].harm.as_ref().unwrap();
        assert_eq!((oa.files[0].entries, harm.places, harm.bytes), (1, 1, 7));
        assert_eq!(oa.files[2].standing, Standing::Unrecorded);
        // The fourth entry stands in another file, the first has another content.
        let lost: Vec<_> = oa.lost.iter().map(|lost| (lost.id, lost.other)).collect();
        assert_eq!(lost, [(Some(1), true), (Some(2), false), (Some(3), false)]);
        assert_eq!(audit.foreign, ["notes.txt"]);
    }

    #[test]
    fn without_an_index_the_runs_and_the_ledger_still_say_what_there_was() {
        let pool = Pool::new();
        fs::remove_dir_all(pool.server.index()).unwrap();
        let hash = blake3::hash(br#"{"id":9}"#).to_hex();
        let line = format!(r#"{{"at":"2026-11-23T08:00:00Z","step":"confirmed","scale":"RR","id":9,"hash":"{hash}"}}"#);
        fs::write(pool.server.deletions(), format!("{line}\n{{\"at\":\n")).unwrap();
        let witness = Witness::from([
            ("OA_2026-11-24_08-00-00.json".to_owned(), [7; 32]),
            ("OA_2026-11-26_08-00-00.json".to_owned(), [7; 32]),
        ]);
        let audit = Audit::of(&pool.server, None, &witness).unwrap();
        let oa = &audit.scales["OA"];
        assert_eq!((oa.index, changed(oa).count()), (IndexState::None, 1));
        assert_eq!(oa.missing, ["OA_2026-11-26_08-00-00.json"]);
        assert_eq!(audit.ledger_lines, [2]);
        let lost = &audit.scales["RR"].lost;
        assert!(lost.len() == 1 && lost[0].deleted && lost[0].id == Some(9) && lost[0].file.is_none());
    }
}

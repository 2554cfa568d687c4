//! What was seen of a table and told already, so that a lasting oddity is told once and not at every tick. One file for all
//! tables of a server, to which what changed is added: a file for each would have to be made or looked for with every table.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::disk::append_log;
use crate::disk::atomic;
use crate::pool::paths::ServerFolder;
use crate::study::name::ScaleName;

/// What the file is called.
const NAME: &str = "notes.jsonl";
/// Lines that say what a later one says anew, before the file is written again without them.
const OUTDATED: usize = 1000;

/// The notes on one table. Losing them costs one more full download and one more telling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// When the whole table was last downloaded.
    pub full: Option<DateTime<Utc>>,
    /// So many listed entries were not sent.
    pub shortfall: u64,
    /// So many archived entries of a table that is never emptied were no longer there.
    pub vanished: u64,
    /// So many entries stayed on the server that were to be deleted, by the last receipt.
    pub pending: u64,
}

/// The notes on all tables of a server, read when the first is asked for.
#[derive(Debug)]
pub struct Notebook {
    path: PathBuf,
    pages: Mutex<Option<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    notes: BTreeMap<String, Notes>,
    /// Lines of the file.
    lines: usize,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    scale: String,
    #[serde(flatten)]
    notes: Notes,
}

impl Notebook {
    pub fn new(folder: &ServerFolder) -> Self {
        Self { path: folder.index().join(NAME), pages: Mutex::default() }
    }

    /// The notes on a table, empty when there are none or they cannot be read.
    pub fn of(&self, scale: &ScaleName) -> Notes {
        let mut pages = self.pages();
        pages.get_or_insert_with(|| self.read()).notes.get(scale.as_str()).cloned().unwrap_or_default()
    }

    /// Writes the notes on a table where they are new.
    pub fn save(&self, scale: &ScaleName, notes: &Notes) -> io::Result<()> {
        let mut pages = self.pages();
        let pages = pages.get_or_insert_with(|| self.read());
        if pages.notes.get(scale.as_str()).is_some_and(|old| old == notes) {
            return Ok(());
        }
        let line = Line { scale: scale.as_str().to_owned(), notes: notes.clone() };
        // What could not be written is not remembered either, so that the next call tries again.
        if pages.lines > pages.notes.len() + OUTDATED {
            let mut all = pages.notes.clone();
            all.insert(line.scale, line.notes);
            self.write_again(&all)?;
            *pages = Pages { lines: all.len(), notes: all };
        } else {
            append_log::append_line(&self.path, &line)?;
            pages.lines += 1;
            pages.notes.insert(line.scale, line.notes);
        }
        Ok(())
    }

    fn pages(&self) -> MutexGuard<'_, Option<Pages>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file that cannot be read counts as none, and so does a line.
    fn read(&self) -> Pages {
        let mut pages = Pages::default();
        let read = append_log::each_line(&self.path, 0, |line| {
            pages.lines += 1;
            if let Ok(Line { scale, notes }) = serde_json::from_slice(line) {
                pages.notes.insert(scale, notes);
            }
        });
        if read.is_ok() { pages } else { Pages::default() }
    }

    fn write_again(&self, notes: &BTreeMap<String, Notes>) -> io::Result<()> {
        let mut text = Vec::new();
        for (scale, notes) in notes {
            serde_json::to_writer(&mut text, &Line { scale: scale.clone(), notes: notes.clone() })?;
            text.push(b'\n');
        }
        atomic::write(&self.path, atomic::PRIVATE, &text).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn pending(pending: u64) -> Notes {
        Notes { pending, ..Notes::default() }
    }

    #[test]
    fn the_last_line_of_a_table_counts_and_half_a_line_harms_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let (oa, rr) = (ScaleName::new("OA").unwrap(), ScaleName::new("RR").unwrap());
        let notebook = Notebook::new(&server);
        assert_eq!(notebook.of(&oa), Notes::default());
        for number in 1..=3 {
            notebook.save(&oa, &pending(number)).unwrap();
        }
        notebook.save(&oa, &pending(3)).unwrap();
        let text = fs::read_to_string(&notebook.path).unwrap();
        assert_eq!(text.lines().count(), 3, "what is not new is not written");
        fs::write(&notebook.path, format!("{text}{{\"scale\":\"OA\",\"pend")).unwrap();
        let after_a_crash = Notebook::new(&server);
        assert_eq!(after_a_crash.of(&oa), pending(3));
        after_a_crash.save(&rr, &pending(9)).unwrap();
        let next = Notebook::new(&server);
        assert_eq!((next.of(&oa), next.of(&rr)), (pending(3), pending(9)));
    }

    #[test]
    fn what_could_not_be_written_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let oa = ScaleName::new("OA").unwrap();
        let notebook = Notebook::new(&server);
        // A folder in its place: nothing can be added to it.
        fs::create_dir_all(&notebook.path).unwrap();
        notebook.save(&oa, &pending(4)).unwrap_err();
        fs::remove_dir(&notebook.path).unwrap();
        notebook.save(&oa, &pending(4)).unwrap();
        assert_eq!(Notebook::new(&server).of(&oa), pending(4));
    }

    #[test]
    fn the_file_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let (oa, rr) = (ScaleName::new("OA").unwrap(), ScaleName::new("RR").unwrap());
        let notebook = Notebook::new(&server);
        notebook.save(&rr, &pending(7)).unwrap();
        for number in 1..=OUTDATED as u64 + 9 {
            notebook.save(&oa, &pending(number)).unwrap();
        }
        let lines = fs::read_to_string(&notebook.path).unwrap().lines().count();
        assert!(lines < 20, "{lines} lines");
        let next = Notebook::new(&server);
        assert_eq!((next.of(&oa), next.of(&rr)), (pending(OUTDATED as u64 + 9), pending(7)));
    }
}

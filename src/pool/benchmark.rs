//! benchMark.json: the newest entry id of each table and whether the server lets it be deleted, as last seen.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::disk::atomic;
use crate::pool::paths::{ServerFolder, raw_name};
use crate::study::name::ScaleName;

/// What the file is called.
pub const NAME: &str = "benchMark.json";

/// What is remembered of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The highest id that is archived.
    pub current: i64,
    pub deleteable: bool,
}

/// Where the file is: where the first generation left it, else in raw_data.
pub fn path(folder: &ServerFolder) -> PathBuf {
    let raw = folder.raw().join(NAME);
    let old = folder.active().join(NAME);
    if !raw.exists() && old.exists() { old } else { raw }
}

/// The marks as last written; none when the file is missing or is not what it should be.
pub fn read(folder: &ServerFolder) -> BTreeMap<ScaleName, Mark> {
    let Ok(bytes) = std::fs::read(path(folder)) else { return BTreeMap::new() };
    let Ok(all) = serde_json::from_slice::<BTreeMap<String, Value>>(&bytes) else { return BTreeMap::new() };
    let sound = |(name, value): (String, Value)| {
        Some((ScaleName::new(&name).ok()?, serde_json::from_value::<Mark>(value).ok()?))
    };
    all.into_iter().filter_map(sound).collect()
}

/// There are raw files, and yet no marks, or none that can be read: they were lost.
pub fn is_lost(folder: &ServerFolder) -> bool {
    let named = |entry: std::fs::DirEntry| entry.file_name().to_str().is_some_and(|name| raw_name(name).is_some());
    !is_readable(folder) && std::fs::read_dir(folder.raw()).is_ok_and(|entries| entries.flatten().any(named))
}

fn is_readable(folder: &ServerFolder) -> bool {
    std::fs::read(path(folder)).is_ok_and(|bytes| serde_json::from_slice::<BTreeMap<String, Value>>(&bytes).is_ok())
}

/// Marks of one server that wait to be written: tables that are exported side by side share one durable write, by
/// the last of them. A run that is killed before it leaves marks behind what is archived, never beyond it.
#[derive(Debug, Default)]
pub struct Waiting {
    marks: Mutex<BTreeMap<ScaleName, Mark>>,
    /// Exports under way.
    exports: AtomicUsize,
    /// One writer at a time.
    writing: Mutex<()>,
}

/// An export under way, whose mark may wait for the last one.
#[derive(Debug)]
pub struct UnderWay<'w>(&'w Waiting);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.exports.fetch_sub(1, Ordering::SeqCst);
    }
}

impl UnderWay<'_> {
    /// Ends it; the last one writes what waits.
    ///
    /// # Errors
    /// Whatever the file system says; who ends next tries again.
    pub fn leave(self, folder: &ServerFolder) -> std::io::Result<()> {
        let waiting = self.0;
        drop(self);
        if waiting.exports.load(Ordering::SeqCst) == 0 { waiting.write(folder) } else { Ok(()) }
    }
}

impl Waiting {
    /// An export begins.
    pub fn join(&self) -> UnderWay<'_> {
        self.exports.fetch_add(1, Ordering::SeqCst);
        UnderWay(self)
    }

    /// The table's mark is written when the last export under way has ended, or, `at_once` and when there is no file yet,
    /// when this returns.
    ///
    /// # Errors
    /// Whatever the file system says; each whose mark is not written hears of it.
    pub fn put(&self, folder: &ServerFolder, scale: &ScaleName, mark: Mark, at_once: bool) -> std::io::Result<()> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).insert(scale.clone(), mark);
        if at_once || !path(folder).exists() { self.write(folder) } else { Ok(()) }
    }

    fn write(&self, folder: &ServerFolder) -> std::io::Result<()> {
        let marks = || self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *marks());
        if taken.is_empty() {
            return Ok(());
        }
        let written = put_all(folder, &taken);
        if written.is_err() {
            let mut waiting = marks();
            for (scale, mark) in taken {
                waiting.entry(scale).or_insert(mark);
            }
        }
        written
    }
}

/// Writes the marks of several tables, when they are new. What the file holds of other tables stays as it is.
pub fn put_all(folder: &ServerFolder, marks: &BTreeMap<ScaleName, Mark>) -> std::io::Result<()> {
    let path = path(folder);
    let bytes = std::fs::read(&path).unwrap_or_default();
    let mut all: BTreeMap<String, Value> = serde_json::from_slice(&bytes).unwrap_or_default();
    let before = all.clone();
    for (scale, mark) in marks {
        all.insert(scale.as_str().to_owned(), serde_json::to_value(mark)?);
    }
    if all == before {
        return Ok(());
    }
    let mut text = serde_json::to_vec_pretty(&all)?;
    text.push(b'\n');
    atomic::write(&path, atomic::PRIVATE, &text).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_written_where_the_first_generation_left_them_and_strange_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        std::fs::create_dir_all(server.active()).unwrap();
        let old = server.active().join(NAME);
        std::fs::write(&old, r#"{"OA": {"current": 41, "deleteable": true}, "odd": 7}"#).unwrap();
        let (oa, rr) = (ScaleName::new("OA").unwrap(), ScaleName::new("RR").unwrap());
        assert_eq!(read(&server), BTreeMap::from([(oa, Mark { current: 41, deleteable: true })]));
        let marks = BTreeMap::from([(rr.clone(), Mark { current: 2, deleteable: false })]);
        put_all(&server, &marks).unwrap();
        let text = std::fs::read_to_string(&old).unwrap();
        assert!(text.contains("\"odd\": 7") && !server.raw().join(NAME).exists());
        assert_eq!(read(&server)[&rr].current, 2);
        let before = std::fs::metadata(&old).unwrap().modified().unwrap();
        put_all(&server, &marks).unwrap();
        assert_eq!(std::fs::metadata(&old).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn marks_are_lost_only_where_there_is_something_to_mark() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        assert!(!is_lost(&server));
        std::fs::create_dir_all(server.raw()).unwrap();
        std::fs::write(server.raw().join("OA_Aug_25_2015_08_54_35.json"), "[]").unwrap();
        assert!(is_lost(&server));
        put_all(&server, &BTreeMap::new()).unwrap();
        assert!(is_lost(&server));
        std::fs::write(server.raw().join(NAME), r#"{"OA": {"curr"#).unwrap();
        assert!(is_lost(&server));
        let mark = Mark { current: 0, deleteable: true };
        Waiting::default().put(&server, &ScaleName::new("OA").unwrap(), mark, true).unwrap();
        assert!(!is_lost(&server));
    }

    #[test]
    fn marks_that_come_side_by_side_are_all_written_or_all_told() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let waiting = Waiting::default();
        let put_many = || {
            std::thread::scope(|scope| {
                let put = |number: i64| {
                    let scale = ScaleName::new(&format!("T{number}")).unwrap();
                    waiting.put(&server, &scale, Mark { current: number, deleteable: true }, true).is_ok()
                };
                let hands: Vec<_> = (0..8_i64).map(|number| scope.spawn(move || put(number))).collect();
                hands.into_iter().map(|hand| hand.join().unwrap()).collect::<Vec<bool>>()
            })
        };
        // A folder in its place.
        std::fs::create_dir_all(server.raw().join(NAME)).unwrap();
        assert_eq!(put_many(), [false; 8]);
        std::fs::remove_dir(server.raw().join(NAME)).unwrap();
        assert_eq!(put_many(), [true; 8]);
        assert_eq!(read(&server).len(), 8);
    }

    #[test]
    fn the_last_export_under_way_writes_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let waiting = Waiting::default();
        let put = |name: &str, at_once| {
            let scale = ScaleName::new(name).unwrap();
            waiting.put(&server, &scale, Mark { current: 1, deleteable: true }, at_once).unwrap();
            read(&server).len()
        };
        let [one, two, three] = [(); 3].map(|()| waiting.join());
        assert_eq!(put("T1", false), 1, "the first makes the file");
        assert_eq!(put("T2", false), 1);
        one.leave(&server).unwrap();
        assert_eq!(put("T3", true), 3);
        assert_eq!(put("T4", false), 3);
        // An export that ends in a panic is none under way.
        drop(two);
        three.leave(&server).unwrap();
        assert_eq!(read(&server).len(), 4);
    }
}

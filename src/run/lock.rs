//! One run at a time: locks of the kernel on the project, on the pool and on the servers' folders, gone with the process
//! that held them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::disk::file_system;

/// All locks, held until dropped.
#[derive(Debug)]
pub struct Lock {
    files: Vec<File>,
    /// Of servers' folders, which may lie outside the pool and in another project's; nothing is written there.
    _folders: Vec<File>,
    /// The last run left its note behind: it was killed.
    pub after_kill: bool,
}

/// Why there is no lock.
#[derive(Debug)]
pub enum Refused {
    /// Another run holds it; what it wrote about itself.
    Held(String),
    /// A run of another host did not end, and the pool lies on a network file system: its note, and where it stands.
    Elsewhere(PathBuf, String),
    Io(PathBuf, io::Error),
}

impl Lock {
    /// Takes the locks, waiting at most so long for another run to end.
    pub fn take<'f>(
        paths: &[PathBuf],
        folders: impl Iterator<Item = &'f Path>,
        wait: Duration,
    ) -> Result<Self, Refused> {
        let start = Instant::now();
        let mut files = Vec::new();
        let mut after_kill = false;
        for path in paths {
            let (file, noted) = take_one(path, start, wait)?;
            files.push(file);
            after_kill |= noted;
        }
        let folders = folders.filter_map(|folder| take_folder(folder, start, wait).transpose());
        Ok(Self { files, _folders: folders.collect::<Result<_, _>>()?, after_kill })
    }

    /// A run that came to its end leaves no note.
    pub fn release(self) {
        for file in &self.files {
            // A note that stays only makes the next run sweep for nothing.
            let _ = file.set_len(0);
        }
    }
}

fn take_one(path: &Path, start: Instant, wait: Duration) -> Result<(File, bool), Refused> {
    let failed = |error| Refused::Io(path.to_owned(), error);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    if !lock_within(&file, start, wait).map_err(failed)? {
        let mut holder = String::new();
        // Only for the message; an empty one does no harm.
        let _ = file.read_to_string(&mut holder);
        return Err(Refused::Held(holder.trim().to_owned()));
    }
    let mut left = String::new();
    file.read_to_string(&mut left).map_err(failed)?;
    let here = this_machine();
    if file_system::network(path).is_some() && is_of_another(&left, &here) {
        return Err(Refused::Elsewhere(path.to_owned(), left.trim().to_owned()));
    }
    let since = chrono::Local::now().format("%Y-%m-%d %H:%M:%S");
    let holder = format!("process {} on {here}, since {since}\n", std::process::id());
    let note = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(holder.as_bytes())
    };
    // The lock is what counts: on a full disk a run still decodes, tells people, and knows what it has told.
    let _ = note(&mut file);
    Ok((file, !left.is_empty()))
}

/// False when it is held by another for longer than that.
fn lock_within(file: &File, start: Instant, wait: Duration) -> io::Result<bool> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if start.elapsed() < wait => std::thread::sleep(Duration::from_millis(50)),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// `None` for a folder that is not there yet, or whose file system locks no folders: the pool's lock has to do then.
fn take_folder(folder: &Path, start: Instant, wait: Duration) -> Result<Option<File>, Refused> {
    let Ok(file) = File::open(folder) else { return Ok(None) };
    match lock_within(&file, start, wait) {
        Ok(true) => Ok(Some(file)),
        Ok(false) => Err(Refused::Held(format!("another project writes into {}", folder.display()))),
        Err(_) => Ok(None),
    }
}

/// Whether this note was left by a run of another host; notes of older releases name none.
fn is_of_another(note: &str, here: &str) -> bool {
    host_of(note).is_some_and(|host| host != here)
}

/// `process 7 on lab3, since ...`
fn host_of(note: &str) -> Option<&str> {
    note.split_once(" on ")?.1.split(',').next()
}

fn this_machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_another_host_is_told_by_its_note() {
        let note = "process 7 on lab3, since 2026-11-25 10:00:00\n";
        assert!(is_of_another(note, "lab4") && !is_of_another(note, "lab3"));
        assert!(!is_of_another("process 7, since 2026-11-25 10:00:00\n", "lab4") && !is_of_another("", "lab4"));
    }

    #[test]
    fn the_second_is_refused_and_told_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("lock")];
        let first = Lock::take(&paths, std::iter::empty(), Duration::ZERO).unwrap();
        match Lock::take(&paths, std::iter::empty(), Duration::from_millis(60)) {
            Err(Refused::Held(holder)) => {
                assert!(holder.contains(&std::process::id().to_string()));
                assert_eq!(host_of(&holder), Some(&*this_machine()));
            }
            other => panic!("{other:?}"),
        }
        let folders = || std::iter::once(folder.path());
        let other = [folder.path().join("other")];
        let one = Lock::take(&other, folders(), Duration::ZERO).unwrap();
        assert!(matches!(Lock::take(&[], folders(), Duration::ZERO), Err(Refused::Held(_))));
        drop((first, one));
        // A command that another test of this process starts inherits the lock until it is really another program.
        Lock::take(&paths, std::iter::empty(), Duration::from_secs(20)).unwrap();
    }
}

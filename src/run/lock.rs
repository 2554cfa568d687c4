//! One run at a time: locks of the kernel on the project and on the pool, gone with the process that held them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Both locks, held until dropped.
#[derive(Debug)]
pub struct Lock {
    files: Vec<File>,
    /// The last run left its note behind: it was killed.
    pub after_kill: bool,
}

/// Why there is no lock.
#[derive(Debug)]
pub enum Refused {
    /// Another run holds it; what it wrote about itself.
    Held(String),
    Io(PathBuf, io::Error),
}

impl Lock {
    /// Takes the locks, waiting at most so long for another run to end.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn take(paths: &[PathBuf], wait: Duration) -> Result<Self, Refused> {
        let start = Instant::now();
        let mut files = Vec::new();
        let mut after_kill = false;
        for path in paths {
            let (file, noted) = take_one(path, start, wait)?;
            files.push(file);
            after_kill |= noted;
        }
        Ok(Self { files, after_kill })
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
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if start.elapsed() < wait => std::thread::sleep(Duration::from_millis(50)),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message; an empty one does no harm.
                let _ = file.read_to_string(&mut holder);
                return Err(Refused::Held(holder.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    let holder =
        format!("process {}, since {}\n", std::process::id(), chrono::Local::now().format("%Y-%m-%d %H:%M:%S"));
    let note = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(holder.as_bytes())
    };
    let noted = file.metadata().map_err(failed)?.len() > 0;
    // The lock is what counts: on a full disk a run still decodes, tells people, and knows what it has told.
    let _ = note(&mut file);
    Ok((file, noted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("lock")];
        let first = Lock::take(&paths, Duration::ZERO).unwrap();
        match Lock::take(&paths, Duration::from_millis(60)) {
            Err(Refused::Held(holder)) => assert!(holder.contains(&std::process::id().to_string())),
            other => panic!("{other:?}"),
        }
        drop(first);
        // A command that another test of this process starts inherits the lock until it is really another program.
        Lock::take(&paths, Duration::from_secs(20)).unwrap();
    }
}

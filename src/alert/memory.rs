//! What was told and what waits to be told, in one file: a trouble and the mail about it are kept or lost together.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::alert::digest::Known;
use crate::alert::letter::Letter;
use crate::disk::atomic;

/// So many letters wait at most; a mail server that is gone for weeks must not fill the disk.
const MOST_LETTERS: usize = 50;
/// The file has at least so many bytes to spare, so that a full disk still has room for the news that it is full.
const ROOM: usize = 1 << 14;

/// All that alerts remember between runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    v: u32,
    pub known: Known,
    /// Oldest first.
    pub letters: Vec<Letter>,
    /// Letters that were given up because too many waited.
    pub dropped: u32,
}

impl Memory {
    pub fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Makes room for one more letter by giving up the oldest; called before that one is written, so that it can say so.
    /// How many were given up now.
    pub fn make_room(&mut self) -> usize {
        let surplus = (self.letters.len() + 1).saturating_sub(MOST_LETTERS);
        self.letters.drain(..surplus);
        self.dropped = self.dropped.saturating_add(u32::try_from(surplus).unwrap_or(u32::MAX));
        surplus
    }

    /// Writes it whole; on a full disk into the room that the file already has.
    pub fn store(&self, path: &Path) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(&Self { v: 1, ..self.clone() })?;
        let needed = bytes.len();
        // White space after the object is JSON, too.
        bytes.resize((needed + ROOM).next_multiple_of(ROOM), b' ');
        let Err(error) = atomic::write(path, atomic::PRIVATE, &bytes) else { return Ok(()) };
        let Ok(mut file) = OpenOptions::new().write(true).open(path) else { return Err(error) };
        let room = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if room < needed {
            return Err(error);
        }
        bytes.resize(room, b' ');
        file.write_all(&bytes)?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_private_whole_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.json");
        assert_eq!(Memory::read(&path).unwrap(), Memory::default());
        let mut memory = Memory { v: 1, ..Memory::default() };
        for number in 0..60 {
            memory.make_room();
            memory.letters.push(Letter { subject: number.to_string(), ..Letter::default() });
        }
        memory.store(&path).unwrap();
        let read = Memory::read(&path).unwrap();
        assert_eq!((read.letters.len(), read.dropped, read.letters[0].subject.as_str()), (50, 10, "10"));
        assert_eq!(read, memory);
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.permissions().mode() & 0o777, found.len() % ROOM as u64), (0o600, 0));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_silence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.json");
        Memory::default().store(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..5]).unwrap();
        assert!(Memory::read(&path).is_err());
    }
}

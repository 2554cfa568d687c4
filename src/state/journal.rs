//! The state's file: frames of records, each with its length and checksum; whatever follows a damaged frame is cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Names the format and its version.
const MAGIC: &[u8; 16] = b"mtdata state 1\n\0";
const FRAME_HEAD: usize = 8;

/// The payloads of the frames that are whole, and how many bytes they take with the head of the file.
#[must_use]
pub fn frames(bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut frames = Vec::new();
    if !bytes.starts_with(MAGIC) {
        return (frames, 0);
    }
    let mut at = MAGIC.len();
    while let Some((head, rest)) = bytes[at..].split_first_chunk::<FRAME_HEAD>() {
        let head = u64::from_le_bytes(*head);
        let (Ok(length), sum) = (usize::try_from(head & u64::from(u32::MAX)), head >> 32) else { break };
        let Some(payload) = rest.get(..length) else { break };
        // An empty frame is never written: a file whose end became zeros after a power cut must not count as frames.
        if length == 0 || u64::from(crc32fast::hash(payload)) != sum {
            break;
        }
        frames.push(payload);
        at += FRAME_HEAD + length;
    }
    (frames, at)
}

/// One frame around a payload.
pub fn frame(payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("a frame is flushed long before 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// The bytes of a new file.
#[must_use]
pub fn beginning() -> Vec<u8> {
    MAGIC.to_vec()
}

/// The file opened for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Journal {
    /// Opens the file, made if it is missing, and cuts it to its first `whole` bytes.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(path: &Path, whole: usize) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let mut journal = Self { path: path.to_owned(), file, length: whole as u64 };
        if journal.file.metadata()?.len() != journal.length {
            journal.file.set_len(journal.length)?;
        }
        if whole == 0 {
            journal.write(MAGIC)?;
        }
        Ok(journal)
    }

    /// Appends one frame.
    ///
    /// # Errors
    /// Whatever the file system says; the file is then as before.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(payload.len() + FRAME_HEAD);
        frame(payload, &mut bytes);
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            // Half a frame would hide all that follows it.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// # Errors
    /// Whatever the file system says.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

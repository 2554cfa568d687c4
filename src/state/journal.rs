//! The state's file: frames of records, each with its length and checksum; whatever follows a damaged frame is cut off.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Names the format and its version.
const MAGIC: &[u8; 16] = b"mtdata state 1\n\0";
const FRAME_HEAD: usize = 8;

/// Reads the frames of a file one after another, as far as they are whole.
#[derive(Debug)]
pub struct Frames<R> {
    from: R,
    payload: Vec<u8>,
    whole: u64,
}

impl<R: Read> Frames<R> {
    pub fn new(mut from: R) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(MAGIC.len());
        from.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        let whole = if magic == MAGIC { MAGIC.len() as u64 } else { 0 };
        Ok(Self { from, payload: Vec::new(), whole })
    }

    /// The next payload; `None` at the end of what is whole.
    pub fn next_payload(&mut self) -> io::Result<Option<&[u8]>> {
        self.payload.clear();
        self.from.by_ref().take(FRAME_HEAD as u64).read_to_end(&mut self.payload)?;
        let Ok(head) = self.payload[..].try_into().map(u64::from_le_bytes) else { return Ok(None) };
        let (length, sum) = (head & u64::from(u32::MAX), head >> 32);
        self.payload.clear();
        // No more memory than there are bytes, whatever a damaged length says.
        self.from.by_ref().take(length).read_to_end(&mut self.payload)?;
        // An empty frame is never written: a file whose end became zeros after a power cut must not count as frames.
        let sound = self.whole > 0 && length > 0 && self.payload.len() as u64 == length;
        if !sound || u64::from(crc32fast::hash(&self.payload)) != sum {
            return Ok(None);
        }
        self.whole += FRAME_HEAD as u64 + length;
        Ok(Some(&self.payload))
    }

    /// The bytes of the whole frames so far, with the head of the file.
    pub fn whole(&self) -> u64 {
        self.whole
    }
}

/// One frame around a payload.
pub fn frame(payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("a frame is flushed long before 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// The bytes of a new file.
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
    pub fn open(path: &Path, whole: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let mut journal = Self { path: path.to_owned(), file, length: whole };
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

    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

//! The part of a long text that is in memory: what was read and is not yet used, grown for an entry that is longer.

use std::io::{self, Read};
use std::ops::Range;

pub struct Window<R> {
    source: R,
    buffer: Vec<u8>,
    /// So many bytes are read at once.
    chunk: usize,
    /// What of the buffer is read and not yet used.
    unused: Range<usize>,
    /// Where the buffer begins in the text.
    before: u64,
    exhausted: bool,
}

impl<R: Read> Window<R> {
    pub fn new(source: R, chunk: usize) -> Self {
        Self { source, buffer: vec![0; chunk], chunk, unused: 0..0, before: 0, exhausted: false }
    }

    /// What was read and is not yet used.
    pub fn unused(&self) -> &[u8] {
        &self.buffer[self.unused.clone()]
    }

    /// Where the unused begins, in bytes from the text's beginning.
    pub fn offset(&self) -> u64 {
        self.before + self.unused.start as u64
    }

    /// The end of the text was seen: nothing comes behind the unused.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Uses so many of the unused bytes.
    pub fn skip(&mut self, length: usize) {
        self.unused.start += length;
    }

    /// Uses so many of the unused bytes, and gives them out.
    pub fn take(&mut self, length: usize) -> &[u8] {
        let from = self.unused.start;
        self.unused.start += length;
        &self.buffer[from..from + length]
    }

    /// Reads more behind what is unused; false at the end of the text.
    pub fn fill(&mut self) -> io::Result<bool> {
        if self.exhausted {
            return Ok(false);
        }
        if self.unused.start > 0 {
            self.buffer.copy_within(self.unused.clone(), 0);
            self.before += self.unused.start as u64;
            self.unused = 0..self.unused.len();
        }
        if self.unused.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        } else if self.buffer.len() > self.chunk && self.unused.len() < self.chunk / 2 {
            // A single long entry is no reason to keep its room.
            self.buffer.truncate(self.chunk);
            self.buffer.shrink_to_fit();
        }
        loop {
            match self.source.read(&mut self.buffer[self.unused.end..]) {
                Ok(0) => {
                    self.exhausted = true;
                    return Ok(false);
                }
                Ok(read) => {
                    self.unused.end += read;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next byte that is no white space; what was before it is used.
    pub fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let unused = self.unused();
            if let Some(at) = unused.iter().position(|byte| !byte.is_ascii_whitespace()) {
                let byte = unused[at];
                self.skip(at);
                return Ok(Some(byte));
            }
            self.unused.start = self.unused.end;
            if !self.fill()? {
                return Ok(None);
            }
        }
    }
}

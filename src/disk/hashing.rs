//! What is hashed as it is read, so that a file that has to be read anyway is not read twice.

use std::io::{self, Read};

/// A source whose bytes are hashed on the way.
#[derive(Debug)]
pub struct Hashing<R> {
    source: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Hashing<R> {
    pub fn new(source: R) -> Self {
        Self { source, hasher: blake3::Hasher::new() }
    }

    /// Of the bytes so far: of the whole source once it was read to its end.
    pub fn hash(&self) -> blake3::Hash {
        self.hasher.finalize()
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.hasher.count()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

//! Bodies that were not what they should be, each kept once for a person to look at.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::pool::atomic;
use crate::pool::paths::ServerFolder;

/// So much of a body is kept, in bytes.
const LARGEST: u64 = 4 << 20;
/// So many bodies are kept per server.
const MOST: usize = 50;

/// Keeps the beginning of a body; `None` when there are enough already.
///
/// # Errors
/// Whatever the file system says.
pub fn keep(folder: &ServerFolder, name: &str, body: impl Read) -> io::Result<Option<PathBuf>> {
    let mut bytes = Vec::new();
    body.take(LARGEST).read_to_end(&mut bytes)?;
    let hash = blake3::hash(&bytes).to_hex();
    let path = folder.answers().join(format!("{name}_{}.body", &hash[..16]));
    if path.exists() {
        return Ok(Some(path));
    }
    if fs::read_dir(folder.answers()).map(Iterator::count).unwrap_or_default() >= MOST {
        return Ok(None);
    }
    atomic::write(&path, atomic::PRIVATE, &bytes)?;
    Ok(Some(path))
}

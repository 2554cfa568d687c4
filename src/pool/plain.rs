//! Remembered plaintext of encrypted values, one file per raw file, so that no value is opened twice. Rebuildable.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use zeroize::Zeroize;

use crate::pool::atomic;
use crate::pool::paths::ServerFolder;

const MAGIC: &[u8; 8] = b"mtplain1";

/// The opened values of one raw file, by the hash of the ciphertext: right whatever else may have changed.
#[derive(Debug, Default)]
pub struct Plain {
    path: PathBuf,
    texts: HashMap<[u8; 32], String>,
    changed: bool,
}

/// The key of a ciphertext.
#[must_use]
pub fn key(ciphertext: &str) -> [u8; 32] {
    *blake3::hash(ciphertext.as_bytes()).as_bytes()
}

impl Plain {
    /// What is remembered of a raw file; nothing when there is no memory or it is damaged.
    #[must_use]
    pub fn open(folder: &ServerFolder, raw_name: &str) -> Self {
        let path = folder.plain().join(format!("{raw_name}.plain"));
        let texts = std::fs::read(&path).ok().and_then(|bytes| decode(&bytes)).unwrap_or_default();
        Self { path, texts, changed: false }
    }

    #[must_use]
    pub fn get(&self, key: &[u8; 32]) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }

    pub fn put(&mut self, key: [u8; 32], text: String) {
        self.texts.insert(key, text);
        self.changed = true;
    }

    /// Writes what is new.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn save(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.changed) {
            let mut bytes = encode(&self.texts);
            let written = atomic::write(&self.path, atomic::PRIVATE, &bytes);
            bytes.zeroize();
            written?;
        }
        Ok(())
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.texts.values_mut().for_each(Zeroize::zeroize);
    }
}

fn encode(texts: &HashMap<[u8; 32], String>) -> Vec<u8> {
    let mut sorted: Vec<_> = texts.iter().collect();
    sorted.sort_unstable();
    let mut out = MAGIC.to_vec();
    for (key, text) in sorted {
        out.extend_from_slice(key);
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<HashMap<[u8; 32], String>> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    let mut texts = HashMap::new();
    while !rest.is_empty() {
        let (key, tail) = rest.split_first_chunk::<32>()?;
        let (length, tail) = tail.split_first_chunk::<8>()?;
        let (text, tail) = tail.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        texts.insert(*key, std::str::from_utf8(text).ok()?.to_owned());
        rest = tail;
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_once_and_never_believed_when_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let mut plain = Plain::open(&server, "OA.json");
        plain.put(key("x"), "17".to_owned());
        plain.save().unwrap();
        assert_eq!(Plain::open(&server, "OA.json").get(&key("x")), Some("17"));
        let path = server.plain().join("OA.json.plain");
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(Plain::open(&server, "OA.json").get(&key("x")), None, "byte {at}");
        }
    }
}

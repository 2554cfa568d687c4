//! Bodies that were not what they should be, each kept once with the reason, for a person to look at.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::disk::atomic::{self, AtomicFile, TEMPORARY_PREFIX};
use crate::pool::paths::ServerFolder;

/// So much of a body is kept, in bytes.
const LARGEST: u64 = 64 << 20;
/// So many bodies are kept per server.
const MOST: usize = 50;

/// Keeps the beginning of a body as `NAME_HASH.body`, and why as `NAME_HASH.reason`; `None` when there are enough.
pub fn keep(folder: &ServerFolder, name: &str, reason: &str, body: impl Read) -> io::Result<Option<PathBuf>> {
    let answers = folder.answers();
    // Its name is its hash, known only once it is copied.
    let waiting = answers.join(format!("{name}.body"));
    let mut file = AtomicFile::create(&waiting, atomic::PRIVATE)?;
    io::copy(&mut body.take(LARGEST), &mut file)?;
    let hash = file.hash().to_hex();
    let path = answers.join(format!("{name}_{}.body", &hash[..16]));
    if path.exists() {
        return Ok(Some(path));
    }
    let is_body = |path: &Path| {
        path.extension().is_some_and(|extension| extension == "body")
            && path.file_name().and_then(|name| name.to_str()).is_some_and(|name| !name.starts_with(TEMPORARY_PREFIX))
    };
    let kept = fs::read_dir(&answers)?.flatten().filter(|entry| is_body(&entry.path())).count();
    if kept >= MOST {
        return Ok(None);
    }
    file.commit_as(&path)?;
    atomic::write(&path.with_extension("reason"), atomic::PRIVATE, format!("{reason}\n").as_bytes())?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_once_and_not_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let first = keep(&server, "OA", "no JSON", &b"<html>"[..]).unwrap().unwrap();
        assert_eq!(keep(&server, "OA", "no JSON", &b"<html>"[..]).unwrap(), Some(first.clone()));
        assert_eq!(fs::read(&first).unwrap(), b"<html>");
        assert_eq!(fs::read_to_string(first.with_extension("reason")).unwrap(), "no JSON\n");
        let kept: Vec<bool> =
            (0..60).map(|n| keep(&server, "OA", "x", format!("{n}").as_bytes()).unwrap().is_some()).collect();
        assert_eq!(kept.iter().filter(|kept| **kept).count(), MOST - 1);
        assert_eq!(fs::read_dir(server.answers()).unwrap().count(), 2 * MOST);
    }
}

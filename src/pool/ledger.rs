//! deletions.jsonl: what was meant to be deleted on the server, what was sent, what is confirmed. Only ever appended to.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;

use chrono::{SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::pool::atomic;
use crate::pool::index::Identity;
use crate::pool::paths::ServerFolder;
use crate::pool::raw::Held;
use crate::study::name::ScaleName;

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Intended,
    Sent,
    /// The table was fetched again and no longer has it.
    Confirmed,
    /// It is still there.
    Failed,
}

#[derive(Serialize, Deserialize)]
struct Line<'l> {
    at: String,
    step: Step,
    scale: &'l str,
    id: i64,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

/// An entry whose archived content is verified and whose deletion is durably recorded as intended: the only thing that
/// a DELETE can be asked for with.
#[derive(Debug, Clone)]
pub struct Deletable {
    identity: Identity,
}

impl Deletable {
    #[must_use]
    pub fn id(&self) -> i64 {
        self.identity.id
    }

    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }
}

/// The ledger of one server, opened for appending.
#[derive(Debug)]
pub struct Ledger {
    file: File,
}

impl Ledger {
    /// # Errors
    /// Whatever the file system says.
    pub fn open(folder: &ServerFolder) -> io::Result<Self> {
        let path = folder.deletions();
        atomic::create_folder(folder.path(), atomic::PRIVATE)?;
        let new = !path.exists();
        let file = OpenOptions::new().create(true).read(true).append(true).mode(atomic::PRIVATE).open(&path)?;
        let mut ledger = Self { file };
        if new {
            atomic::sync_folder(folder.path())?;
        } else {
            ledger.mend_end()?;
        }
        Ok(ledger)
    }

    /// A line that a crash left half must not swallow the next one.
    fn mend_end(&mut self) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        if self.file.metadata()?.len() == 0 {
            return Ok(());
        }
        let mut last = [0];
        self.file.seek(SeekFrom::End(-1))?;
        self.file.read_exact(&mut last)?;
        if last == *b"\n" { Ok(()) } else { self.file.write_all(b"\n") }
    }

    /// Records the intent to delete these, durably.
    ///
    /// # Errors
    /// Whatever the file system says; nothing may be deleted then.
    pub fn intend(&mut self, scale: &ScaleName, held: Vec<Held>) -> io::Result<Vec<Deletable>> {
        let identities: Vec<Identity> = held.into_iter().map(|held| held.identity()).collect();
        self.append(scale, Step::Intended, identities.iter().map(|identity| (*identity, None)))?;
        Ok(identities.into_iter().map(|identity| Deletable { identity }).collect())
    }

    /// Records a step of several deletions, durably.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn append(
        &mut self,
        scale: &ScaleName,
        step: Step,
        entries: impl Iterator<Item = (Identity, Option<u16>)>,
    ) -> io::Result<()> {
        let at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut text = Vec::new();
        for (identity, status) in entries {
            let hash = blake3::Hash::from_bytes(identity.hash).to_hex().to_string();
            let line = Line { at: at.clone(), step, scale: scale.as_str(), id: identity.id, hash, status };
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        self.file.write_all(&text)?;
        self.file.sync_data()
    }
}

/// Entries of a scale that the ledger knows to be gone from the server.
///
/// # Errors
/// Whatever the file system says, except that there is no ledger yet.
pub fn confirmed(folder: &ServerFolder, scale: &ScaleName) -> io::Result<HashSet<Identity>> {
    let file = match File::open(folder.deletions()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    let mut gone = HashSet::new();
    for line in BufReader::new(file).lines() {
        let line = line?;
        // A line that a crash left half says nothing.
        let Ok(line) = serde_json::from_str::<Line<'_>>(&line) else { continue };
        let Ok(hash) = blake3::Hash::from_hex(&line.hash) else { continue };
        let identity = Identity { id: line.id, hash: *hash.as_bytes() };
        match line.step {
            Step::Confirmed if line.scale == scale.as_str() => drop(gone.insert(identity)),
            Step::Failed if line.scale == scale.as_str() => drop(gone.remove(&identity)),
            _ => {}
        }
    }
    Ok(gone)
}

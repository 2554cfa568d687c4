//! The raw archive: entries as they came, in files that are never changed afterwards, read back before they count.

use std::io::{self, Write};

use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;

use crate::pool::atomic::{self, AtomicFile};
use crate::pool::index::{FileRecord, Identity, Index, each_entry};
use crate::pool::paths::{DateStyle, ServerFolder};
use crate::study::name::ScaleName;
use crate::task::Written;

/// The proof that this content of this id stands in a raw file that was read back and is what it should be.
#[derive(Debug, Clone)]
pub struct Held {
    identity: Identity,
}

impl Held {
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }
}

/// Where and how raw files of a scale are named.
#[derive(Debug)]
pub struct Archive<'a> {
    pub folder: &'a ServerFolder,
    pub scale: &'a ScaleName,
    pub style: &'a DateStyle,
    pub timezone: Tz,
}

/// Why entries could not be archived or proven.
#[derive(Debug)]
pub enum Trouble {
    Io(io::Error),
    /// A raw file reads back differently from what was written.
    Differs(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Archive<'_> {
    /// Writes entries into a new raw file, durably, and reads it back; `entries` hands each to its argument.
    ///
    /// # Errors
    /// [`Trouble`]; the archive is then as before, or has one more file whose entries do not count.
    pub fn store(
        &self,
        index: &mut Index,
        now: DateTime<Utc>,
        entries: impl FnOnce(&mut dyn FnMut(Option<i64>, &[u8]) -> io::Result<()>) -> io::Result<()>,
    ) -> Result<Written, Trouble> {
        let local = now.with_timezone(&self.timezone).naive_local();
        let name = self.free_name(local);
        let mut file = AtomicFile::create(&self.folder.raw().join(&name), atomic::PRIVATE)?;
        let mut identities = Vec::new();
        file.write_all(b"[")?;
        entries(&mut |id, bytes| {
            file.write_all(if identities.is_empty() { b"\n" } else { b",\n" })?;
            identities.push(Identity::of(id, bytes));
            file.write_all(bytes)
        })?;
        file.write_all(b"\n]\n")?;
        let written = file.commit()?;
        let record = FileRecord { size: written.size, hash: *written.hash.as_bytes(), entries: identities };
        self.verify(&name, &record)?;
        index.add(&name, record)?;
        Ok(written)
    }

    fn free_name(&self, local: NaiveDateTime) -> String {
        let name = |repeat| self.style.raw(self.scale, local.date(), local.time(), repeat);
        let taken = |name: &String| self.folder.raw().join(name).exists();
        (0..=u32::MAX).map(name).find(|name| !taken(name)).unwrap_or_default()
    }

    /// Reads a raw file again, bytes and entries.
    fn verify(&self, name: &str, record: &FileRecord) -> Result<(), Trouble> {
        let path = self.folder.raw().join(name);
        let (hash, size) = atomic::hash_file(&path)?;
        let mut found = Vec::with_capacity(record.entries.len());
        let read = each_entry(&path, |id, bytes| found.push(Identity::of(id, bytes)));
        if *hash.as_bytes() == record.hash && size == record.size && read.is_ok() && found == record.entries {
            return Ok(());
        }
        Err(Trouble::Differs(name.to_owned()))
    }

    /// Proves for these entries that the archive holds them, by reading every raw file concerned. Entries that cannot be
    /// proven are left out; the names of files that are not what they were are returned beside.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn prove(&self, index: &Index, wanted: &[Identity]) -> io::Result<(Vec<Held>, Vec<String>)> {
        let mut open: std::collections::HashSet<Identity> = wanted.iter().copied().collect();
        let (mut held, mut damaged) = (Vec::new(), Vec::new());
        for (name, record) in &index.files {
            if open.is_empty() {
                break;
            }
            if !record.entries.iter().any(|identity| open.contains(identity)) {
                continue;
            }
            match self.verify(name, record) {
                Ok(()) => {
                    let proven = record.entries.iter().filter(|identity| open.remove(identity));
                    held.extend(proven.map(|identity| Held { identity: *identity }));
                }
                Err(Trouble::Io(error)) => return Err(error),
                Err(Trouble::Differs(name)) => damaged.push(name),
            }
        }
        Ok((held, damaged))
    }
}

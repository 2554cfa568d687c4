//! The raw archive: entries as they came, in files that are never changed afterwards, read back before they count.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::disk::atomic;
use crate::disk::atomic::Written;
use crate::disk::joined_sync::JoinedSync;
use crate::fault;
use crate::pool::identity::Identity;
use crate::pool::incoming::Incoming;
use crate::pool::index::Index;
use crate::pool::paths::{DateStyle, ServerFolder};
use crate::pool::raw_file::{Reading, hash_back, read_back};
use crate::pool::received::Received;
use crate::study::entry::Entries;
use crate::study::name::ScaleName;

/// The proof that these contents of these ids stand in raw files that were just read back and are what they were.
/// Only this room can make one.
#[derive(Debug)]
pub struct Proof {
    scale: ScaleName,
    identities: Vec<Identity>,
}

impl Proof {
    pub fn count(&self) -> usize {
        self.identities.len()
    }

    pub(super) fn into_parts(self) -> (ScaleName, Vec<Identity>) {
        (self.scale, self.identities)
    }
}

/// Where and how raw files of a scale are named.
#[derive(Debug)]
pub struct Archive<'a> {
    pub folder: &'a ServerFolder,
    pub scale: &'a ScaleName,
    pub style: &'a DateStyle,
    pub timezone: Tz,
    /// The folder of raw files, as all who archive into it sync it.
    pub raw: &'a JoinedSync,
}

/// A raw file that was written, read back and recorded.
#[derive(Debug)]
pub struct Stored {
    pub written: Written,
    /// So many entries were read back from it.
    pub entries: u64,
}

/// Why entries could not be archived.
#[derive(Debug)]
pub enum Trouble {
    Io(io::Error),
    /// A raw file read back differently from what was written; it was put aside.
    Differs(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Archive<'_> {
    /// Archives what is new of an answer: the answer itself when all of it is, else a file of the new entries, byte
    /// for byte. Durable, and read back, when this returns.
    ///
    /// # Errors
    /// [`Trouble`]; nothing of the answer counts as archived then.
    pub fn store(
        &self,
        index: &mut Index,
        mut incoming: Incoming,
        received: &mut Received,
        now: DateTime<Utc>,
    ) -> Result<Stored, Trouble> {
        let whole = received.new_entries() as u64 == received.count;
        let file = if whole {
            received.take_all();
            incoming
        } else {
            self.only_new(&mut incoming, received)?
        };
        let local = now.with_timezone(&self.timezone).naive_local();
        let name = |repeat| self.style.raw(self.scale, local.date(), local.time(), repeat);
        let (name, written) = file.publish(name, || self.raw.sync())?;
        // These bytes were parsed and hashed, entry by entry and as a whole, before they were written: when the file has
        // them again, all of its entries are there.
        if hash_back(&written.path)? != (written.hash, written.size) {
            self.put_aside(&written.path, &name)?;
            return Err(Trouble::Differs(name));
        }
        received.prove_written();
        fault::point("archive-verified", &written.path);
        index.append(&written.path, written.size, *written.hash.as_bytes(), received.written())?;
        fault::point("index-appended", &written.path);
        let entries = received.written().count() as u64;
        Ok(Stored { written, entries })
    }

    fn only_new(&self, answer: &mut Incoming, received: &mut Received) -> io::Result<Incoming> {
        let mut out = BufWriter::with_capacity(1 << 17, Incoming::open(&self.folder.raw())?);
        let mut first = true;
        let mut entries = Entries::new(answer.rewound()?);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|broken| io::Error::other(broken.to_string()))?;
            if received.take_new(&Identity::of(entry.id, entry.bytes)) {
                out.write_all(if first { b"[\n" } else { b",\n" })?;
                out.write_all(entry.bytes)?;
                first = false;
            }
        }
        if !received.is_all_held_or_written() {
            return Err(io::Error::other("what was received reads differently from the disk"));
        }
        out.write_all(b"\n]\n")?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }

    /// A file that is not what was written must not be taken for a raw file by anyone.
    fn put_aside(&self, path: &Path, name: &str) -> io::Result<()> {
        atomic::create_folder(&self.folder.answers(), atomic::PRIVATE)?;
        fs::rename(path, self.folder.answers().join(format!("{name}.unreadable")))?;
        atomic::sync_folder(&self.folder.raw())
    }

    /// Makes these raw files durable, reads them back and notes which entries of the answer stand in them. What the index believed but
    /// no sound file shows is no longer taken for archived. Names of files that are not what they were are returned.
    ///
    /// # Errors
    /// Whatever the file system says, except that a file cannot be read: that is damage.
    pub fn prove(
        &self,
        index: &Index,
        concerned: &BTreeSet<String>,
        received: &mut Received,
        mut between: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Vec<(String, String)>> {
        let mut damaged = Vec::new();
        for name in concerned {
            between()?;
            let path = self.folder.raw().join(name);
            let record = index.files.get(name);
            // Whoever wrote it may have been killed, or never cared: a page in memory is no archive.
            let durable = File::open(&path).and_then(|file| file.sync_all());
            let reading = durable.and_then(|()| read_back(&path, |id, bytes| received.find(&Identity::of(id, bytes))));
            let why = match reading {
                Err(error) => Some(error.to_string()),
                Ok(Reading { result: Err(broken), .. }) => Some(broken.to_string()),
                Ok(reading) => {
                    let same = record.is_some_and(|r| r.hash == *reading.hash.as_bytes() && r.size == reading.size);
                    (!same).then(|| "is not what it was when it was written".to_owned())
                }
            };
            received.settle(why.is_none());
            damaged.extend(why.map(|why| (name.clone(), why)));
        }
        received.doubt_unproven();
        Ok(damaged)
    }

    /// What may be deleted: nothing but what was read back, once the way to it is durable too. A run that was killed may
    /// have made a name or a folder and not synced it.
    ///
    /// # Errors
    /// Whatever the file system says; nothing may be deleted then.
    pub fn proof(&self, received: Received) -> io::Result<Proof> {
        let identities = received.into_proven();
        if !identities.is_empty() {
            self.raw.sync()?;
            atomic::sync_folder(self.folder.path())?;
            self.folder.path().parent().map_or(Ok(()), atomic::sync_folder)?;
        }
        Ok(Proof { scale: self.scale.clone(), identities })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::received::Gathering;

    struct Pool {
        raw: JoinedSync,
        _folder: tempfile::TempDir,
        server: ServerFolder,
        scale: ScaleName,
    }

    impl Pool {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let server = ServerFolder::new(folder.path());
            Self { raw: JoinedSync::new(server.raw()), server, scale: ScaleName::new("OA").unwrap(), _folder: folder }
        }

        fn archive(&self) -> Archive<'_> {
            let (folder, scale, style) = (&self.server, &self.scale, &DateStyle::Iso);
            Archive { folder, scale, style, timezone: chrono_tz::America::New_York, raw: &self.raw }
        }

        fn index(&self) -> Index {
            Index::open(&self.server, &self.scale).unwrap()
        }

        fn receive(&self, text: &str) -> (Incoming, Received) {
            let mut incoming = Incoming::open(&self.server.raw()).unwrap();
            incoming.write_all(text.as_bytes()).unwrap();
            let mut gathering = Gathering::default();
            let mut entries = Entries::new(text.as_bytes());
            while let Some(entry) = entries.next() {
                let entry = entry.unwrap();
                gathering.add(entry.id, entry.bytes);
            }
            (incoming, gathering.finish())
        }

        fn store(&self, text: &str) -> (Received, Written) {
            let (incoming, mut received) = self.receive(text);
            let mut index = self.index();
            index.compare(&mut received).unwrap();
            let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
            let stored = self.archive().store(&mut index, incoming, &mut received, now).unwrap();
            assert_eq!(stored.entries, received.written().count() as u64);
            (received, stored.written)
        }
    }

    #[test]
    fn an_answer_that_is_all_new_is_kept_as_it_came() {
        let pool = Pool::new();
        let text = " [ {\"id\": 1},\n {\"id\":2} ] ";
        let (received, written) = pool.store(text);
        assert_eq!(written.path.file_name().unwrap(), "OA_2023-11-14_17-13-20.json");
        assert_eq!(fs::read_to_string(&written.path).unwrap(), text);
        assert_eq!(received.proven().count(), 2);
    }

    #[test]
    fn only_new_entries_are_kept_each_once_and_in_order() {
        let pool = Pool::new();
        pool.store(r#"[{"id":2}]"#);
        let (received, written) =
            pool.store(r#"[{"id":9, "t":"é"},{"id":2},{"id":9, "t":"é"},{"id":3},{"id":2,"v":2}]"#);
        let text = fs::read_to_string(&written.path).unwrap();
        assert_eq!(text, "[\n{\"id\":9, \"t\":\"é\"},\n{\"id\":3},\n{\"id\":2,\"v\":2}\n]\n");
        assert_eq!(written.path.file_name().unwrap(), "OA_2023-11-14_17-13-20-1.json");
        assert_eq!((received.proven().count(), pool.index().distinct().unwrap()), (3, 4));
    }

    #[test]
    fn what_does_not_read_back_is_neither_proven_nor_held() {
        let pool = Pool::new();
        let text = r#"[{"id":1,"x":"aaaa"},{"id":2}]"#;
        let (_, written) = pool.store(text);
        let (_, mut received) = pool.receive(text);
        let index = pool.index();
        let concerned = index.compare(&mut received).unwrap();
        assert_eq!(received.held().count(), 2);
        fs::write(&written.path, text.replace("aaaa", "aaba")).unwrap();
        let damaged = pool.archive().prove(&index, &concerned, &mut received, || Ok(())).unwrap();
        assert_eq!((damaged.len(), received.held().count(), received.proven().count()), (1, 0, 0));
        assert_eq!(pool.archive().proof(received).unwrap().count(), 0);
    }
}

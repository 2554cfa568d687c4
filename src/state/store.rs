//! The state in memory, read from its file and written back change by change.

use rustc_hash::FxHashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::disk::append_log::{AppendLog, Frames, frame};
use crate::disk::atomic;
use crate::disk::stamp::Seen;
use crate::state::manifest::{Manifest, Setback};
use crate::state::names::{Name, Names};
use crate::state::record::{Reader, Record, encode};

/// Names the format of the state's file and its version.
const MAGIC: &[u8] = b"mtdata state 1\n\0";
/// Changes are handed to the kernel at latest when so many bytes wait.
const FLUSH: usize = 1 << 16;
/// A file with more superseded than living bytes is written anew, unless it is this small anyway.
const SMALL: u64 = 1 << 18;
/// About how much of the file goes with each text; only how much room is made at first hangs on it.
const BYTES_FOR_A_TEXT: u64 = 128;

/// All manifests, hashes and setbacks.
#[derive(Debug, Default)]
pub struct Store {
    pub names: Names,
    seen: Vec<Option<Seen>>,
    manifests: FxHashMap<Name, Manifest>,
    setbacks: FxHashMap<Name, Setback>,
    /// How many names the file holds.
    written_names: usize,
    pending: Vec<u8>,
    journal: Option<AppendLog>,
    /// Whole bytes of the file when it was read.
    whole: u64,
    damaged: bool,
}

impl Store {
    /// Reads the state. A missing file is an empty state; damage costs what follows it, never the start.
    pub fn read(path: &Path) -> io::Result<Self> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        Self::parse(BufReader::with_capacity(FLUSH, file), length)
    }

    /// `length`: how many bytes there are.
    fn parse(bytes: impl Read, length: u64) -> io::Result<Self> {
        let mut frames = Frames::new(bytes, MAGIC)?;
        let texts = usize::try_from(length / BYTES_FOR_A_TEXT).unwrap_or_default();
        let mut store = Self { names: Names::with_room(texts), ..Self::default() };
        while let Some(payload) = frames.next_payload()? {
            let mut reader = Reader::new(payload, store.names.len());
            while !reader.is_empty() {
                match reader.record() {
                    Some(record) => store.apply(record),
                    // Checksum right, content wrong: written by another version. Start anew rather than guess.
                    None => return Ok(Self { damaged: true, ..Self::default() }),
                }
            }
        }
        store.whole = frames.whole();
        store.damaged = store.whole != length;
        store.written_names = store.names.len();
        Ok(store)
    }

    fn apply(&mut self, record: Record<'_>) {
        match record {
            Record::Text(text) => {
                self.names.intern(text);
            }
            Record::Seen(path, seen) => self.put_seen(path, seen),
            Record::Done(target, manifest) => {
                self.setbacks.remove(&target);
                self.manifests.insert(target, manifest);
            }
            Record::Failed(target, setback) => {
                self.setbacks.insert(target, setback);
            }
            Record::Forgotten(target) => {
                self.manifests.remove(&target);
                self.setbacks.remove(&target);
            }
        }
    }

    fn put_seen(&mut self, path: Name, seen: Seen) {
        if self.seen.len() <= path.index() {
            self.seen.resize(self.names.len().max(path.index() + 1), None);
        }
        self.seen[path.index()] = Some(seen);
    }

    /// True when a part of the file was lost and left out.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Forgets how files looked, so that each is read again; what they held stays known.
    pub fn distrust(&mut self) {
        self.seen.clear();
    }

    /// Opens the file for the changes of this run; a damaged end is cut off now.
    pub fn open_for_writing(&mut self, path: &Path) -> io::Result<()> {
        let mut journal = AppendLog::of_frames(path, self.whole)?;
        if self.whole == 0 {
            journal.append(|out| out.write_all(MAGIC))?;
        }
        self.journal = Some(journal);
        Ok(())
    }

    pub fn seen(&self, path: Name) -> Option<&Seen> {
        self.seen.get(path.index()).and_then(Option::as_ref)
    }

    /// Files below a folder that some run looked at, in order.
    pub fn seen_below(&self, folder: &str) -> Vec<Name> {
        let below = |name: &Name| self.names.text(*name).strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let seen = self.seen.iter().enumerate().filter(|(_, seen)| seen.is_some());
        seen.filter_map(|(index, _)| u32::try_from(index).ok().map(Name)).filter(below).collect()
    }

    pub fn manifest(&self, target: Name) -> Option<&Manifest> {
        self.manifests.get(&target)
    }

    pub fn setback(&self, target: Name) -> Option<&Setback> {
        self.setbacks.get(&target)
    }

    /// In no order.
    pub fn setbacks(&self) -> impl Iterator<Item = (Name, &Setback)> {
        self.setbacks.iter().map(|(&target, setback)| (target, setback))
    }

    /// In no order.
    pub fn manifests(&self) -> impl Iterator<Item = (Name, &Manifest)> {
        self.manifests.iter().map(|(&target, manifest)| (target, manifest))
    }

    pub fn record_seen(&mut self, path: Name, seen: Seen) -> io::Result<()> {
        self.put_seen(path, seen);
        self.push(&Record::Seen(path, seen))
    }

    pub fn record_done(&mut self, target: Name, manifest: Manifest) -> io::Result<()> {
        self.push(&Record::Done(target, manifest.clone()))?;
        self.setbacks.remove(&target);
        self.manifests.insert(target, manifest);
        Ok(())
    }

    pub fn record_failed(&mut self, target: Name, setback: Setback) -> io::Result<()> {
        self.push(&Record::Failed(target, setback.clone()))?;
        self.setbacks.insert(target, setback);
        Ok(())
    }

    pub fn forget(&mut self, target: Name) -> io::Result<()> {
        self.push(&Record::Forgotten(target))?;
        self.manifests.remove(&target);
        self.setbacks.remove(&target);
        Ok(())
    }

    fn push(&mut self, record: &Record<'_>) -> io::Result<()> {
        if self.journal.is_none() {
            return Ok(());
        }
        for text in self.names.from(self.written_names) {
            encode(&Record::Text(text), &mut self.pending);
        }
        self.written_names = self.names.len();
        encode(record, &mut self.pending);
        if self.pending.len() >= FLUSH { self.flush() } else { Ok(()) }
    }

    /// Hands all changes to the kernel: a killed process loses none of them.
    ///
    /// # Errors
    /// Whatever the file system says; the changes then wait for the next flush.
    pub fn flush(&mut self) -> io::Result<()> {
        if let (Some(journal), false) = (&mut self.journal, self.pending.is_empty()) {
            let mut bytes = Vec::with_capacity(self.pending.len() + 8);
            frame(&self.pending, &mut bytes);
            journal.append(|out| out.write_all(&bytes))?;
            self.pending.clear();
        }
        Ok(())
    }

    /// Ends the writing: flushed, and written anew when more than half of the file is superseded.
    pub fn close(&mut self) -> io::Result<()> {
        self.flush()?;
        let Some(journal) = self.journal.take() else { return Ok(()) };
        let length = journal.length()?;
        if length == self.whole {
            return Ok(());
        }
        if length > SMALL {
            let compact = self.compact();
            if (compact.len() as u64) * 2 < length {
                atomic::write(journal.path(), atomic::PRIVATE, &compact)?;
                return Ok(());
            }
        }
        journal.sync()
    }

    /// The living records only: hashes of files that no manifest names are left out.
    fn compact(&self) -> Vec<u8> {
        let mut names = Renamed::default();
        let mut records = Vec::new();
        let mut targets: Vec<Name> = self.manifests.keys().chain(self.setbacks.keys()).copied().collect();
        targets.sort_unstable();
        targets.dedup();
        for &target in &targets {
            let new = names.of(target);
            if let Some(manifest) = self.manifests.get(&target) {
                records.push(Record::Done(new, names.manifest(manifest)));
            }
            if let Some(setback) = self.setbacks.get(&target) {
                let setback = Setback { run: names.of(setback.run), message: names.of(setback.message), ..*setback };
                records.push(Record::Failed(new, setback));
            }
        }
        for &old in &names.order.clone() {
            if let Some(seen) = self.seen(old) {
                records.push(Record::Seen(names.of(old), *seen));
            }
        }
        let mut out = MAGIC.to_vec();
        let mut payload = Vec::new();
        let texts = names.order.iter().map(|&old| Record::Text(self.names.text(old)));
        for record in texts.chain(records) {
            encode(&record, &mut payload);
            if payload.len() >= FLUSH {
                frame(&payload, &mut out);
                payload.clear();
            }
        }
        if !payload.is_empty() {
            frame(&payload, &mut out);
        }
        out
    }
}

/// New numbers for the names that are still used.
#[derive(Default)]
struct Renamed {
    new: FxHashMap<Name, Name>,
    order: Vec<Name>,
}

impl Renamed {
    fn of(&mut self, old: Name) -> Name {
        *self.new.entry(old).or_insert_with(|| {
            self.order.push(old);
            Name(u32::try_from(self.order.len() - 1).expect("no more names than before"))
        })
    }

    fn manifest(&mut self, old: &Manifest) -> Manifest {
        Manifest {
            revision: old.revision,
            parameters: old.parameters.iter().map(|&(key, value)| (self.of(key), self.of(value))).collect(),
            inputs: old.inputs.iter().map(|&(path, content)| (self.of(path), content)).collect(),
            outputs: old.outputs.iter().map(|&(path, content)| (self.of(path), content)).collect(),
            run: self.of(old.run),
            finished: old.finished,
            unfinished: old.unfinished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::content::Content;
    use crate::disk::stamp::Stamp;

    fn content(byte: u8) -> Content {
        Content::from_bytes([byte; 32])
    }

    fn fill(store: &mut Store, round: u8) {
        for target in ["decode/m/OA/2026-11-23", "combine/m/OA"] {
            let name = store.names.intern(target);
            let path = store.names.intern(&format!("data/{target}.csv"));
            let run = store.names.intern(&format!("run {round}"));
            let key = store.names.intern("keys");
            let stamp = Stamp { device: 1, inode: u64::from(round), size: 3, modified: 4, changed: 5 };
            store.record_seen(path, Seen { stamp, content: content(round), taken: 9 }).unwrap();
            let manifest = Manifest {
                revision: 1,
                parameters: vec![(key, run)],
                inputs: vec![(path, content(round))],
                outputs: vec![(path, Content::ABSENT)],
                run,
                finished: i64::from(round),
                unfinished: false,
            };
            store.record_done(name, manifest).unwrap();
            store.flush().unwrap();
        }
    }

    fn facts(store: &Store) -> Vec<(String, i64, String)> {
        let mut facts: Vec<_> = store
            .manifests()
            .map(|(t, m)| (store.names.text(t).to_string(), m.finished, store.names.text(m.run).to_string()))
            .collect();
        facts.sort();
        facts
    }

    fn written(rounds: u8) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        for round in 0..rounds {
            let mut store = Store::read(&path).unwrap();
            store.open_for_writing(&path).unwrap();
            fill(&mut store, round);
            store.close().unwrap();
        }
        (folder, path)
    }

    #[test]
    fn what_was_recorded_is_read_again() {
        let (_folder, path) = written(3);
        let store = Store::read(&path).unwrap();
        assert!(!store.is_damaged());
        assert_eq!(facts(&store).len(), 2);
        assert!(facts(&store).iter().all(|f| f.1 == 2 && f.2 == "run 2"));
    }

    /// Every truncation and every flipped byte leaves a state that some earlier moment had.
    #[test]
    fn damage_anywhere_gives_an_earlier_state_and_never_a_refusal() {
        let (folder, path) = written(3);
        let bytes = std::fs::read(&path).unwrap();
        let parse = |bytes: &[u8]| Store::parse(bytes, bytes.len() as u64).unwrap();
        let mut earlier = vec![Vec::new()];
        let mut prefix = MAGIC.to_vec();
        let mut frames = Frames::new(&bytes[..], MAGIC).unwrap();
        while let Some(payload) = frames.next_payload().unwrap() {
            frame(payload, &mut prefix);
            earlier.push(facts(&parse(&prefix)));
        }
        let other = folder.path().join("other");
        for cut in 0..bytes.len() {
            assert!(earlier.contains(&facts(&parse(&bytes[..cut]))), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            for bit in [1, 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] ^= bit;
                let store = parse(&damaged);
                assert!(store.is_damaged() && earlier.contains(&facts(&store)), "flipped at {at}");
            }
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            std::fs::write(&other, &damaged).unwrap();
            let mut store = Store::read(&other).unwrap();
            store.open_for_writing(&other).unwrap();
            fill(&mut store, 7);
            store.close().unwrap();
            let mended = Store::read(&other).unwrap();
            assert!(!mended.is_damaged() && facts(&mended).iter().all(|f| f.1 == 7), "mended after {at}");
        }
    }

    #[test]
    fn the_file_is_written_anew_when_most_of_it_is_superseded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut store = Store::read(&path).unwrap();
        store.open_for_writing(&path).unwrap();
        for round in 0..2000 {
            fill(&mut store, u8::try_from(round % 250).unwrap());
        }
        let last = facts(&store);
        store.close().unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < 4096);
        assert_eq!(facts(&Store::read(&path).unwrap()), last);
    }

    #[test]
    fn a_read_only_state_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut store = Store::read(&path).unwrap();
        fill(&mut store, 1);
        store.close().unwrap();
        assert!(!path.exists());
    }
}

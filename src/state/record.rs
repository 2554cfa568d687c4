//! The state's records as bytes: little-endian, lengths first, every read checked.

use crate::disk::content::Content;
use crate::disk::stamp::{Seen, Stamp};
use crate::state::manifest::{Manifest, Setback};
use crate::state::names::Name;

/// One change of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'t> {
    /// The next name.
    Text(&'t str),
    Seen(Name, Seen),
    Done(Name, Manifest),
    Failed(Name, Setback),
    /// The target is no longer known.
    Forgotten(Name),
}

const TEXT: u8 = 1;
const SEEN: u8 = 2;
const DONE: u8 = 3;
const FAILED: u8 = 4;
const FORGOTTEN: u8 = 5;

/// Writes a record.
pub fn encode(record: &Record<'_>, out: &mut Vec<u8>) {
    match record {
        Record::Text(text) => {
            out.push(TEXT);
            length(text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
        Record::Seen(path, seen) => {
            out.push(SEEN);
            name(*path, out);
            let stamp = &seen.stamp;
            for number in [stamp.device, stamp.inode, stamp.size] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            for time in [stamp.modified, stamp.changed, seen.taken] {
                out.extend_from_slice(&time.to_le_bytes());
            }
            out.extend_from_slice(seen.content.bytes());
        }
        Record::Done(target, manifest) => {
            out.push(DONE);
            name(*target, out);
            encode_manifest(manifest, out);
        }
        Record::Failed(target, setback) => {
            out.push(FAILED);
            name(*target, out);
            name(setback.run, out);
            out.extend_from_slice(&setback.when.to_le_bytes());
            name(setback.message, out);
        }
        Record::Forgotten(target) => {
            out.push(FORGOTTEN);
            name(*target, out);
        }
    }
}

fn encode_manifest(manifest: &Manifest, out: &mut Vec<u8>) {
    out.extend_from_slice(&manifest.revision.to_le_bytes());
    name(manifest.run, out);
    out.extend_from_slice(&manifest.finished.to_le_bytes());
    out.push(u8::from(manifest.unfinished));
    length(manifest.parameters.len(), out);
    for (key, value) in &manifest.parameters {
        name(*key, out);
        name(*value, out);
    }
    for files in [&manifest.inputs, &manifest.outputs] {
        length(files.len(), out);
        for (path, content) in files {
            name(*path, out);
            out.extend_from_slice(content.bytes());
        }
    }
}

fn name(name: Name, out: &mut Vec<u8>) {
    out.extend_from_slice(&name.0.to_le_bytes());
}

fn length(length: usize, out: &mut Vec<u8>) {
    let length = u32::try_from(length).expect("texts and lists of a manifest stay below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
}

/// Reads records one after another. `None`: the bytes are no record.
#[derive(Debug)]
pub struct Reader<'b> {
    bytes: &'b [u8],
    /// How many names there are so far; a record naming another is damaged.
    names: u32,
}

impl<'b> Reader<'b> {
    pub fn new(bytes: &'b [u8], names: usize) -> Self {
        Self { bytes, names: u32::try_from(names).unwrap_or(u32::MAX) }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn record(&mut self) -> Option<Record<'b>> {
        match self.take::<1>()?[0] {
            TEXT => {
                let length = self.u32()? as usize;
                let text = std::str::from_utf8(self.bytes.get(..length)?).ok()?;
                self.bytes = &self.bytes[length..];
                self.names += 1;
                Some(Record::Text(text))
            }
            SEEN => Some(Record::Seen(self.name()?, self.seen()?)),
            DONE => Some(Record::Done(self.name()?, self.manifest()?)),
            FAILED => {
                let target = self.name()?;
                let (run, when, message) = (self.name()?, self.i64()?, self.name()?);
                Some(Record::Failed(target, Setback { run, when, message }))
            }
            FORGOTTEN => Some(Record::Forgotten(self.name()?)),
            _ => None,
        }
    }

    fn seen(&mut self) -> Option<Seen> {
        let (device, inode, size) = (self.u64()?, self.u64()?, self.u64()?);
        let (modified, changed, taken) = (self.i64()?, self.i64()?, self.i64()?);
        let content = Content::from_bytes(*self.take::<32>()?);
        Some(Seen { stamp: Stamp { device, inode, size, modified, changed }, content, taken })
    }

    fn manifest(&mut self) -> Option<Manifest> {
        let (revision, run, finished) = (self.u32()?, self.name()?, self.i64()?);
        let unfinished = match self.take::<1>()?[0] {
            0 => false,
            1 => true,
            _ => return None,
        };
        let parameters = self.list(8, |r| Some((r.name()?, r.name()?)))?;
        let file = |r: &mut Self| Some((r.name()?, Content::from_bytes(*r.take::<32>()?)));
        let inputs = self.list(36, file)?;
        let outputs = self.list(36, file)?;
        Some(Manifest { revision, parameters, inputs, outputs, run, finished, unfinished })
    }

    fn list<T>(&mut self, width: usize, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.u32()? as usize;
        // A damaged length must not ask for memory that the bytes could never fill.
        if length.checked_mul(width)? > self.bytes.len() {
            return None;
        }
        (0..length).map(|_| item(self)).collect()
    }

    fn name(&mut self) -> Option<Name> {
        let name = self.u32()?;
        (name < self.names).then_some(Name(name))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take::<4>().map(|b| u32::from_le_bytes(*b))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take::<8>().map(|b| u64::from_le_bytes(*b))
    }

    fn i64(&mut self) -> Option<i64> {
        self.take::<8>().map(|b| i64::from_le_bytes(*b))
    }

    fn take<const N: usize>(&mut self) -> Option<&'b [u8; N]> {
        let (head, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(head)
    }
}

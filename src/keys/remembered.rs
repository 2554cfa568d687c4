//! Remembered plaintext of encrypted values, one file per raw file, so that no value is opened twice. Rebuildable.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::disk::atomic::{self, AtomicFile};
use crate::keys::ring::Closed;
use crate::pool::paths::ServerFolder;

const MAGIC: &[u8; 8] = b"mtplain2";
/// Tags up to here are numbers of keys, those above are reasons.
const LAST_KEY: u8 = 252;

/// A ciphertext by its hash: right whatever else may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sealed(u128);

impl Sealed {
    pub fn of(ciphertext: &str) -> Self {
        let hash = blake3::hash(ciphertext.as_bytes());
        let half = hash.as_bytes().first_chunk::<16>().expect("a hash has 32 bytes");
        Self(u128::from_be_bytes(*half))
    }
}

/// What is known of a value: its text, or why none of the present keys opens it.
pub type Known<'p> = Result<&'p str, Closed>;

/// What is remembered of one raw file, about 30 bytes a value beside the text.
#[derive(Debug)]
pub struct Plain {
    path: PathBuf,
    /// Fingerprints of the server's keys, in their order.
    keys: Vec<String>,
    file: Records,
    /// What the file does not have: where the record begins in `texts`.
    fresh: HashMap<Sealed, usize>,
    /// Records as the file has them, without the ciphertext's hash.
    texts: Vec<u8>,
}

impl Plain {
    /// What is remembered of a raw file under the present keys: nothing when there is no memory or it is damaged. Values
    /// that were opened by a key which is no longer there are not known, nor are failures of another set of keys.
    pub fn open(folder: &ServerFolder, raw_name: &str, keys: &[String]) -> Self {
        let path = path_of(folder, raw_name);
        let file = std::fs::read(&path).ok().and_then(|bytes| Records::parse(bytes, keys)).unwrap_or_default();
        Self { path, keys: keys.to_vec(), file, fresh: HashMap::new(), texts: Vec::new() }
    }

    /// What the last run knew.
    pub fn remembered(&self, sealed: Sealed) -> Option<Known<'_>> {
        self.file.get(sealed)
    }

    /// What this run found out.
    pub fn found(&self, sealed: Sealed) -> Option<Known<'_>> {
        let (tag, text) = record(&self.texts[*self.fresh.get(&sealed)?..])?;
        Some(reason(tag).map_or(Ok(text), Err))
    }

    /// Remembers a text and which of the keys opened it, or why none did.
    pub fn put(&mut self, sealed: Sealed, result: &Result<(String, usize), Closed>) {
        let (tag, text) = match result {
            Ok((text, key)) => match u8::try_from(*key) {
                Ok(key) if key <= LAST_KEY => (key, text.as_str()),
                _ => return,
            },
            Err(closed) => (tag(*closed), ""),
        };
        let Ok(length) = u32::try_from(text.len()) else { return };
        self.fresh.insert(sealed, self.texts.len());
        self.texts.push(tag);
        self.texts.extend_from_slice(&length.to_le_bytes());
        self.texts.extend_from_slice(text.as_bytes());
    }

    /// Writes what is new.
    pub fn save(&mut self) -> io::Result<()> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let mut fresh: Vec<(Sealed, usize)> = self.fresh.iter().map(|(sealed, at)| (*sealed, *at)).collect();
        fresh.sort_unstable();
        let mut out = Checked { file: AtomicFile::create(&self.path, atomic::PRIVATE)?, sum: crc32fast::Hasher::new() };
        out.write_all(MAGIC)?;
        out.write_all(&ring(&self.keys))?;
        out.write_all(&[u8::try_from(self.keys.len()).unwrap_or(LAST_KEY)])?;
        for key in self.keys.iter().take(usize::from(LAST_KEY)) {
            out.write_all(&[u8::try_from(key.len()).unwrap_or(u8::MAX)])?;
            out.write_all(&key.as_bytes()[..key.len().min(usize::from(u8::MAX))])?;
        }
        let mut old = self.file.all().peekable();
        for (sealed, at) in fresh {
            while let Some((before, tag, text)) = old.next_if(|(before, ..)| *before <= sealed) {
                if before < sealed {
                    out.record(before, tag, text)?;
                }
            }
            if let Some((tag, text)) = record(&self.texts[at..]) {
                out.record(sealed, tag, text)?;
            }
        }
        for (sealed, tag, text) in old {
            out.record(sealed, tag, text)?;
        }
        let sum = out.sum.clone().finalize();
        out.file.write_all(&sum.to_le_bytes())?;
        out.file.commit().map(|_| ())
    }
}

/// How many values each key opened, by its fingerprint, as the memory in this file has it; nothing when it is damaged.
pub fn opened_by(bytes: Vec<u8>) -> BTreeMap<String, u64> {
    let Some((_, names, _)) = sound(&bytes).and_then(header) else { return BTreeMap::new() };
    let mut counts = BTreeMap::new();
    if let Some(records) = Records::parse(bytes, &names) {
        for (_, tag, _) in records.all() {
            if let Some(name) = names.get(usize::from(tag)) {
                *counts.entry(name.clone()).or_default() += 1;
            }
        }
    }
    counts
}

/// Where the memory of a raw file is.
pub fn path_of(folder: &ServerFolder, raw_name: &str) -> PathBuf {
    folder.plain().join(format!("{raw_name}.plain"))
}

/// Which keys a failure was a failure of.
fn ring(keys: &[String]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for key in keys {
        hasher.update(key.as_bytes());
        hasher.update(b"\n");
    }
    *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
}

fn tag(closed: Closed) -> u8 {
    match closed {
        Closed::NotCiphertext => LAST_KEY + 1,
        Closed::Garbage => LAST_KEY + 2,
        Closed::NoKey => LAST_KEY + 3,
    }
}

fn reason(tag: u8) -> Option<Closed> {
    [Closed::NotCiphertext, Closed::Garbage, Closed::NoKey].into_iter().find(|closed| self::tag(*closed) == tag)
}

struct Checked {
    file: AtomicFile,
    sum: crc32fast::Hasher,
}

impl Checked {
    fn record(&mut self, sealed: Sealed, tag: u8, text: &str) -> io::Result<()> {
        self.write_all(&sealed.0.to_be_bytes())?;
        self.write_all(&[tag])?;
        self.write_all(&u32::try_from(text.len()).unwrap_or_default().to_le_bytes())?;
        self.write_all(text.as_bytes())
    }
}

impl Write for Checked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The records of a file, sorted by ciphertext.
#[derive(Debug, Default)]
struct Records {
    /// Where each record begins that is right under the present keys.
    places: Vec<usize>,
    /// The present number of each key that the file numbers; `None` for one that is gone.
    numbers: Vec<Option<u8>>,
    bytes: Vec<u8>,
}

impl Records {
    fn parse(bytes: Vec<u8>, keys: &[String]) -> Option<Self> {
        let body = sound(&bytes)?;
        let (written_for, named, mut rest) = header(body)?;
        let present = |name: &String| keys.iter().position(|key| key == name).and_then(|at| u8::try_from(at).ok());
        let numbers: Vec<Option<u8>> = named.iter().map(present).collect();
        let failures_hold = written_for == ring(keys);
        let mut places = Vec::new();
        while !rest.is_empty() {
            let at = body.len() - rest.len();
            let (_, tail) = rest.split_first_chunk::<16>()?;
            let (tag, text) = record(tail)?;
            let holds = match reason(tag) {
                Some(_) => failures_hold,
                None => numbers.get(usize::from(tag)).copied().flatten().is_some(),
            };
            if holds {
                places.push(at);
            }
            rest = &tail[5 + text.len()..];
        }
        Some(Self { places, numbers, bytes })
    }

    /// The record at this place, its key in present numbers.
    fn at(&self, place: usize) -> Option<(Sealed, u8, &str)> {
        let (sealed, tail) = self.bytes[place..].split_first_chunk::<16>()?;
        let (tag, text) = record(tail)?;
        let tag = if reason(tag).is_some() { tag } else { self.numbers.get(usize::from(tag)).copied().flatten()? };
        Some((Sealed(u128::from_be_bytes(*sealed)), tag, text))
    }

    fn get(&self, sealed: Sealed) -> Option<Known<'_>> {
        let wanted = sealed.0.to_be_bytes();
        let found = self.places.binary_search_by(|place| self.bytes[*place..*place + 16].cmp(&wanted)).ok()?;
        let (_, tag, text) = self.at(self.places[found])?;
        Some(reason(tag).map_or(Ok(text), Err))
    }

    fn all(&self) -> impl Iterator<Item = (Sealed, u8, &str)> {
        self.places.iter().filter_map(|place| self.at(*place))
    }
}

/// The bytes before the sum, when that is right.
fn sound(bytes: &[u8]) -> Option<&[u8]> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(body) == u32::from_le_bytes(*sum)).then_some(body)
}

/// The keys whose failures are recorded, all keys by number, and what follows.
fn header(body: &[u8]) -> Option<([u8; 16], Vec<String>, &[u8])> {
    let rest = body.strip_prefix(MAGIC)?;
    let (written_for, rest) = rest.split_first_chunk::<16>()?;
    let (count, mut rest) = rest.split_first()?;
    let mut keys = Vec::new();
    for _ in 0..*count {
        let (length, tail) = rest.split_first()?;
        let (key, tail) = tail.split_at_checked(usize::from(*length))?;
        keys.push(std::str::from_utf8(key).ok()?.to_owned());
        rest = tail;
    }
    Some((*written_for, keys, rest))
}

/// Tag and text at the beginning of these bytes.
fn record(bytes: &[u8]) -> Option<(u8, &str)> {
    let (tag, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let text = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    Some((*tag, std::str::from_utf8(text).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    type Opened = Result<(String, usize), Closed>;

    #[test]
    fn remembered_once_and_never_believed_when_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let ring = keys(&["A"]);
        let open = || Plain::open(&server, "OA.json", &ring);
        let mut plain = open();
        plain.put(Sealed::of("x"), &Opened::Ok(("17".to_owned(), 0)));
        plain.put(Sealed::of("y"), &Err(Closed::Garbage));
        assert_eq!(plain.found(Sealed::of("x")), Some(Ok("17")));
        assert_eq!(plain.remembered(Sealed::of("x")), None);
        plain.save().unwrap();
        let mut plain = open();
        plain.put(Sealed::of("z"), &Opened::Ok((String::new(), 0)));
        plain.save().unwrap();
        let plain = open();
        assert_eq!(plain.remembered(Sealed::of("x")), Some(Ok("17")));
        assert_eq!(plain.remembered(Sealed::of("y")), Some(Err(Closed::Garbage)));
        assert_eq!(plain.remembered(Sealed::of("z")), Some(Ok("")));
        assert_eq!(plain.remembered(Sealed::of("w")), None);
        let path = path_of(&server, "OA.json");
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(open().remembered(Sealed::of("x")), None, "byte {at}");
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert_eq!(open().remembered(Sealed::of("x")), None, "cut at {at}");
        }
    }

    #[test]
    fn a_new_key_reopens_failures_only_and_a_lost_key_takes_its_texts_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let mut plain = Plain::open(&server, "OA.json", &keys(&["A", "B"]));
        plain.put(Sealed::of("a"), &Opened::Ok(("1".to_owned(), 0)));
        plain.put(Sealed::of("b"), &Opened::Ok(("2".to_owned(), 1)));
        plain.put(Sealed::of("c"), &Err(Closed::NoKey));
        plain.save().unwrap();
        let known = |names: &[&str]| {
            let plain = Plain::open(&server, "OA.json", &keys(names));
            ["a", "b", "c"].map(|value| plain.remembered(Sealed::of(value)).map(|known| known.map(str::to_owned)))
        };
        let texts = |a: Option<&str>, b: Option<&str>| [a, b].map(|text| text.map(|text| Ok(text.to_owned())));
        assert_eq!(known(&["A", "B"])[..2], texts(Some("1"), Some("2")));
        assert_eq!(known(&["A", "B"])[2], Some(Err(Closed::NoKey)));
        assert_eq!(known(&["C", "B", "A"]), [texts(Some("1"), Some("2")).to_vec(), vec![None]].concat()[..]);
        assert_eq!(known(&["B"])[..2], texts(None, Some("2")));
        // Written anew under other numbers, the texts stay with their keys.
        let mut plain = Plain::open(&server, "OA.json", &keys(&["C", "B", "A"]));
        plain.put(Sealed::of("c"), &Opened::Ok(("3".to_owned(), 0)));
        plain.save().unwrap();
        assert_eq!(known(&["A"])[..2], texts(Some("1"), None));
        let bytes = std::fs::read(path_of(&server, "OA.json")).unwrap();
        let (_, names, _) = header(sound(&bytes).unwrap()).unwrap();
        let records = Records::parse(bytes, &names).unwrap();
        assert_eq!(opened_by(std::fs::read(path_of(&server, "OA.json")).unwrap())["C"], 1);
        let mut opened: Vec<&str> = records.all().map(|(_, tag, _)| names[usize::from(tag)].as_str()).collect();
        opened.sort_unstable();
        assert_eq!(opened, ["A", "B", "C"]);
    }
}

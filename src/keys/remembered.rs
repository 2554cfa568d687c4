//! Remembered plaintext of encrypted values, one file per raw file, so that no value is opened twice. Rebuildable.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use crate::disk::append_log::{AppendLog, Frames, frame};
use crate::disk::atomic;
use crate::keys::ring::DecryptFailure;
use crate::pool::paths::ServerFolder;

const MAGIC: &[u8; 8] = b"mtplain3";
/// The format before: one payload and its CRC-32, written anew for every value.
const UNFRAMED: &[u8; 8] = b"mtplain2";
/// A frame is full at so many bytes.
const FRAME: usize = 1 << 20;
/// Tags up to here are numbers of keys, those above are reasons.
const LAST_KEY: u8 = 252;

/// A ciphertext by its hash: right whatever else may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ciphertext(u128);

impl Ciphertext {
    pub fn of(ciphertext: &str) -> Self {
        let hash = blake3::hash(ciphertext.as_bytes());
        let half = hash.as_bytes().first_chunk::<16>().expect("a hash has 32 bytes");
        Self(u128::from_be_bytes(*half))
    }
}

/// What is known of a value: its text, or why none of the present keys opens it.
pub type RememberedText<'p> = Result<&'p str, DecryptFailure>;

/// What is remembered of one raw file, about 30 bytes a value beside the text.
#[derive(Debug)]
pub struct Plain {
    path: PathBuf,
    /// Fingerprints of the server's keys, in their order.
    keys: Vec<String>,
    file: RecordedPlaintexts,
    /// What the file does not have: where the record begins in `texts`.
    fresh: HashMap<Ciphertext, usize>,
    /// Records as the file has them, without the ciphertext's hash.
    texts: Vec<u8>,
}

impl Plain {
    /// What is remembered of a raw file under the present keys: nothing when there is no memory or it is damaged. Values
    /// that were opened by a key which is no longer there are not known, nor are failures of another set of keys.
    pub fn open(folder: &ServerFolder, raw_name: &str, keys: &[String]) -> Self {
        let path = path_of(folder, raw_name);
        let file = RecordedPlaintexts::parse(std::fs::read(&path).unwrap_or_default(), keys);
        Self { path, keys: keys.to_vec(), file, fresh: HashMap::new(), texts: Vec::new() }
    }

    /// What the last run knew.
    pub fn remembered(&self, sealed: Ciphertext) -> Option<RememberedText<'_>> {
        self.file.get(sealed)
    }

    /// What this run found out.
    pub fn found(&self, sealed: Ciphertext) -> Option<RememberedText<'_>> {
        let (tag, text) = record(&self.texts[*self.fresh.get(&sealed)?..])?;
        Some(reason(tag).map_or(Ok(text), Err))
    }

    /// Remembers a text and which of the keys opened it, or why none did.
    pub fn put(&mut self, sealed: Ciphertext, result: &Result<(String, usize), DecryptFailure>) {
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

    /// Writes what is new. It is not synced: its frames tell after a crash what of it is whole, and it can be made again.
    pub fn save(&self) -> io::Result<()> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let mut fresh: Vec<(Ciphertext, usize)> = self.fresh.iter().map(|(sealed, at)| (*sealed, *at)).collect();
        fresh.sort_unstable();
        let new =
            fresh.iter().filter_map(|(sealed, at)| record(&self.texts[*at..]).map(|(tag, text)| (*sealed, tag, text)));
        if self.file.whole > 0 {
            let frames = frames(&self.keys, new);
            return AppendLog::of_frames(&self.path, self.file.whole)?.append(|out| out.write_all(&frames));
        }
        let mut all = MAGIC.to_vec();
        all.extend(frames(&self.keys, self.file.all().chain(new)));
        atomic::write(&self.path, atomic::PRIVATE, &all).map(|_| ())
    }
}

/// Frames of records that were made under these keys; each begins with the keys.
fn frames<'p>(keys: &[String], records: impl Iterator<Item = (Ciphertext, u8, &'p str)>) -> Vec<u8> {
    let mut header = ring(keys).to_vec();
    header.push(u8::try_from(keys.len()).unwrap_or(LAST_KEY));
    for key in keys.iter().take(usize::from(LAST_KEY)) {
        let key = &key.as_bytes()[..key.len().min(usize::from(u8::MAX))];
        header.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
        header.extend_from_slice(key);
    }
    let (mut out, mut payload) = (Vec::new(), header.clone());
    for (sealed, tag, text) in records {
        payload.extend_from_slice(&sealed.0.to_be_bytes());
        payload.push(tag);
        payload.extend_from_slice(&u32::try_from(text.len()).unwrap_or_default().to_le_bytes());
        payload.extend_from_slice(text.as_bytes());
        if payload.len() >= FRAME {
            frame(&payload, &mut out);
            payload.clone_from(&header);
        }
    }
    if payload.len() > header.len() {
        frame(&payload, &mut out);
    }
    out
}

/// How many values each key opened, by its fingerprint, as the memory in this file has it; nothing when it is damaged.
pub fn opened_by(bytes: Vec<u8>) -> BTreeMap<String, u64> {
    let mut names: Vec<String> = Vec::new();
    for payload in payloads(&bytes).0 {
        if let Some((_, named, _)) = header(&bytes[payload]) {
            names.extend(named.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
        }
    }
    let mut counts = BTreeMap::new();
    for (_, tag, _) in RecordedPlaintexts::parse(bytes, &names).all() {
        if let Some(name) = names.get(usize::from(tag)) {
            *counts.entry(name.clone()).or_default() += 1;
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

fn tag(closed: DecryptFailure) -> u8 {
    match closed {
        DecryptFailure::NotCiphertext => LAST_KEY + 1,
        DecryptFailure::Garbage => LAST_KEY + 2,
        DecryptFailure::NoKey => LAST_KEY + 3,
    }
}

fn reason(tag: u8) -> Option<DecryptFailure> {
    [DecryptFailure::NotCiphertext, DecryptFailure::Garbage, DecryptFailure::NoKey]
        .into_iter()
        .find(|closed| self::tag(*closed) == tag)
}

/// The records of a file that are right under the present keys.
#[derive(Debug, Default)]
struct RecordedPlaintexts {
    /// Where each record begins and its key's present number, or its reason; sorted by ciphertext.
    places: Vec<(usize, u8)>,
    bytes: Vec<u8>,
    /// Bytes that are sound and can be appended to.
    whole: u64,
}

impl RecordedPlaintexts {
    fn parse(bytes: Vec<u8>, keys: &[String]) -> Self {
        let (payloads, whole) = payloads(&bytes);
        let mut places = Vec::new();
        for payload in payloads {
            // What is sound but not understood was written by another version: nothing after it is believed.
            if places_in(&bytes, payload, keys, &mut places).is_none() {
                return Self::default();
            }
        }
        // What was found out later counts. A single frame is sorted already.
        let sealed = |(at, _): &(usize, u8)| &bytes[*at..*at + 16];
        places.reverse();
        places.sort_by(|a, b| sealed(a).cmp(sealed(b)));
        places.dedup_by(|a, b| sealed(a) == sealed(b));
        Self { places, bytes, whole }
    }

    fn at(&self, (at, tag): (usize, u8)) -> Option<(Ciphertext, u8, &str)> {
        let (sealed, tail) = self.bytes[at..].split_first_chunk::<16>()?;
        Some((Ciphertext(u128::from_be_bytes(*sealed)), tag, record(tail)?.1))
    }

    fn get(&self, sealed: Ciphertext) -> Option<RememberedText<'_>> {
        let wanted = sealed.0.to_be_bytes();
        let found = self.places.binary_search_by(|(at, _)| self.bytes[*at..*at + 16].cmp(&wanted)).ok()?;
        let (_, tag, text) = self.at(self.places[found])?;
        Some(reason(tag).map_or(Ok(text), Err))
    }

    fn all(&self) -> impl Iterator<Item = (Ciphertext, u8, &str)> {
        self.places.iter().filter_map(|place| self.at(*place))
    }
}

/// Adds where the records of a payload begin that are right under the present keys; `None` when it is not understood.
fn places_in(bytes: &[u8], payload: Range<usize>, keys: &[String], places: &mut Vec<(usize, u8)>) -> Option<()> {
    let (written_for, named, mut rest) = header(&bytes[payload.clone()])?;
    let present = |name: &String| keys.iter().position(|key| key == name).and_then(|at| u8::try_from(at).ok());
    let numbers: Vec<Option<u8>> = named.iter().map(present).collect();
    let failures_hold = written_for == ring(keys);
    while !rest.is_empty() {
        let at = payload.end - rest.len();
        let (_, tail) = rest.split_first_chunk::<16>()?;
        let (tag, text) = record(tail)?;
        let tag = match reason(tag) {
            Some(_) => failures_hold.then_some(tag),
            None => numbers.get(usize::from(tag)).copied().flatten(),
        };
        places.extend(tag.map(|tag| (at, tag)));
        rest = &tail[5 + text.len()..];
    }
    Some(())
}

/// Where the sound payloads of a file are, and how many of its bytes can be appended to.
fn payloads(bytes: &[u8]) -> (Vec<Range<usize>>, u64) {
    if bytes.starts_with(UNFRAMED) {
        let whole =
            bytes.split_last_chunk::<4>().filter(|(body, sum)| crc32fast::hash(body) == u32::from_le_bytes(**sum));
        return (whole.map(|(body, _)| UNFRAMED.len()..body.len()).into_iter().collect(), 0);
    }
    let mut found = Vec::new();
    // Reading what is in memory does not fail.
    let Ok(mut frames) = Frames::new(bytes, MAGIC) else { return (found, 0) };
    while let Ok(Some(payload)) = frames.next_payload() {
        let length = payload.len();
        let end = usize::try_from(frames.whole()).unwrap_or(bytes.len());
        found.push(end - length..end);
    }
    (found, frames.whole())
}

/// The keys whose failures are recorded, all keys by number, and what follows.
fn header(payload: &[u8]) -> Option<([u8; 16], Vec<String>, &[u8])> {
    let (written_for, rest) = payload.split_first_chunk::<16>()?;
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

    type Opened = Result<(String, usize), DecryptFailure>;

    #[test]
    fn remembered_once_and_never_believed_when_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let ring = keys(&["A"]);
        let open = || Plain::open(&server, "OA.json", &ring);
        let mut plain = open();
        plain.put(Ciphertext::of("x"), &Opened::Ok(("17".to_owned(), 0)));
        plain.put(Ciphertext::of("y"), &Err(DecryptFailure::Garbage));
        assert_eq!(plain.found(Ciphertext::of("x")), Some(Ok("17")));
        assert_eq!(plain.remembered(Ciphertext::of("x")), None);
        plain.save().unwrap();
        let path = path_of(&server, "OA.json");
        let first = std::fs::read(&path).unwrap();
        let mut plain = open();
        plain.put(Ciphertext::of("z"), &Opened::Ok((String::new(), 0)));
        plain.save().unwrap();
        let plain = open();
        assert_eq!(plain.remembered(Ciphertext::of("x")), Some(Ok("17")));
        assert_eq!(plain.remembered(Ciphertext::of("y")), Some(Err(DecryptFailure::Garbage)));
        assert_eq!(plain.remembered(Ciphertext::of("z")), Some(Ok("")));
        assert_eq!(plain.remembered(Ciphertext::of("w")), None);
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.starts_with(&first), "what is new is appended");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            for damaged in [&damaged[..], &bytes[..at]] {
                std::fs::write(&path, damaged).unwrap();
                let mut plain = open();
                assert_eq!(plain.remembered(Ciphertext::of("z")), None, "byte {at}");
                assert_eq!(plain.remembered(Ciphertext::of("x")), (at >= first.len()).then_some(Ok("17")), "byte {at}");
                // What is found out after the damage is kept.
                plain.put(Ciphertext::of("w"), &Opened::Ok(("4".to_owned(), 0)));
                plain.save().unwrap();
                assert_eq!(open().remembered(Ciphertext::of("w")), Some(Ok("4")), "byte {at}");
            }
        }
    }

    #[test]
    fn files_of_the_format_before_are_read_and_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let path = path_of(&server, "OA.json");
        // Made by hand: one key `A`, its text `17` for the ciphertext `x`.
        let hash = blake3::hash(b"x");
        let parts: [&[u8]; 7] =
            [b"mtplain2", &ring(&keys(&["A"])), b"\x01\x01A", &hash.as_bytes()[..16], b"\0", &[2, 0, 0, 0], b"17"];
        let mut old = parts.concat();
        old.extend(crc32fast::hash(&old).to_le_bytes());
        std::fs::create_dir_all(server.plain()).unwrap();
        std::fs::write(&path, &old).unwrap();
        assert_eq!(opened_by(old)["A"], 1);
        let mut plain = Plain::open(&server, "OA.json", &keys(&["A"]));
        assert_eq!(plain.remembered(Ciphertext::of("x")), Some(Ok("17")));
        plain.put(Ciphertext::of("y"), &Opened::Ok(("2".to_owned(), 0)));
        plain.save().unwrap();
        let plain = Plain::open(&server, "OA.json", &keys(&["A"]));
        assert_eq!(["x", "y"].map(|text| plain.remembered(Ciphertext::of(text))), [Some(Ok("17")), Some(Ok("2"))]);
        assert!(std::fs::read(&path).unwrap().starts_with(MAGIC));
    }

    #[test]
    fn a_new_key_reopens_failures_only_and_a_lost_key_takes_its_texts_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerFolder::new(folder.path());
        let mut plain = Plain::open(&server, "OA.json", &keys(&["A", "B"]));
        plain.put(Ciphertext::of("a"), &Opened::Ok(("1".to_owned(), 0)));
        plain.put(Ciphertext::of("b"), &Opened::Ok(("2".to_owned(), 1)));
        plain.put(Ciphertext::of("c"), &Err(DecryptFailure::NoKey));
        plain.save().unwrap();
        let known = |names: &[&str]| {
            let plain = Plain::open(&server, "OA.json", &keys(names));
            ["a", "b", "c"].map(|value| plain.remembered(Ciphertext::of(value)).map(|known| known.map(str::to_owned)))
        };
        let texts = |a: Option<&str>, b: Option<&str>| [a, b].map(|text| text.map(|text| Ok(text.to_owned())));
        assert_eq!(known(&["A", "B"])[..2], texts(Some("1"), Some("2")));
        assert_eq!(known(&["A", "B"])[2], Some(Err(DecryptFailure::NoKey)));
        assert_eq!(known(&["C", "B", "A"]), [texts(Some("1"), Some("2")).to_vec(), vec![None]].concat()[..]);
        assert_eq!(known(&["B"])[..2], texts(None, Some("2")));
        // Written anew under other numbers, the texts stay with their keys.
        let mut plain = Plain::open(&server, "OA.json", &keys(&["C", "B", "A"]));
        plain.put(Ciphertext::of("c"), &Opened::Ok(("3".to_owned(), 0)));
        plain.save().unwrap();
        assert_eq!(known(&["A"])[..2], texts(Some("1"), None));
        let bytes = std::fs::read(path_of(&server, "OA.json")).unwrap();
        let names = keys(&["A", "B", "C"]);
        let records = RecordedPlaintexts::parse(bytes, &names);
        assert_eq!(opened_by(std::fs::read(path_of(&server, "OA.json")).unwrap())["C"], 1);
        let mut opened: Vec<&str> = records.all().map(|(_, tag, _)| names[usize::from(tag)].as_str()).collect();
        opened.sort_unstable();
        assert_eq!(opened, ["A", "B", "C"]);
    }
}

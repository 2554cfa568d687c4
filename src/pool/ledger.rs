//! deletions.jsonl: what was meant to be deleted on the server, what was sent, what is confirmed. Only ever appended to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::disk::append_log::{AppendLog, each_line as each_line_of};
use crate::disk::atomic;
use crate::fault;
use crate::pool::identity::Identity;
use crate::pool::paths::ServerFolder;
use crate::pool::raw::Proof;
use crate::study::name::ScaleName;

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Its content is proven to be archived; from here on it may be deleted.
    Intended,
    /// A DELETE was sent; `status` is the answer, absent when there was none.
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

/// Entries whose archived content was read back and whose deletion is durably recorded as intended.
#[derive(Debug)]
pub struct Intended {
    scale: ScaleName,
    identities: Vec<Identity>,
}

/// One of them: the only thing that a DELETE can be asked for with.
#[derive(Debug, Clone, Copy)]
pub struct Deletable<'i> {
    scale: &'i ScaleName,
    identity: &'i Identity,
}

impl Intended {
    pub fn len(&self) -> usize {
        self.identities.len()
    }

    pub fn get(&self, place: usize) -> Option<Deletable<'_>> {
        self.identities.get(place).map(|identity| Deletable { scale: &self.scale, identity })
    }

    pub fn scale(&self) -> &ScaleName {
        &self.scale
    }

    pub fn identity(&self, place: usize) -> Option<&Identity> {
        self.identities.get(place)
    }

    pub fn identities(&self) -> impl Iterator<Item = &Identity> + Clone {
        self.identities.iter()
    }
}

impl Deletable<'_> {
    pub fn scale(&self) -> &ScaleName {
        self.scale
    }

    pub fn id(&self) -> i64 {
        self.identity.id
    }
}

/// The ledger of one server, opened for appending.
#[derive(Debug)]
pub struct Ledger {
    log: AppendLog,
    index: PathBuf,
}

impl Ledger {
    pub fn open(folder: &ServerFolder) -> io::Result<Self> {
        let log = AppendLog::of_lines(&folder.deletions())?;
        // Whoever made it may have been killed before its name was durable.
        atomic::sync_folder(folder.path())?;
        Ok(Self { log, index: folder.index() })
    }

    /// Records the intent to delete what is proven, durably.
    ///
    /// # Errors
    /// Whatever the file system says; nothing may be deleted then.
    pub fn intend(&mut self, proof: Proof) -> io::Result<Intended> {
        let (scale, identities) = proof.into_parts();
        if !identities.is_empty() {
            // Tells the next run where to look, should this one not come to its end.
            let from = self.log.length()?;
            atomic::write(&open_mark(&self.index, &scale), atomic::PRIVATE, format!("{from}\n").as_bytes())?;
            fault::point("intent-marked", self.log.path());
            self.append(&scale, Step::Intended, identities.iter().map(|identity| (identity, None)))?;
            fault::point("intent-recorded", self.log.path());
        }
        Ok(Intended { scale, identities })
    }

    /// Records a step of several deletions, durably.
    pub fn append<'i>(
        &mut self,
        scale: &ScaleName,
        step: Step,
        entries: impl Iterator<Item = (&'i Identity, Option<u16>)>,
    ) -> io::Result<()> {
        let at = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut any = false;
        self.log.append(|file| {
            let mut out = BufWriter::with_capacity(1 << 18, file);
            for (identity, status) in entries {
                let hash = blake3::Hash::from_bytes(identity.hash).to_hex().to_string();
                let line = Line { at: at.clone(), step, scale: scale.as_str(), id: identity.id, hash, status };
                serde_json::to_writer(&mut out, &line)?;
                out.write_all(b"\n")?;
                any = true;
            }
            out.flush()
        })?;
        if any { self.log.sync() } else { Ok(()) }
    }

    /// Every intent of this scale has an end.
    pub fn close(&self, scale: &ScaleName) -> io::Result<()> {
        atomic::remove(&open_mark(&self.index, scale)).map(|_| ())
    }
}

/// Marks anew what is open when the folder of the marks is gone: it may be removed at any time, the ledger may not.
pub fn reopen(folder: &ServerFolder) -> io::Result<()> {
    if folder.index().exists() || !folder.deletions().exists() {
        return Ok(());
    }
    let mut open: HashMap<String, HashSet<Identity>> = HashMap::new();
    each_line(folder, None, 0, |line, identity| match line.step {
        Step::Intended => drop(open.entry(line.scale.to_owned()).or_default().insert(identity)),
        Step::Sent => {}
        Step::Confirmed | Step::Failed => drop(open.get_mut(line.scale).map(|open| open.remove(&identity))),
    })?;
    for (scale, _) in open.iter().filter(|(_, open)| !open.is_empty()) {
        if let Ok(scale) = ScaleName::new(scale) {
            atomic::write(&open_mark(&folder.index(), &scale), atomic::PRIVATE, b"0\n")?;
        }
    }
    Ok(())
}

fn open_mark(index: &std::path::Path, scale: &ScaleName) -> PathBuf {
    index.join(format!("{scale}.open"))
}

/// Whether a run was broken off between the intent to delete and its confirmation.
pub fn is_open(folder: &ServerFolder, scale: &ScaleName) -> bool {
    open_mark(&folder.index(), scale).exists()
}

/// Intents of this scale that a run left without an end.
pub fn open_intents(folder: &ServerFolder, scale: &ScaleName) -> io::Result<HashSet<Identity>> {
    let mark = match fs::read_to_string(open_mark(&folder.index(), scale)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    let mut open = HashSet::new();
    each_line(folder, Some(scale), mark.trim().parse().unwrap_or_default(), |line, identity| match line.step {
        Step::Intended => drop(open.insert(identity)),
        Step::Sent => {}
        Step::Confirmed | Step::Failed => drop(open.remove(&identity)),
    })?;
    Ok(open)
}

/// What the ledger knows of an entry that is on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// When its deletion was first intended.
    pub since: DateTime<Utc>,
    /// It was seen to be gone.
    pub was_gone: bool,
}

/// What the ledger knows of these entries.
pub fn past_of<'i>(
    folder: &ServerFolder,
    scale: &ScaleName,
    wanted: impl Iterator<Item = &'i Identity>,
) -> io::Result<BTreeMap<Identity, Past>> {
    let wanted: HashSet<&Identity> = wanted.collect();
    let mut known: BTreeMap<Identity, Past> = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(known);
    }
    each_line(folder, Some(scale), 0, |line, identity| {
        if wanted.contains(&identity)
            && let Ok(at) = DateTime::parse_from_rfc3339(&line.at)
        {
            let past = known.entry(identity).or_insert(Past { since: at.to_utc(), was_gone: false });
            match line.step {
                Step::Confirmed => past.was_gone = true,
                // The next confirmation is another matter.
                Step::Intended if past.was_gone => *past = Past { since: at.to_utc(), was_gone: false },
                _ => {}
            }
        }
    })?;
    Ok(known)
}

/// How many deletions were meant and are not confirmed, and since when the oldest of them waits.
pub fn unconfirmed(folder: &ServerFolder) -> io::Result<(u64, Option<DateTime<Utc>>)> {
    let mut waiting: HashMap<(String, i64, String), DateTime<Utc>> = HashMap::new();
    each_line_of(&folder.deletions(), 0, |line| {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return };
        let key = (line.scale.to_owned(), line.id, line.hash);
        match (line.step, DateTime::parse_from_rfc3339(&line.at)) {
            (Step::Confirmed, _) => drop(waiting.remove(&key)),
            (_, Ok(at)) => drop(waiting.entry(key).or_insert(at.to_utc())),
            (_, Err(_)) => {}
        }
    })?;
    Ok((waiting.len() as u64, waiting.into_values().min()))
}

/// Entries of a scale that were to be deleted and were not seen to be gone since.
pub fn waiting(folder: &ServerFolder, scale: &ScaleName) -> io::Result<HashSet<Identity>> {
    let mut waiting = HashSet::new();
    each_line(folder, Some(scale), 0, |line, identity| match line.step {
        Step::Intended => drop(waiting.insert(identity)),
        Step::Sent | Step::Failed => {}
        Step::Confirmed => drop(waiting.remove(&identity)),
    })?;
    Ok(waiting)
}

/// Entries of a scale that the ledger knows to be gone from the server.
pub fn confirmed(folder: &ServerFolder, scale: &ScaleName) -> io::Result<HashSet<Identity>> {
    let mut gone = HashSet::new();
    each_line(folder, Some(scale), 0, |line, identity| match line.step {
        Step::Confirmed => drop(gone.insert(identity)),
        Step::Failed => drop(gone.remove(&identity)),
        Step::Intended | Step::Sent => {}
    })?;
    Ok(gone)
}

/// Numbers of the lines that cannot be read, from 1; none when there is no ledger.
pub fn unreadable_lines(folder: &ServerFolder) -> io::Result<Vec<usize>> {
    let (mut unreadable, mut number) = (Vec::new(), 0);
    each_line_of(&folder.deletions(), 0, |line| {
        number += 1;
        let sound = |line: &Line<'_>| blake3::Hash::from_hex(&line.hash).is_ok();
        if line != b"\n" && !serde_json::from_slice::<Line<'_>>(line).is_ok_and(|line| sound(&line)) {
            unreadable.push(number);
        }
    })?;
    Ok(unreadable)
}

/// Whether the ledger, or what it was at some earlier line, has this hash: only ever appended to, it has to.
pub fn begins_with(folder: &ServerFolder, hash: [u8; 32]) -> io::Result<bool> {
    let file = match File::open(folder.deletions()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let (mut lines, mut hasher, mut bytes) = (BufReader::new(file), blake3::Hasher::new(), Vec::new());
    while lines.read_until(b'\n', &mut bytes)? > 0 {
        hasher.update(&bytes);
        if *hasher.finalize().as_bytes() == hash {
            return Ok(true);
        }
        bytes.clear();
    }
    Ok(false)
}

/// Scales that any line names.
pub fn scales(folder: &ServerFolder) -> io::Result<BTreeSet<ScaleName>> {
    let mut scales = BTreeSet::new();
    each_line(folder, None, 0, |line, _| {
        if !scales.contains(line.scale) {
            scales.extend(ScaleName::new(line.scale));
        }
    })?;
    Ok(scales)
}

/// Entries of a scale that were to be deleted, and so stood in the archive then; true for those that were seen to be
/// gone from the server.
pub fn archived(folder: &ServerFolder, scale: &ScaleName) -> io::Result<HashMap<Identity, bool>> {
    let mut all = HashMap::new();
    each_line(folder, Some(scale), 0, |line, identity| {
        let gone = all.entry(identity).or_insert(false);
        *gone = line.step == Step::Confirmed || (*gone && line.step != Step::Failed);
    })?;
    Ok(all)
}

fn each_line(
    folder: &ServerFolder,
    scale: Option<&ScaleName>,
    from: u64,
    mut use_line: impl FnMut(&Line<'_>, Identity),
) -> io::Result<()> {
    let named = scale.map(|scale| memchr::memmem::Finder::new(scale.as_str()));
    each_line_of(&folder.deletions(), from, |bytes| {
        // Lines of other scales need no parsing; one that a crash left half says nothing.
        if named.as_ref().is_none_or(|named| named.find(bytes).is_some())
            && let Ok(line) = serde_json::from_slice::<Line<'_>>(bytes)
            && scale.is_none_or(|scale| line.scale == scale.as_str())
            && let Ok(hash) = blake3::Hash::from_hex(&line.hash)
        {
            use_line(&line, Identity { id: line.id, hash: *hash.as_bytes() });
        }
    })
}

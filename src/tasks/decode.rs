//! Decode: a day's raw files become one table; encrypted values are opened, what cannot be read goes to quarantine.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use secrecy::ExposeSecret;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::config::Project;
use crate::config::secret;
use crate::config::servers::{Server, Servers};
use crate::pool::atomic::{self, AtomicFile};
use crate::pool::identity::Identity;
use crate::pool::paths::ServerFolder;
use crate::pool::plain::{self, Plain};
use crate::pool::raw_file::each_entry;
use crate::study::cell;
use crate::study::entry::Broken;
use crate::study::keyring::{Closed, Key, Keyring};
use crate::study::name::ServerName;
use crate::task::{
    Axes, Count, Counts, Declaration, Done, Facts, Failure, FailureKind, Output, Task, Warning, Work, Written,
};

/// So many values are opened side by side before the next are read.
const BATCH: usize = 4096;

/// The decoding of all servers' days.
pub struct Decode {
    servers: Arc<Servers>,
    keys: BTreeMap<ServerName, ServerKeys>,
}

/// The keys of one server: sealed until a value has to be opened.
struct ServerKeys {
    /// Path and digest of each file; what is wrong with one of them is a failure of this server's decoding.
    files: Result<Vec<(PathBuf, String)>, Failure>,
    ring: OnceLock<Result<Keyring, Failure>>,
}

/// Looks at a key file without parsing it.
///
/// # Errors
/// When it is missing, or others can read it.
pub fn inspect(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bad = |what: &str| Failure::new(FailureKind::Key, format!("the private key {} {what}", path.display()));
    let found = std::fs::metadata(path).map_err(|error| {
        bad(&format!("cannot be found: {error}"))
            .advise("put it there, or mend `keys` in servers.toml; exports go on without it")
    })?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(bad("can be read by others").advise(format!("chmod 600 {}", path.display())));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(|error| bad(&format!("cannot be read: {error}")))
}

impl ServerKeys {
    fn new(server: &Server) -> Self {
        let one =
            |path: &PathBuf| inspect(path).map(|bytes| (path.clone(), blake3::hash(&bytes).to_hex()[..16].to_owned()));
        Self { files: server.keys.iter().map(one).collect(), ring: OnceLock::new() }
    }

    fn ring(&self, server: &Server) -> Result<&Keyring, Failure> {
        let files = self.files.as_ref().map_err(Clone::clone)?;
        let ring = self.ring.get_or_init(|| {
            let passphrase = server.passphrase.as_ref().map(secret::reveal).transpose()?;
            let passphrase = passphrase.as_ref().map(ExposeSecret::expose_secret);
            let one = |(path, _): &(PathBuf, String)| {
                let bytes = inspect(path)?;
                let pem = std::str::from_utf8(&bytes).unwrap_or_default();
                Key::from_pem(pem, passphrase).map_err(|bad| {
                    Failure::new(FailureKind::Key, format!("the private key {} {}", path.display(), bad.what))
                        .advise(bad.advice)
                })
            };
            files.iter().map(one).collect::<Result<_, _>>().map(Keyring::new)
        });
        ring.as_ref().map_err(Clone::clone)
    }
}

impl Decode {
    #[must_use]
    pub fn new(project: &Project) -> Self {
        let keys = project.servers.iter().map(|(name, server)| (name.clone(), ServerKeys::new(server))).collect();
        Self { servers: Arc::clone(&project.servers), keys }
    }
}

impl Task for Decode {
    fn revision(&self) -> u32 {
        1
    }

    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration {
        let (Some(name), Some(scale), Some(date)) = (&axes.server, &axes.scale, axes.date) else {
            return Declaration::default();
        };
        let (Some(seen), Some(server)) = (facts.servers.get(name), self.servers.get(name)) else {
            return Declaration::default();
        };
        let files = seen.scales.get(scale).and_then(|scale| scale.dates.get(&date));
        let table = server.date_style.table(scale, date);
        let keys = match self.keys.get(name).map(|keys| &keys.files) {
            Some(Ok(files)) => files.iter().map(|(_, digest)| digest.as_str()).collect::<Vec<_>>().join(" "),
            Some(Err(failure)) => failure.message.clone(),
            None => String::new(),
        };
        Declaration {
            inputs: files
                .into_iter()
                .flat_map(|files| &files.raw)
                .map(|raw| format!("{}/raw_data/{raw}", seen.path).into())
                .collect(),
            outputs: vec![
                Output::required(format!("{}/active_data/{table}", seen.path)),
                Output::optional(format!("{}/quarantine/{table}", seen.path)),
            ],
            parameters: vec![("keys", keys)],
        }
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        let server = work.axes.server.as_ref().and_then(|name| self.servers.get(name).zip(self.keys.get(name)));
        let Some((server, keys)) = server else {
            return Err(Failure::new(FailureKind::Internal, "a decoding without server"));
        };
        let folder = ServerFolder::new(&server.path);
        let day = Day { work, ring: keys.ring(server)?, folder: &folder };
        day.decode()
    }
}

/// One day of one scale.
struct Day<'d> {
    work: &'d Work<'d>,
    ring: &'d Keyring,
    folder: &'d ServerFolder,
}

/// What the first reading found.
#[derive(Default)]
struct Found {
    columns: BTreeSet<String>,
    closed: HashMap<[u8; 32], Closed>,
    /// By raw file.
    plain: Vec<Plain>,
    counts: Counts,
}

type Fields = BTreeMap<String, Box<RawValue>>;

impl Day<'_> {
    fn decode(&self) -> Result<Done, Failure> {
        let mut found = self.look()?;
        let tables = self.work.outputs.iter().map(|output| self.work.locate(&output.path)).collect::<Vec<_>>();
        let [active, quarantine] = tables.as_slice() else {
            return Err(Failure::new(FailureKind::Internal, "a decoding has two outputs"));
        };
        let written = self.write(&mut found, active, quarantine)?;
        for plain in &mut found.plain {
            plain.save().map_err(|error| Failure::write(&self.folder.plain(), &error))?;
        }
        Ok(Done { counts: found.counts, written, ..Done::default() })
    }

    fn each(&self, index: usize, mut use_entry: impl FnMut(Option<i64>, &[u8])) -> Result<(), Failure> {
        let path = self.work.locate(&self.work.inputs[index]);
        match each_entry(&path, &mut use_entry) {
            Ok(()) => Ok(()),
            Err(Broken::Io(error)) => Err(Failure::read(&path, &error)),
            Err(broken) => {
                let message = format!("{}: {broken}; the entries before it are used", path.display());
                self.work.voice.warn(Warning { code: "raw_salvaged", message, critical: true });
                Ok(())
            }
        }
    }

    /// The columns, and every encrypted value opened.
    fn look(&self) -> Result<Found, Failure> {
        let mut found = Found::default();
        for index in 0..self.work.inputs.len() {
            self.work.cancel.check()?;
            let name = self.work.inputs[index].rsplit('/').next().unwrap_or_default();
            let mut plain = Plain::open(self.folder, name);
            let mut batch: Vec<String> = Vec::new();
            let mut open = HashSet::new();
            self.each(index, |_, bytes| {
                let Ok(fields) = serde_json::from_slice::<Fields>(bytes) else { return };
                for (column, value) in &fields {
                    if !found.columns.contains(column) {
                        found.columns.insert(column.clone());
                    }
                    let Some(sealed) = sealed(column, value) else { continue };
                    let key = plain::key(&sealed);
                    if plain.get(&key).is_some() {
                        found.counts.add(Count::RsaReused, 1);
                    } else if !found.closed.contains_key(&key) && open.insert(key) {
                        batch.push(sealed);
                    }
                }
                if batch.len() >= BATCH {
                    self.open(&mut batch, &mut plain, &mut found);
                }
            })?;
            self.open(&mut batch, &mut plain, &mut found);
            found.plain.push(plain);
        }
        Ok(found)
    }

    fn open(&self, batch: &mut Vec<String>, plain: &mut Plain, found: &mut Found) {
        let opened: Vec<_> = batch.par_drain(..).map(|sealed| (plain::key(&sealed), self.ring.open(&sealed))).collect();
        for (key, result) in opened {
            match result {
                Ok(text) => {
                    found.counts.add(Count::RsaDecrypted, 1);
                    plain.put(key, text);
                }
                Err(closed) => drop(found.closed.insert(key, closed)),
            }
        }
    }

    fn write(&self, found: &mut Found, active: &Path, quarantine: &Path) -> Result<Vec<Written>, Failure> {
        let failed = |error: csv::Error| Failure::write(active, &std::io::Error::other(error));
        let file = AtomicFile::create(active, atomic::PRIVATE).map_err(|error| Failure::write(active, &error))?;
        let mut table = csv::WriterBuilder::new().from_writer(file);
        let columns: Vec<String> = found.columns.iter().cloned().collect();
        table.write_record(&columns).map_err(failed)?;
        let mut rows = Rows { columns: &columns, seen: HashSet::new(), refused: Vec::new(), problem: None, table };
        for index in 0..self.work.inputs.len() {
            self.work.cancel.check()?;
            let name = self.work.inputs[index].rsplit('/').next().unwrap_or_default().to_owned();
            let Found { plain, closed, counts, .. } = &mut *found;
            self.each(index, |id, bytes| rows.add(&name, id, bytes, &plain[index], closed, counts))?;
        }
        if let Some(error) = rows.problem {
            return Err(failed(error));
        }
        let Rows { table, refused, .. } = rows;
        let file = table.into_inner().map_err(|error| Failure::write(active, error.error()))?;
        let written = file.commit().map_err(|error| Failure::write(active, &error))?;
        found.counts.add(Count::BytesOut, written.size);
        let mut all = vec![written];
        all.extend(self.quarantine(quarantine, &refused)?);
        Ok(all)
    }

    fn quarantine(&self, path: &Path, refused: &[Refused]) -> Result<Option<Written>, Failure> {
        let failed = |error: std::io::Error| Failure::write(path, &error);
        if refused.is_empty() {
            atomic::remove(path).map_err(failed)?;
            return Ok(None);
        }
        let mut text = csv::Writer::from_writer(Vec::new());
        let io = |error: csv::Error| failed(std::io::Error::other(error));
        text.write_record(["file", "id", "column", "reason", "value"]).map_err(io)?;
        for row in refused {
            let id = row.id.map(|id| id.to_string()).unwrap_or_default();
            text.write_record([&row.file, &id, &row.column, row.reason, &row.value]).map_err(io)?;
        }
        let text = text.into_inner().map_err(|error| failed(std::io::Error::other(error.to_string())))?;
        let mut file = AtomicFile::create(path, atomic::PRIVATE).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        let unopened = refused.iter().filter(|row| row.column.ends_with("RSA")).count();
        if unopened > 0 {
            let message = format!("{unopened} encrypted values could not be opened; see {}", path.display());
            let critical = refused.iter().any(|row| row.reason == Closed::NoKey.word());
            self.work.voice.warn(Warning { code: "undecryptable", message, critical });
        }
        file.commit().map(Some).map_err(failed)
    }
}

/// A value that no cell holds, and why.
struct Refused {
    file: String,
    id: Option<i64>,
    column: String,
    reason: &'static str,
    value: String,
}

/// The table while it is written.
struct Rows<'r> {
    columns: &'r [String],
    seen: HashSet<Identity>,
    refused: Vec<Refused>,
    problem: Option<csv::Error>,
    table: csv::Writer<AtomicFile>,
}

impl Rows<'_> {
    fn add(
        &mut self,
        file: &str,
        id: Option<i64>,
        bytes: &[u8],
        plain: &Plain,
        closed: &HashMap<[u8; 32], Closed>,
        counts: &mut Counts,
    ) {
        counts.add(Count::EntriesRead, 1);
        counts.add(Count::BytesIn, bytes.len() as u64);
        if !self.seen.insert(Identity::of(id, bytes)) {
            counts.add(Count::Duplicates, 1);
            return;
        }
        let refuse = |column: &str, reason, value: String| Refused {
            file: file.to_owned(),
            id,
            column: column.to_owned(),
            reason,
            value,
        };
        let Ok(fields) = serde_json::from_slice::<Fields>(bytes) else {
            self.refused.push(refuse("", "not_an_object", String::from_utf8_lossy(bytes).into_owned()));
            counts.add(Count::Quarantined, 1);
            return;
        };
        let mut record = csv::StringRecord::new();
        for column in self.columns {
            let Some(value) = fields.get(column) else {
                record.push_field("");
                continue;
            };
            if let Some(sealed) = sealed(column, value) {
                let key = plain::key(&sealed);
                if let Some(text) = plain.get(&key) {
                    record.push_field(text);
                } else {
                    let reason = closed.get(&key).copied().unwrap_or(Closed::NoKey).word();
                    counts.add(Count::RsaFailed, 1);
                    counts.add(Count::Quarantined, 1);
                    self.refused.push(refuse(column, reason, sealed));
                    record.push_field("");
                }
                continue;
            }
            if let Ok(text) = cell::text(value.get()) {
                record.push_field(&text);
            } else {
                counts.add(Count::Quarantined, 1);
                self.refused.push(refuse(column, "not_unicode", value.get().to_owned()));
                record.push_field("");
            }
        }
        counts.add(Count::RowsOut, 1);
        if let Err(error) = self.table.write_record(&record) {
            self.problem.get_or_insert(error);
        }
    }
}

/// The encrypted text of a column named `*RSA`; empty ones are simply empty.
fn sealed(column: &str, value: &RawValue) -> Option<String> {
    if !column.ends_with("RSA") {
        return None;
    }
    let text = cell::text(value.get()).ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

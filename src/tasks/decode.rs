//! Decode: a day's raw files become one table; encrypted values are opened, what cannot be read goes to quarantine.

mod batch;
mod day;
mod drift;
pub mod rows;
mod shrunk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use secrecy::{ExposeSecret, SecretString};

use crate::code::Code;
use crate::config::Project;
use crate::config::secret;
use crate::config::servers::{Server, Servers};
use crate::failure::Failure;
use crate::keys::file::inspect;
use crate::keys::ring::{Keyring, RingKey};
use crate::pool::paths::ServerFolder;
use crate::study::name::ServerName;
use crate::task::{Axes, Declaration, Done, Facts, Output, Task, Work};
use crate::tasks::decode::day::DayDecoding;

/// The decoding of all servers' days.
pub struct DecodeTask {
    servers: Arc<Servers>,
    keys: BTreeMap<ServerName, ServerKeys>,
}

/// The keys of one server: sealed until a value has to be opened.
struct ServerKeys {
    /// Path and digest of each file; what is wrong with one of them is a failure of this server's decoding.
    files: Result<Vec<(PathBuf, String)>, Failure>,
    ring: OnceLock<Result<Keyring, Failure>>,
}

/// Reads a private key; at a terminal, asks for a passphrase that is nowhere set.
///
/// # Errors
/// When it is missing, open to others, or no key that can be used.
pub fn unlock(path: &Path, passphrase: Option<&SecretString>) -> Result<RingKey, Failure> {
    let bytes = inspect(path)?;
    let mut read = RingKey::read(&bytes, passphrase.map(ExposeSecret::expose_secret));
    if read.as_ref().is_err_and(|bad| bad.locked)
        && let Some(typed) = secret::ask(&format!("passphrase of {}", path.display()))
    {
        read = RingKey::read(&bytes, Some(typed.expose_secret()));
    }
    read.map_err(|bad| {
        Failure::new(Code::Key, format!("the private key {} {}", path.display(), bad.what)).advise(bad.advice)
    })
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
            let one = |(path, _): &(PathBuf, String)| unlock(path, passphrase.as_ref());
            files.iter().map(one).collect::<Result<_, _>>().map(Keyring::new)
        });
        ring.as_ref().map_err(Clone::clone)
    }
}

impl DecodeTask {
    pub fn new(project: &Project) -> Self {
        let keys = project.servers.iter().map(|(name, server)| (name.clone(), ServerKeys::new(server))).collect();
        Self { servers: Arc::clone(&project.servers), keys }
    }
}

impl Task for DecodeTask {
    fn revision(&self) -> u32 {
        3
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
            return Err(Failure::new(Code::Internal, "a decoding without server"));
        };
        let folder = ServerFolder::new(&server.path);
        let day = DayDecoding { work, ring: keys.ring(server)?, folder: &folder, date_style: &server.date_style };
        day.decode()
    }
}

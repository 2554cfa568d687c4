//! Makes key pairs, shows fingerprints.

use std::path::Path;

use serde_json::json;

use crate::cli::arguments::{KeysCommand, ProjectArguments};
use crate::cli::{Exit, Fault, build};
use crate::config::secret;
use crate::disk::atomic::{self, PRIVATE, SHARED};
use crate::keys::periods::{self, KeyPeriod};
use crate::keys::ring::{self, RingKey};
use crate::output::answer;
use crate::pool::paths::ServerFolder;
use crate::tasks::decode::unlock;

pub fn run(project: &ProjectArguments, command: &KeysCommand) -> Result<Exit, Fault> {
    match command {
        KeysCommand::Generate { path, bits } => generate(project, path, *bits),
        KeysCommand::List { json } => list(project, *json),
    }
}

fn generate(project: &ProjectArguments, path: &Path, bits: usize) -> Result<Exit, Fault> {
    if !(2048..=16_384).contains(&bits) {
        return Err(Fault::usage(format!("--bits {bits}: a key has 2048 to 16384 bits; less is not safe")));
    }
    let here = std::env::current_dir().map_err(|error| Fault::usage(error.to_string()))?;
    let path = project.folder.as_ref().map_or_else(|| here.clone(), |folder| here.join(folder)).join(path);
    let public = path.with_extension("pub");
    for path in [&path, &public] {
        if path.exists() {
            let shown = build::shown(path);
            return Err(Fault::usage(format!("{} is there already; data may be encrypted to it", shown.display())));
        }
    }
    let (private_pem, public_pem) = ring::generate(bits).map_err(Fault::failed)?;
    let key = RingKey::from_pem(&private_pem, None).map_err(|bad| Fault::failed(bad.what))?;
    let failed = |path: &Path, error: std::io::Error| Fault::failed(format!("{}: {error}", path.display()));
    atomic::write(&path, PRIVATE, private_pem.as_bytes()).map_err(|error| failed(&path, error))?;
    atomic::write(&public, SHARED, public_pem.as_bytes()).map_err(|error| failed(&public, error))?;
    answer!(
        "private: {}  (keep a copy apart from this machine: without it nothing can be decrypted)",
        build::shown(&path).display()
    );
    answer!("public:  {}  (goes to the study's server)", build::shown(&public).display());
    answer!("{}", key.fingerprint());
    Ok(Exit::Done)
}

/// A key of a server, or what is wrong with it.
struct Row {
    server: String,
    /// None for a key that opened values once and is no longer among the server's.
    path: Option<String>,
    key: Result<(Option<usize>, String), String>,
    opened: Option<KeyPeriod>,
}

fn list(project: &ProjectArguments, as_json: bool) -> Result<Exit, Fault> {
    let project = build::load(project)?;
    let mut rows = Vec::new();
    for server in project.servers.values() {
        let mut periods = periods::look(&ServerFolder::new(&server.path))
            .map_err(|error| Fault::failed(format!("{}: {error}", server.path.display())))?;
        let passphrase = server.passphrase.as_ref().map(secret::reveal).transpose();
        for path in &server.keys {
            let key = match &passphrase {
                // A key that is not encrypted needs none.
                Err(failure) => unlock(path, None).map_err(|bad| format!("{}; {}", bad.message, failure.message)),
                Ok(passphrase) => unlock(path, passphrase.as_ref()).map_err(|bad| bad.message),
            };
            let opened = key.as_ref().ok().and_then(|key| periods.remove(key.fingerprint()));
            let key = key.map(|key| (Some(key.bits()), key.fingerprint().to_owned()));
            let path = Some(build::shown(path).display().to_string());
            rows.push(Row { server: server.name.to_string(), path, key, opened });
        }
        rows.extend(periods.into_iter().map(|(fingerprint, period)| Row {
            server: server.name.to_string(),
            path: None,
            key: Ok((None, fingerprint)),
            opened: Some(period),
        }));
    }
    if as_json {
        answer!("{}", serde_json::Value::Array(rows.iter().map(Row::json).collect()));
    } else {
        for row in &rows {
            answer!("{}", row.line());
        }
    }
    Ok(if rows.iter().any(|row| row.key.is_err()) { Exit::Failed } else { Exit::Done })
}

impl Row {
    fn json(&self) -> serde_json::Value {
        let (bits, fingerprint) = self.key.clone().ok().unzip();
        json!({
            "server": self.server, "path": self.path, "bits": bits.flatten(), "fingerprint": fingerprint,
            "problem": self.key.as_ref().err(), "opened": self.opened,
        })
    }

    fn line(&self) -> String {
        let path = self.path.as_deref().unwrap_or("(no file)");
        let start = format!("{}  {path}", self.server);
        let (bits, fingerprint) = match &self.key {
            Ok(key) => key,
            Err(problem) => return format!("{start}  {problem}"),
        };
        let bits = bits.map(|bits| format!("  {bits} bits")).unwrap_or_default();
        let opened = match self.opened {
            None => "opened nothing yet".to_owned(),
            Some(KeyPeriod { values, first, last }) if first == last => format!("opened {values} values of {first}"),
            Some(KeyPeriod { values, first, last }) => format!("opened {values} values of {first} to {last}"),
        };
        format!("{start}{bits}  {fingerprint}  {opened}")
    }
}

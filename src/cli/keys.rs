//! Makes key pairs, shows fingerprints.

use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::json;

use crate::cli::arguments::{KeysCommand, ProjectArguments};
use crate::cli::{Exit, Fault, build};
use crate::config::secret;
use crate::pool::atomic::{self, PRIVATE, SHARED};
use crate::study::keyring::{self, Key};
use crate::tasks::decode::inspect;

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
    let (private_pem, public_pem) = keyring::generate(bits).map_err(Fault::failed)?;
    let key = Key::from_pem(&private_pem, None).map_err(|bad| Fault::failed(bad.what))?;
    let failed = |path: &Path, error: std::io::Error| Fault::failed(format!("{}: {error}", path.display()));
    atomic::write(&path, PRIVATE, private_pem.as_bytes()).map_err(|error| failed(&path, error))?;
    atomic::write(&public, SHARED, public_pem.as_bytes()).map_err(|error| failed(&public, error))?;
    println!(
        "private: {}  (keep a copy apart from this machine: without it nothing can be decrypted)",
        build::shown(&path).display()
    );
    println!("public:  {}  (goes to the study's server)", build::shown(&public).display());
    println!("{}", key.fingerprint());
    Ok(Exit::Done)
}

fn list(project: &ProjectArguments, as_json: bool) -> Result<Exit, Fault> {
    let project = build::load(project)?;
    let mut rows = Vec::new();
    let mut exit = Exit::Done;
    for server in project.servers.values() {
        let passphrase = server.passphrase.as_ref().map(secret::reveal);
        for path in &server.keys {
            let shown = build::shown(path).display().to_string();
            let passphrase =
                passphrase.as_ref().and_then(|secret| secret.as_ref().ok()).map(ExposeSecret::expose_secret);
            let key = inspect(path)
                .map_err(|failure| failure.message)
                .and_then(|bytes| Key::read(&bytes, passphrase).map_err(|bad| format!("{shown} {}", bad.what)));
            match key {
                Ok(key) => {
                    rows.push((server.name.to_string(), shown, Some((key.bits(), key.fingerprint().to_owned())), None));
                }
                Err(what) => {
                    exit = Exit::Failed;
                    rows.push((server.name.to_string(), shown, None, Some(what)));
                }
            }
        }
    }
    if as_json {
        let objects = rows.iter().map(|(server, path, key, problem)| {
            let (bits, fingerprint) = key.clone().unzip();
            json!({"server": server, "path": path, "bits": bits, "fingerprint": fingerprint, "problem": problem})
        });
        println!("{}", serde_json::Value::Array(objects.collect()));
        return Ok(exit);
    }
    for (server, path, key, problem) in rows {
        match (key, problem) {
            (Some((bits, fingerprint)), _) => println!("{server}  {path}  {bits} bits  {fingerprint}"),
            (None, problem) => println!("{server}  {path}  {}", problem.unwrap_or_default()),
        }
    }
    Ok(exit)
}

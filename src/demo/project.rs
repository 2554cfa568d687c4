//! The demo's project: fresh keys, a password of its own, and the options that make its study again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rand::RngExt;
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use serde::{Deserialize, Serialize};

use crate::config::scales::BUILT_IN;
use crate::demo::server::DemoServer;
use crate::demo::study::{Options, PublicKeys, Synthetic, generate};
use crate::disk::atomic::{self, PRIVATE, SHARED};
use crate::keys::ring;
use crate::pool::ledger;
use crate::pool::paths::ServerFolder;
use crate::study::name::ScaleName;
use crate::study::scale::Study;

/// The study whose definition the demo follows.
pub const STUDY: &str = "calm";
/// The demo's only server.
pub const SERVER: &str = "mindtrails";
const USER: &str = "admin@example.edu";
/// Marks a folder as a demo.
const MARK: &str = "demo.json";

/// The pipeline that `init` and the demo write.
pub const PIPELINE: &str = include_str!("../../Pipeline.toml");

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct HighWaterMark {
    options: Options,
    port: u16,
}

/// Why there is no demo.
#[derive(Debug)]
pub enum NoDemo {
    /// Something else stands there.
    Taken(PathBuf),
    /// The port of this demo is used by another program, perhaps by the demo itself.
    PortTaken(u16),
    Io(PathBuf, io::Error),
    Broken(String),
}

/// A demo's folder, with its server up.
pub struct Demo {
    pub folder: PathBuf,
    pub server: DemoServer,
}

fn at(path: &Path) -> impl Fn(io::Error) -> NoDemo + '_ {
    move |error| NoDemo::Io(path.to_owned(), error)
}

/// Writes the project unless it is there already, and serves its study; `options` of an existing demo stay.
pub fn open(folder: &Path, options: Options) -> Result<Demo, NoDemo> {
    open_with(folder, options, generate)
}

/// As [`open`], with another way to make the study.
pub fn open_with(
    folder: &Path,
    options: Options,
    generate: impl FnOnce(Options, &Study, &PublicKeys) -> Result<Synthetic, String>,
) -> Result<Demo, NoDemo> {
    let path = folder.join(MARK);
    let mark: Option<HighWaterMark> = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if mark.is_none() && !empty {
        return Err(NoDemo::Taken(folder.to_owned()));
    }
    let options = mark.map_or(options, |mark| mark.options);
    if mark.is_none() {
        write_keys(folder)?;
    }
    let keys = public_keys(folder)?;
    let definition = definition()?;
    let mut study = generate(options, &definition, &keys).map_err(NoDemo::Broken)?;
    forget_deleted(&mut study, &ServerFolder::new(folder.join("data").join(SERVER)))?;
    let secret = fs::read_to_string(folder.join("keys/password")).map_err(at(folder))?;
    let port = mark.map_or(0, |mark| mark.port);
    let server = DemoServer::start(study, USER, secret.trim(), port).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => NoDemo::PortTaken(port),
        _ => NoDemo::Io(folder.to_owned(), error),
    })?;
    if mark.is_none() {
        write_project(folder, &server)?;
        let text = serde_json::to_vec_pretty(&HighWaterMark { options, port: server.port() })
            .map_err(|e| NoDemo::Broken(e.to_string()))?;
        atomic::write(&path, SHARED, &text).map_err(at(&path))?;
    }
    Ok(Demo { folder: folder.to_owned(), server })
}

fn definition() -> Result<Study, NoDemo> {
    use std::cell::RefCell;

    use crate::config::error::{Problems, Source};
    let file = format!("{STUDY}.toml");
    let text = BUILT_IN.iter().find(|(name, _)| *name == file).map(|(_, text)| *text).unwrap_or_default();
    let problems = RefCell::new(Problems::default());
    let source = Source { path: PathBuf::from(&file), text: text.to_owned() };
    let study = crate::config::scales::read(STUDY, &source, &problems);
    study.ok_or_else(|| NoDemo::Broken(format!("the built-in {file} cannot be read")))
}

fn write_keys(folder: &Path) -> Result<(), NoDemo> {
    let keys = folder.join("keys");
    atomic::create_folder(&keys, PRIVATE).map_err(at(&keys))?;
    for name in ["private_key", "private_laura"] {
        let (private, public) = ring::generate(2048).map_err(NoDemo::Broken)?;
        let path = keys.join(format!("{name}.pem"));
        atomic::write(&path, PRIVATE, private.as_bytes()).map_err(at(&path))?;
        let path = keys.join(format!("{name}.pub"));
        atomic::write(&path, SHARED, public.as_bytes()).map_err(at(&path))?;
    }
    let mut random = rand::rng();
    let letters = b"abcdefghjkmnpqrstuvwxyz23456789";
    let password: String = (0..24).map(|_| char::from(letters[random.random_range(0..letters.len())])).collect();
    let path = keys.join("password");
    atomic::write(&path, PRIVATE, format!("{password}\n").as_bytes()).map_err(at(&path))?;
    Ok(())
}

fn public_keys(folder: &Path) -> Result<PublicKeys, NoDemo> {
    let read = |name: &str| {
        let path = folder.join("keys").join(name);
        let pem = fs::read_to_string(&path).map_err(at(&path))?;
        let key = rsa::PublicKey::from_public_key_pem(&pem).map_err(|error| NoDemo::Broken(error.to_string()))?;
        let der = key.to_public_key_der().map_err(|error| NoDemo::Broken(error.to_string()))?;
        Ok(der.as_bytes().to_vec())
    };
    Ok(PublicKeys { early: read("private_key.pub")?, late: read("private_laura.pub")? })
}

/// What was deleted stays deleted when the server comes up again.
fn forget_deleted(study: &mut Synthetic, folder: &ServerFolder) -> Result<(), NoDemo> {
    for (name, table) in &mut study.tables {
        let Ok(scale) = ScaleName::new(name) else { continue };
        let gone = ledger::confirmed(folder, &scale).map_err(at(folder.path()))?;
        let gone: std::collections::HashSet<i64> = gone.into_iter().map(|identity| identity.id).collect();
        table.entries.retain(|(id, ..)| !gone.contains(id));
    }
    Ok(())
}

fn write_project(folder: &Path, server: &DemoServer) -> Result<(), NoDemo> {
    let servers = format!(
        "# The demo's study server, on this machine only.\n[{SERVER}]\nready       = true\ndelete_mode = true\nurl         = \"{}\"\n\
         user        = \"{USER}\"\npassword    = {{ file = \"keys/password\" }}\n\
         keys        = [\"keys/private_key.pem\", \"keys/private_laura.pem\"]   # tried in order\n\
         timezone    = \"America/New_York\"\nstudy       = \"{STUDY}\"\n",
        server.url()
    );
    let mut files =
        vec![("Pipeline.toml".to_owned(), PIPELINE.to_owned()), ("config/servers.toml".to_owned(), servers)];
    files.extend(BUILT_IN.iter().map(|(name, text)| (format!("config/scales/{name}"), (*text).to_owned())));
    files.push((".gitignore".to_owned(), "keys/\ndata/\n.mtdata/\n".to_owned()));
    for (name, text) in files {
        let path = folder.join(name);
        atomic::write(&path, SHARED, text.as_bytes()).map_err(at(&path))?;
    }
    Ok(())
}

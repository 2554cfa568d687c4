//! Writes a commented project to begin with.

use std::path::Path;

use crate::cli::arguments::{InitArguments, ProjectArguments};
use crate::cli::{Exit, Fault, build};
use crate::config::scales::BUILT_IN;
use crate::config::schema;
use crate::demo::project::PIPELINE;
use crate::disk::atomic::{self, PRIVATE, SHARED};
use crate::output::answer;

/// The servers.toml of a new project.
pub const SERVERS: &str = include_str!("../../config/servers.toml");
const ALERTS: &str = include_str!("../../config/alerts.toml");
const IGNORED: &str = "# Never in git: keys, passwords, participants' data.\nkeys/\ndata/\n.mtdata/\n";

pub fn run(project: &ProjectArguments, arguments: &InitArguments) -> Result<Exit, Fault> {
    let here = std::env::current_dir().map_err(|error| Fault::usage(error.to_string()))?;
    let start = project.folder.as_ref().map_or_else(|| here.clone(), |folder| here.join(folder));
    let folder = start.join(&arguments.directory);
    write(&folder, SERVERS)?;
    answer!("a project in {}; next:", build::shown(&folder).display());
    answer!("  1. config/servers.toml: name your study's server, and say `ready = true`");
    answer!("  2. keys/: put the private keys there (chmod 600), or make a pair with `mtdata keys generate`");
    answer!("  3. mtdata check, then mtdata build");
    Ok(Exit::Done)
}

/// Writes all files of a new project, with this servers.toml.
///
/// # Errors
/// When one of them is there already; then nothing is written.
pub fn write(folder: &Path, servers: &str) -> Result<(), Fault> {
    let mut files = vec![
        ("Pipeline.toml".to_owned(), PIPELINE.to_owned()),
        ("config/servers.toml".to_owned(), servers.to_owned()),
        ("config/alerts.toml".to_owned(), ALERTS.to_owned()),
        (".gitignore".to_owned(), IGNORED.to_owned()),
    ];
    files.extend(BUILT_IN.iter().map(|(name, text)| (format!("config/scales/{name}"), (*text).to_owned())));
    // The first line of each file names its schema, for editors.
    files.extend(schema::all().into_iter().map(|known| (format!("schemas/{}.json", known.name), known.text())));
    if let Some((name, _)) = files.iter().find(|(name, _)| folder.join(name).exists()) {
        return Err(Fault::usage(format!(
            "{} is there already; nothing was written",
            build::shown(&folder.join(name)).display()
        )));
    }
    let failed = |path: &Path, error: std::io::Error| Fault::failed(format!("{}: {error}", path.display()));
    for (name, text) in &files {
        let path = folder.join(name);
        atomic::write(&path, SHARED, text.as_bytes()).map_err(|error| failed(&path, error))?;
    }
    let keys = folder.join("keys");
    atomic::create_folder(&keys, PRIVATE).map_err(|error| failed(&keys, error))
}

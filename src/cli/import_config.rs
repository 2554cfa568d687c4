//! A first-generation `server.config` made config/servers.toml, its passwords moved out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use zeroize::Zeroizing;

use crate::cli::arguments::{ImportArguments, ProjectArguments};
use crate::cli::{Exit, Fault, build, init};
use crate::config::first_generation::{Here, Imported, Mistake, PASSWORDS, import};
use crate::config::{self, scales::BUILT_IN};
use crate::disk::atomic::{self, PRIVATE, SHARED};
use crate::output::answer;

pub fn run(project: &ProjectArguments, arguments: &ImportArguments) -> Result<Exit, Fault> {
    let here = std::env::current_dir().map_err(|error| Fault::usage(error.to_string()))?;
    let start = project.folder.as_ref().map_or_else(|| here.clone(), |folder| here.join(folder));
    let pipeline = config::find(project.file.as_deref(), &start);
    let root = pipeline.as_ref().and_then(|path| path.parent()).unwrap_or(&start).to_owned();
    let old = start.join(&arguments.old);
    let text = fs::read_to_string(&old)
        .map(Zeroizing::new)
        .map_err(|error| Fault::usage(format!("{}: {error}", arguments.old.display())))?;
    let known = Here {
        timezone: timezone(arguments.timezone.as_deref())?,
        studies: studies(&root.join("config/scales"), pipeline.is_none()),
        file: &arguments.old.display().to_string(),
    };
    let imported = import(&text, &known).map_err(|mistakes| refusal(&arguments.old, &mistakes))?;
    write(&root, pipeline.is_none(), &imported)?;
    tell(&root, &imported, &known);
    Ok(Exit::Done)
}

/// The named zone, or this machine's own: the first generation wrote file names by its machine's clock.
fn timezone(named: Option<&str>) -> Result<Tz, Fault> {
    if let Some(name) = named {
        let wrong = |_| Fault::usage(format!("there is no time zone `{name}`; write one like America/New_York"));
        return name.parse().map_err(wrong);
    }
    let here = iana_time_zone::get_timezone().ok().and_then(|name| name.parse().ok());
    here.ok_or_else(|| {
        Fault::usage("this machine does not say its time zone; name the one of the old files' names: --timezone ZONE")
    })
}

fn studies(folder: &Path, to_be_written: bool) -> BTreeSet<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| PathBuf::from(entry.file_name()));
    let built_in = BUILT_IN.iter().filter(|_| to_be_written).map(|(name, _)| PathBuf::from(name));
    let all = files.chain(built_in).filter(|path| path.extension().is_some_and(|end| end == "toml"));
    all.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
}

fn refusal(file: &Path, mistakes: &[Mistake]) -> Fault {
    let line = |mistake: &Mistake| {
        let place = mistake.place.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        format!("{}{place}: {}", file.display(), mistake.message)
    };
    let all: Vec<String> = mistakes.iter().map(line).collect();
    Fault::usage(format!("{}\nnothing was written", all.join("\nerror: ")))
}

/// Passwords first: a servers.toml without them would be of no use.
fn write(root: &Path, with_project: bool, imported: &Imported) -> Result<(), Fault> {
    let servers = root.join("config/servers.toml");
    let passwords = root.join(PASSWORDS);
    let there = |path: &Path| {
        let shown = build::shown(path);
        Fault::usage(format!("{} is there already; move it away first; nothing was written", shown.display()))
    };
    let failed = |path: &Path, error: std::io::Error| Fault::failed(format!("{}: {error}", path.display()));
    // What `init` left is nobody's work.
    let untouched = fs::read(&servers).is_ok_and(|bytes| bytes == init::SERVERS.as_bytes());
    if servers.exists() && !untouched {
        return Err(there(&servers));
    }
    if passwords.exists() {
        return Err(there(&passwords));
    }
    if with_project {
        init::write(root, &imported.servers)?;
    }
    atomic::write(&passwords, PRIVATE, imported.passwords.text.as_bytes())
        .map_err(|error| failed(&passwords, error))?;
    atomic::write(&servers, SHARED, imported.servers.as_bytes()).map_err(|error| failed(&servers, error))?;
    Ok(())
}

fn tell(root: &Path, imported: &Imported, known: &Here<'_>) {
    let servers = build::shown(&root.join("config/servers.toml"));
    answer!("{}: {} servers, {} of them ready", servers.display(), imported.names.len(), imported.ready);
    let count = imported.passwords.count;
    answer!(
        "{}: {count} password{}, for its owner only; cron: `set -a; . {PASSWORDS}; mtdata build`, systemd: EnvironmentFile=",
        build::shown(&root.join(PASSWORDS)).display(),
        if count == 1 { "" } else { "s" }
    );
    answer!("timezone: {}; file names had the days of the old machine's clock", known.timezone.name());
    if !imported.notes.is_empty() {
        answer!("to look at:");
        for note in &imported.notes {
            answer!("  {note}");
        }
    }
    answer!("next: copy the private keys into keys/ (chmod 600), then `mtdata check`");
}

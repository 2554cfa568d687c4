//! Who else reads what is made from the answers: the group that servers.toml names.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use crate::config::Project;
use crate::config::servers::Server;
use crate::pool::paths::ServerFolder;

/// Gives every derived table and report of each server that names a group to that group. New files take the group of
/// their folder as they are made; this sets it first, and again when servers.toml names another.
///
/// A sentence for each server where that did not work: fewer people then read, and nothing else is wrong.
pub fn share(project: &Project) -> Vec<String> {
    let mut troubles = Vec::new();
    for server in project.servers.values() {
        let Some(name) = &server.group else { continue };
        let given = group(name).and_then(|id| {
            give_all(server, id).map_err(|(path, error)| format!("{}: {error}; {}", path.display(), membership(name)))
        });
        if let Err(why) = given {
            troubles.push(format!("{}: the group `{name}` does not get the tables and reports: {why}", server.name));
        }
    }
    troubles
}

/// What is wrong with a server's group, and what to do; `None` when it has one that reads, or none.
pub fn obstacle(server: &Server) -> Option<String> {
    let name = server.group.as_ref()?;
    let id = match group(name) {
        Ok(id) => id,
        Err(why) => return Some(why),
    };
    if !rustix::process::geteuid().is_root() && !is_member(id) {
        return Some(membership(name));
    }
    // mtdata sets the server's folder and what is in it; those above are not its own.
    let above: Vec<&Path> = server.path.ancestors().skip(1).collect();
    let closed = above.into_iter().rev().find(|folder| {
        let passes = |found: &Metadata| found.mode() & 0o001 != 0 || found.gid() == id && found.mode() & 0o010 != 0;
        fs::metadata(folder).is_ok_and(|found| !passes(&found))
    })?;
    Some(format!("its members cannot pass through {0}: chmod o+x {0}", closed.display()))
}

fn group(name: &str) -> Result<u32, String> {
    uzers::get_group_by_name(name).map(|found| found.gid()).ok_or_else(|| {
        format!("this machine has no group `{name}`; make it with `groupadd {name}`, or name another in servers.toml")
    })
}

fn is_member(id: u32) -> bool {
    let supplementary = rustix::process::getgroups().unwrap_or_default();
    rustix::process::getegid().as_raw() == id || supplementary.iter().any(|group| group.as_raw() == id)
}

fn membership(name: &str) -> String {
    format!("only its members may give files to a group: usermod -aG {name} $(id -un), as root, then log in anew")
}

fn give_all(server: &Server, id: u32) -> Result<(), (PathBuf, io::Error)> {
    // It may be a link to another disk.
    let Ok(path) = server.path.canonicalize() else { return Ok(()) };
    open_to(&path, id).map_err(|error| (path.clone(), error))?;
    let folder = ServerFolder::new(path);
    for derived in [folder.combined(), folder.scored(), folder.wide(), folder.reports()] {
        give_below(&derived, id)?;
    }
    Ok(())
}

/// Made for the raw archive, the server's folder may be its owner's alone; the folders of answers in it are closed
/// themselves.
fn open_to(path: &Path, id: u32) -> io::Result<()> {
    let found = fs::metadata(path)?;
    give(path, &found, id)?;
    if found.mode() & 0o050 == 0o050 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o7777 | 0o050))
}

fn give_below(path: &Path, id: u32) -> Result<(), (PathBuf, io::Error)> {
    let at = |error| (path.to_owned(), error);
    let Some(found) = look(path).map_err(at)? else { return Ok(()) };
    if found.is_symlink() {
        return Ok(());
    }
    give(path, &found, id).map_err(at)?;
    if found.is_dir() {
        for entry in fs::read_dir(path).map_err(at)? {
            give_below(&entry.map_err(at)?.path(), id)?;
        }
    }
    Ok(())
}

fn give(path: &Path, found: &Metadata, id: u32) -> io::Result<()> {
    if found.gid() == id { Ok(()) } else { lchown(path, None, Some(id)) }
}

fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

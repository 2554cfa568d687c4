//! Many files of few folders: each folder is opened once, so that a look at a file costs one short step.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::disk::stamp::Stamp;

/// Fewer files than this in one folder are looked at by their whole path.
const MANY: usize = 64;
/// A folder with fewer entries than one in so many of the wanted files is listed, and what is not in it is absent.
const SPARSE: usize = 8;

/// The folders that many of the wanted files are in.
#[derive(Debug)]
pub struct Folders<'t> {
    root: &'t Path,
    known: HashMap<&'t str, Folder, rustc_hash::FxBuildHasher>,
}

#[derive(Debug)]
enum Folder {
    /// Few files are wanted of it, or it cannot be opened: the whole path says why.
    Unknown,
    Missing,
    /// All its names.
    Sparse(OwnedFd, HashSet<Vec<u8>>),
    Full(OwnedFd),
}

impl<'t> Folders<'t> {
    /// Opens the folders of these paths (`/` between segments, below `root` unless absolute).
    pub fn open(root: &'t Path, paths: impl Iterator<Item = &'t str>) -> Self {
        let mut wanted: HashMap<&str, usize, rustc_hash::FxBuildHasher> = HashMap::default();
        // Files of one folder mostly come one after another.
        let mut run: (&str, usize) = ("", 0);
        for path in paths {
            let folder = split(path).0;
            if folder != run.0 {
                *wanted.entry(run.0).or_default() += run.1;
                run = (folder, 0);
            }
            run.1 += 1;
        }
        *wanted.entry(run.0).or_default() += run.1;
        let known =
            wanted.into_iter().map(|(folder, files)| (folder, Folder::look(&root.join(folder), files))).collect();
        Self { root, known }
    }

    /// How one of these files looks; `None` when there is no such file.
    pub fn stamp(&self, path: &str) -> io::Result<Option<Stamp>> {
        let (folder, name) = split(path);
        match self.known.get(folder) {
            Some(Folder::Missing) => Ok(None),
            Some(Folder::Sparse(_, names)) if !names.contains(name.as_bytes()) => Ok(None),
            Some(Folder::Sparse(open, _) | Folder::Full(open)) => Stamp::at(open, name),
            Some(Folder::Unknown) | None => Stamp::of(&self.root.join(path)),
        }
    }
}

impl Folder {
    fn look(path: &Path, wanted: usize) -> Self {
        if wanted < MANY {
            return Self::Unknown;
        }
        let open = match rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(open) => open,
            Err(Errno::NOENT) => return Self::Missing,
            Err(_) => return Self::Unknown,
        };
        match names(&open, wanted / SPARSE) {
            Some(names) => Self::Sparse(open, names),
            None => Self::Full(open),
        }
    }
}

/// All names of a folder, unless they are more than `most` or cannot be read to the end.
fn names(folder: &OwnedFd, most: usize) -> Option<HashSet<Vec<u8>>> {
    let mut names = HashSet::new();
    for entry in Dir::read_from(folder).ok()? {
        if names.len() > most {
            return None;
        }
        names.insert(entry.ok()?.file_name().to_bytes().to_vec());
    }
    Some(names)
}

fn split(path: &str) -> (&str, &OsStr) {
    let (folder, name) = match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => ("", path),
    };
    (folder, OsStr::from_bytes(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_folder_says_the_same_as_the_whole_path() {
        let root = tempfile::tempdir().unwrap();
        let here = root.path();
        let mut paths = vec!["alone".to_owned(), "none/alone".to_owned(), format!("{}/absolute", here.display())];
        for folder in ["full", "sparse", "none"] {
            if folder != "none" {
                std::fs::create_dir(here.join(folder)).unwrap();
            }
            for number in 0..MANY * 2 {
                let path = format!("{folder}/{number}");
                if folder == "full" && number % 2 == 0 || folder == "sparse" && number == 7 {
                    std::fs::write(here.join(&path), path.as_bytes()).unwrap();
                }
                paths.push(path);
            }
        }
        std::fs::write(here.join("alone"), "x").unwrap();
        std::fs::write(here.join("absolute"), "x").unwrap();
        let folders = Folders::open(here, paths.iter().map(String::as_str));
        let kinds: Vec<&str> = ["full", "sparse", "none"]
            .map(|folder| match folders.known[folder] {
                Folder::Full(_) => "full",
                Folder::Sparse(..) => "sparse",
                Folder::Missing => "none",
                Folder::Unknown => "unknown",
            })
            .to_vec();
        assert_eq!(kinds, ["full", "sparse", "none"]);
        for path in &paths {
            assert_eq!(folders.stamp(path).unwrap(), Stamp::of(&here.join(path)).unwrap(), "{path}");
        }
        assert!(folders.stamp("alone").unwrap().is_some());
    }
}

//! A raw file before it has a name: it receives an answer's bytes, and gets its place in the archive whole and
//! durable or leaves no trace.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};

use crate::disk::atomic::Written;
use crate::disk::atomic::{self, PRIVATE, TEMPORARY_PREFIX};
use crate::fault;

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A file of a folder, not in it yet.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    folder: PathBuf,
    /// Where the file system has no nameless files.
    temporary: Option<PathBuf>,
    hasher: blake3::Hasher,
    size: u64,
}

impl Incoming {
    /// Opens a private file for `folder`, which is made when it is missing. Where the system allows it the file has
    /// no name, so that an answer with nothing new does not even touch the folder's times.
    pub fn open(folder: &Path) -> io::Result<Self> {
        atomic::create_folder(folder, PRIVATE)?;
        let (file, temporary) = match nameless(folder) {
            Some(file) => (file, None),
            None => named(folder)?,
        };
        Ok(Self { file, folder: folder.to_owned(), temporary, hasher: blake3::Hasher::new(), size: 0 })
    }

    /// How many bytes were written.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes so far, from the beginning.
    pub fn rewound(&mut self) -> io::Result<&File> {
        self.file.rewind()?;
        Ok(&self.file)
    }

    /// Makes the file durable and gives it the first of these names that is free; never one that is taken, even
    /// when another process takes it at this moment. `sync` makes the name durable.
    ///
    /// # Errors
    /// Whatever the file system says; the folder then holds no more than before.
    pub fn publish(
        self,
        name: impl Fn(u32) -> String,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<(String, Written)> {
        self.file.sync_all()?;
        fault::point("archive-synced", &self.folder);
        for number in 0..=u32::MAX {
            let name = name(number);
            let path = self.folder.join(&name);
            match self.enter(&path) {
                Ok(()) => {
                    fault::point("archive-named", &path);
                    sync()?;
                    fault::point("archive-durable", &path);
                    let written = Written { path, hash: self.hasher.finalize(), size: self.size, changed: true };
                    return Ok((name, written));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("every name of this second is taken"))
    }

    fn enter(&self, path: &Path) -> io::Result<()> {
        let Some(temporary) = &self.temporary else {
            let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            return Ok(rustix::fs::linkat(CWD, open.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW)?);
        };
        match rustix::fs::renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if path.exists() => {
                Err(io::ErrorKind::AlreadyExists.into())
            }
            // Without the flag only the lock of the pool keeps others away.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => fs::rename(temporary, path),
            Err(error) => Err(error.into()),
        }
    }
}

fn nameless(folder: &Path) -> Option<File> {
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::from_raw_mode(PRIVATE)).ok().map(File::from)
}

fn named(folder: &Path) -> io::Result<(File, Option<PathBuf>)> {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("{TEMPORARY_PREFIX}{}-{number}-incoming", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE).open(&path)?;
    Ok((file, Some(path)))
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // After it got its name there is nothing left to remove.
            let _ = fs::remove_file(temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, without_name: bool, text: &str) -> Incoming {
        let mut incoming = Incoming::open(folder).unwrap();
        if !without_name {
            let (file, temporary) = named(folder).unwrap();
            (incoming.file, incoming.temporary) = (file, temporary);
        }
        incoming.write_all(text.as_bytes()).unwrap();
        incoming
    }

    #[test]
    fn a_taken_name_is_never_replaced() {
        for without_name in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let name = |number: u32| format!("a-{number}");
            for text in ["one", "two", "three"] {
                let (taken, written) = file(folder.path(), without_name, text).publish(name, || Ok(())).unwrap();
                assert_eq!(fs::read_to_string(folder.path().join(&taken)).unwrap(), text);
                assert_eq!((written.hash, written.size), (blake3::hash(text.as_bytes()), text.len() as u64));
            }
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        }
    }

    #[test]
    fn what_is_not_published_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let before = fs::metadata(folder.path()).unwrap().modified().unwrap();
        drop(Incoming::open(folder.path()).unwrap());
        if nameless(folder.path()).is_some() {
            assert_eq!(fs::metadata(folder.path()).unwrap().modified().unwrap(), before);
        }
        drop(file(folder.path(), false, "half"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

//! Files that appear under their name complete and durable, or not at all, and stay untouched when nothing changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Files of answers: only their owner reads them.
pub const PRIVATE: u32 = 0o600;
/// Derived tables and reports: the lab's group reads them too.
pub const SHARED: u32 = 0o640;

/// Every temporary file of mtdata starts so; what a killed run left is swept by the next one.
pub const TEMPORARY_PREFIX: &str = ".mtdata-tmp-";

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A file under its final name, as its writer knows it.
#[derive(Debug, Clone)]
pub struct Written {
    pub path: PathBuf,
    pub hash: blake3::Hash,
    pub size: u64,
    /// False when the file already held these bytes and was left untouched.
    pub changed: bool,
}

/// A file being written beside its final place. Dropped without [`commit`](Self::commit), it leaves no trace.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    temporary: PathBuf,
    writer: Option<BufWriter<File>>,
    hasher: blake3::Hasher,
    size: u64,
    /// The last part of a big file that is on its way to the disk while the next one is written.
    syncing: Option<JoinHandle<io::Result<()>>>,
}

/// Parts of a big file that are handed to the disk early: a gigabyte that waits for the end takes seconds there.
const PART: u64 = 1 << 26;

impl AtomicFile {
    /// Makes missing folders (0700 when the file is private, else 0750) and opens a temporary file in the target's folder.
    pub fn create(target: &Path, mode: u32) -> io::Result<Self> {
        Self::with_room(target, mode, 1 << 17)
    }

    /// As [`create`](Self::create), with so many bytes that wait in memory to be written together.
    fn with_room(target: &Path, mode: u32, room: usize) -> io::Result<Self> {
        let folder = folder_of(target);
        create_folder(folder, mode)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{TEMPORARY_PREFIX}{}-{number}-{name}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        // The umask may have taken bits that the contract promises.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        if is_shared(mode) {
            let found = file.metadata()?;
            inherit_group(folder, &found, |group| fchown(&file, None, Some(group)));
        }
        Ok(Self {
            target: target.to_owned(),
            temporary,
            writer: Some(BufWriter::with_capacity(room, file)),
            hasher: blake3::Hasher::new(),
            size: 0,
            syncing: None,
        })
    }

    /// Begins to make durable what was written so far, unless that is still going on.
    fn sync_part(&mut self) -> io::Result<()> {
        if self.syncing.as_ref().is_some_and(|syncing| !syncing.is_finished()) {
            return Ok(());
        }
        self.part_synced()?;
        if let Some(writer) = &self.writer {
            let file = writer.get_ref().try_clone()?;
            self.syncing = Some(std::thread::spawn(move || file.sync_data()));
        }
        Ok(())
    }

    /// The system tells a failed write once, so it must not be lost here.
    fn part_synced(&mut self) -> io::Result<()> {
        let Some(syncing) = self.syncing.take() else { return Ok(()) };
        syncing.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes to the disk ended early")))
    }

    /// Of the bytes so far.
    pub fn hash(&self) -> blake3::Hash {
        self.hasher.finalize()
    }

    /// As [`commit`](Self::commit), under a name in the same folder that is known only now.
    ///
    /// # Errors
    /// Whatever the file system says; the target is then what it was.
    pub fn commit_as(mut self, target: &Path) -> io::Result<Written> {
        target.clone_into(&mut self.target);
        self.commit()
    }

    /// Makes the file durable and gives it its name; a target that already holds these very bytes is left untouched.
    ///
    /// # Errors
    /// Whatever the file system says; the target is then what it was.
    pub fn commit(mut self) -> io::Result<Written> {
        let writer = self.writer.take().expect("the writer is taken only here, and commit consumes self");
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        self.part_synced()?;
        let hash = self.hasher.finalize();
        let changed = !holds(&self.target, hash, self.size)?;
        if changed {
            file.sync_all()?;
            fs::rename(&self.temporary, &self.target)?;
            sync_folder(folder_of(&self.target))?;
        }
        Ok(Written { path: self.target.clone(), hash, size: self.size, changed })
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let writer = self.writer.as_mut().expect("the writer is taken only by commit, which consumes self");
        let written = writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        let before = self.size / PART;
        self.size += written as u64;
        if self.size / PART > before {
            self.sync_part()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        // After a commit that renamed, the name is gone already.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Writes `bytes` to `target`, whole or not at all.
pub fn write(target: &Path, mode: u32, bytes: &[u8]) -> io::Result<Written> {
    // All of it is there already, and need not be copied to wait.
    let mut file = AtomicFile::with_room(target, mode, 0)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Removes a file if it is there, durably. True when there was one.
pub fn remove(target: &Path) -> io::Result<bool> {
    match fs::remove_file(target) {
        Ok(()) => sync_folder(folder_of(target)).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a folder and its parents for files of this mode, each durable in the one above it.
pub fn create_folder(folder: &Path, file_mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder_of(folder);
    create_folder(parent, file_mode)?;
    let mode = if is_shared(file_mode) { 0o750 } else { 0o700 };
    match fs::DirBuilder::new().mode(mode).create(folder) {
        // Another thread was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        result => {
            result?;
            if is_shared(file_mode) {
                let found = fs::metadata(folder)?;
                inherit_group(parent, &found, |group| chown(folder, None, Some(group)));
            }
        }
    }
    sync_folder(parent)
}

fn is_shared(mode: u32) -> bool {
    mode & 0o040 != 0
}

/// A shared file belongs to the group of its folder, so that who reads a folder reads what is put into it later.
fn inherit_group(folder: &Path, found: &fs::Metadata, give: impl FnOnce(u32) -> io::Result<()>) {
    if let Ok(above) = fs::metadata(folder)
        && above.gid() != found.gid()
    {
        // Not a member of that group: the file stays its owner's, and where servers.toml asks for more a run says so.
        let _ = give(above.gid());
    }
}

/// Makes a rename, a new file or a removal in this folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// The blake3 hash and size of a file, read once from end to end.
pub fn hash_file(path: &Path) -> io::Result<(blake3::Hash, u64)> {
    hash_of(&File::open(path)?)
}

/// As [`hash_file`], of an open file from where it stands.
pub fn hash_of(file: &File) -> io::Result<(blake3::Hash, u64)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok((hasher.finalize(), hasher.count()))
}

fn holds(path: &Path, hash: blake3::Hash, size: u64) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && found.len() == size => Ok(hash_file(path)? == (hash, size)),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uncommitted_file_leaves_no_trace_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a/b.csv");
        write(&target, PRIVATE, b"old").unwrap();
        let mut file = AtomicFile::create(&target, PRIVATE).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn the_same_bytes_leave_the_file_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("t.csv");
        assert!(write(&target, SHARED, b"x").unwrap().changed);
        let before = fs::metadata(&target).unwrap().modified().unwrap();
        assert!(!write(&target, SHARED, b"x").unwrap().changed);
        assert_eq!(fs::metadata(&target).unwrap().modified().unwrap(), before);
        assert!(write(&target, SHARED, b"y").unwrap().changed);
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, SHARED);
    }
}

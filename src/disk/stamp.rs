//! What the file system says of a file without reading it, and when that is enough to trust an old hash.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Stat};

use crate::disk::content::Content;

/// A file written less than this before it was hashed may be written again without its times moving: the kernel's
/// clock for files ticks in steps of up to 10 ms, and network file systems are coarser.
const GRAIN: i64 = 20_000_000;

/// The identity and times of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i64,
    /// Nanoseconds since 1970.
    pub changed: i64,
}

impl Stamp {
    /// `None` when there is no such file. Symbolic links are followed.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        Self::at(CWD, path)
    }

    /// As [`Stamp::of`], for a path below an open folder.
    pub fn at(folder: impl std::os::fd::AsFd, path: impl rustix::path::Arg) -> io::Result<Option<Self>> {
        match rustix::fs::statat(folder, path, AtFlags::empty()) {
            Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() => {
                Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder, not a file"))
            }
            Ok(stat) => Ok(Some(Self::from_stat(&stat))),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the file was written long enough before this moment that another writing would show.
    pub fn is_at_rest(&self, moment: i64) -> bool {
        self.modified.max(self.changed).saturating_add(GRAIN) < moment
    }

    #[allow(clippy::unnecessary_cast, clippy::cast_lossless, clippy::cast_possible_wrap)] // the fields' widths differ between machines
    fn from_stat(stat: &Stat) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }
}

/// A file's hash and how the file looked when it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub stamp: Stamp,
    pub content: Content,
    /// Nanoseconds since 1970: before the first byte was read.
    pub taken: i64,
}

impl Seen {
    /// Whether a file that looks like `now` still holds what was hashed then.
    pub fn holds(&self, now: &Stamp) -> bool {
        self.stamp == *now && self.stamp.is_at_rest(self.taken)
    }
}

/// The clock of [`Seen::taken`].
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(modified: i64, taken: i64) -> Seen {
        let stamp = Stamp { device: 1, inode: 2, size: 3, modified, changed: modified };
        Seen { stamp, content: Content::ABSENT, taken }
    }

    #[test]
    fn a_hash_taken_right_after_the_writing_is_not_trusted() {
        let racy = seen(1_000_000_000, 1_000_000_001);
        assert!(!racy.holds(&racy.stamp));
        let settled = seen(1_000_000_000, 2_000_000_000);
        assert!(settled.holds(&settled.stamp));
        assert!(!settled.holds(&Stamp { size: 4, ..settled.stamp }));
        assert!(!settled.holds(&Stamp { inode: 9, ..settled.stamp }));
        assert!(!settled.holds(&Stamp { changed: 1_000_000_001, ..settled.stamp }));
    }

    #[test]
    fn a_missing_file_has_no_stamp_and_a_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Stamp::of(&folder.path().join("none")).unwrap(), None);
        assert!(Stamp::of(folder.path()).is_err());
    }
}

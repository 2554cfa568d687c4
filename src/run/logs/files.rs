//! The four log files of the pool: opened when a line comes, turned at local midnight, thrown away when old.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use chrono::{DateTime, Days, FixedOffset, NaiveDate};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::config::pipeline::LogSettings;
use crate::disk::atomic::{self, AtomicFile, SHARED};

/// The files, from everything to what is critical only.
pub const NAMES: [&str; 4] = ["Debug.log", "Daily.log", "Error.log", "Break_down.log"];

/// How a moment reads on the wall clock here; daylight saving makes the offset a matter of the moment.
pub type WallClock = Box<dyn Fn(SystemTime) -> DateTime<FixedOffset> + Send + Sync>;

/// The open log files of one process. Several processes may write into one folder: lines are appended whole, and
/// turning a page is done under a lock.
pub struct Book {
    folder: PathBuf,
    keep_days: u32,
    compress: bool,
    wall: WallClock,
    pages: Mutex<[Page; 4]>,
    trouble: OnceLock<String>,
}

#[derive(Default)]
struct Page {
    file: Option<File>,
    day: Option<NaiveDate>,
    /// A line was cut short by a full disk: the next one starts on a line of its own.
    torn: bool,
}

impl Book {
    /// Makes what is missing and turns the pages that earlier days left.
    pub fn open(folder: &Path, settings: &LogSettings, wall: WallClock, now: SystemTime) -> io::Result<Self> {
        let book = Self {
            folder: folder.to_owned(),
            keep_days: settings.keep_days,
            compress: settings.compress,
            wall,
            pages: Mutex::default(),
            trouble: OnceLock::new(),
        };
        atomic::create_folder(folder, SHARED)?;
        let today = (book.wall)(now).date_naive();
        for name in NAMES {
            match book.day_of(name) {
                Ok(Some(day)) if day < today => book.turn(name, today)?,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => drop(book.append_to(name)?),
                Err(error) => return Err(error),
            }
        }
        Ok(book)
    }

    /// When this moment is on the wall clock.
    pub fn wall(&self, now: SystemTime) -> DateTime<FixedOffset> {
        (self.wall)(now)
    }

    /// Appends a line (with its line end) to the first `count` files of [`NAMES`]. What cannot be written is lost, never
    /// the work that wanted to speak; see [`trouble`](Self::trouble).
    pub fn write(&self, count: usize, line: &str, day: NaiveDate) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        for (page, name) in pages.iter_mut().zip(NAMES).take(count) {
            if let Err(error) = self.write_page(page, name, line, day) {
                let path = self.folder.join(name);
                let _ = self.trouble.set(format!("cannot write {}: {error}", path.display()));
            }
        }
    }

    /// The first line that could not be written, and why.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.get().map(String::as_str)
    }

    fn write_page(&self, page: &mut Page, name: &str, line: &str, day: NaiveDate) -> io::Result<()> {
        if page.day != Some(day) || page.file.is_none() {
            page.file = None;
            match self.day_of(name) {
                Ok(Some(old)) if old < day => self.turn(name, day)?,
                _ => {}
            }
            page.file = Some(self.append_to(name)?);
            page.day = Some(day);
        }
        let Some(file) = page.file.as_mut() else { return Ok(()) };
        let mut bytes = line.as_bytes();
        let with_break;
        if page.torn {
            with_break = format!("\n{line}");
            bytes = with_break.as_bytes();
        }
        // One call, so that lines of several processes never mix; only a full disk cuts it short.
        let written = file.write(bytes)?;
        page.torn = written < bytes.len();
        if page.torn {
            file.write_all(&bytes[written..])?;
            page.torn = false;
        }
        Ok(())
    }

    fn append_to(&self, name: &str) -> io::Result<File> {
        let path = self.folder.join(name);
        let open = || OpenOptions::new().append(true).create(true).mode(SHARED).open(&path);
        open().or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => atomic::create_folder(&self.folder, SHARED).and_then(|()| open()),
            _ => Err(error),
        })
    }

    /// The day of the last line of a file; `None` for an empty one, which has no day.
    fn day_of(&self, name: &str) -> io::Result<Option<NaiveDate>> {
        let found = fs::metadata(self.folder.join(name))?;
        if found.len() == 0 {
            return Ok(None);
        }
        Ok(Some((self.wall)(found.modified()?).date_naive()))
    }

    fn turn(&self, name: &str, today: NaiveDate) -> io::Result<()> {
        let path = self.folder.join(".turning");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(SHARED).open(path)?;
        lock.lock()?;
        // Another process may have turned it while this one waited.
        match self.day_of(name) {
            Ok(Some(day)) if day < today => self.lay_aside(name, day)?,
            _ => {}
        }
        drop(self.append_to(name)?);
        self.tidy(name, today)
    }

    fn lay_aside(&self, name: &str, day: NaiveDate) -> io::Result<()> {
        let from = self.folder.join(name);
        let to = self.folder.join(format!("{name}.{day}"));
        if !to.try_exists()? {
            return fs::rename(from, to);
        }
        // A clock that was set back: the day gets both halves.
        let mut to = OpenOptions::new().append(true).open(to)?;
        io::copy(&mut File::open(&from)?, &mut to)?;
        fs::remove_file(from)
    }

    /// Throws away what is older than it should be kept and compresses the rest, if asked.
    fn tidy(&self, name: &str, today: NaiveDate) -> io::Result<()> {
        let oldest = today.checked_sub_days(Days::new(self.keep_days.into())).unwrap_or(NaiveDate::MIN);
        for found in fs::read_dir(&self.folder)? {
            let found = found?;
            let file = found.file_name();
            let Some((day, packed)) = file.to_str().and_then(|file| laid_aside(name, file)) else { continue };
            if day < oldest {
                fs::remove_file(found.path())?;
            } else if self.compress && !packed {
                pack(&found.path())?;
            }
        }
        Ok(())
    }
}

/// `Debug.log.2026-11-23` and `Debug.log.2026-11-23.gz`: the day, and whether it is compressed.
fn laid_aside(name: &str, file: &str) -> Option<(NaiveDate, bool)> {
    let day = file.strip_prefix(name)?.strip_prefix('.')?;
    let (day, packed) = day.strip_suffix(".gz").map_or((day, false), |day| (day, true));
    (day.len() == 10).then(|| day.parse().ok()).flatten().map(|day| (day, packed))
}

/// Compresses a file; where there is a compressed one already, this becomes its second member.
fn pack(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    let target = PathBuf::from(name);
    let mut file = AtomicFile::create(&target, SHARED)?;
    match File::open(&target) {
        Ok(mut before) => drop(io::copy(&mut before, &mut file)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut encoder = GzEncoder::new(file, Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?.commit()?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use chrono::{TimeZone, Utc};
    use chrono_tz::America::New_York;

    use super::*;

    fn wall() -> WallClock {
        Box::new(|moment| DateTime::<Utc>::from(moment).with_timezone(&New_York).fixed_offset())
    }

    fn at(text: &str) -> SystemTime {
        New_York.datetime_from_str(text).into()
    }

    trait Parse {
        fn datetime_from_str(self, text: &str) -> DateTime<chrono_tz::Tz>;
    }

    impl Parse for chrono_tz::Tz {
        fn datetime_from_str(self, text: &str) -> DateTime<chrono_tz::Tz> {
            let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
            self.from_local_datetime(&naive).unwrap()
        }
    }

    fn open(folder: &Path, compress: bool, now: SystemTime) -> Book {
        Book::open(folder, &LogSettings { compress, ..LogSettings::default() }, wall(), now).unwrap()
    }

    fn say(book: &Book, line: &str, now: SystemTime) {
        book.write(1, line, book.wall(now).date_naive());
    }

    fn age(folder: &Path, name: &str, moment: SystemTime) {
        OpenOptions::new().append(true).open(folder.join(name)).unwrap().set_modified(moment).unwrap();
    }

    fn read(folder: &Path, name: &str) -> String {
        fs::read_to_string(folder.join(name)).unwrap()
    }

    #[test]
    fn short_lives_on_both_sides_of_midnight_turn_the_page() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, before) = (folder.path(), at("2026-11-23 23:59"));
        say(&open(folder, false, before), "late\n", before);
        age(folder, "Debug.log", before);
        let after = before + Duration::from_secs(120);
        say(&open(folder, false, after), "early\n", after);
        assert_eq!(read(folder, "Debug.log.2026-11-23"), "late\n");
        assert_eq!(read(folder, "Debug.log"), "early\n");
        // Empty files have no day to be laid aside under.
        assert!(!folder.join("Error.log.2026-11-23").exists());
        assert_eq!(fs::metadata(folder.join("Debug.log")).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_process_that_lives_through_midnight_turns_the_page_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, before) = (folder.path(), at("2026-11-23 23:59"));
        let book = open(folder, false, before);
        say(&book, "late\n", before);
        age(folder, "Debug.log", before);
        say(&book, "early\n", before + Duration::from_secs(120));
        assert_eq!(read(folder, "Debug.log.2026-11-23"), "late\n");
        assert_eq!(read(folder, "Debug.log"), "early\n");
        assert_eq!(book.trouble(), None);
    }

    #[test]
    fn nobody_was_awake_for_days_and_the_file_keeps_the_day_of_its_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("Error.log"), "old\n").unwrap();
        age(folder, "Error.log", at("2026-11-20 10:00"));
        // The zone decides: 01:30 UTC on the 21st is still the 20th in New York.
        fs::write(folder.join("Daily.log"), "evening\n").unwrap();
        age(folder, "Daily.log", at("2026-11-20 20:30"));
        open(folder, false, at("2026-11-23 10:00"));
        assert_eq!(read(folder, "Error.log.2026-11-20"), "old\n");
        assert_eq!(read(folder, "Daily.log.2026-11-20"), "evening\n");
        assert_eq!(read(folder, "Error.log"), "");
    }

    #[test]
    fn old_pages_go_and_others_are_compressed_without_losing_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["Debug.log.2025-11-21", "Debug.log.2025-11-24", "Debug.log.notes", "Debug.log.2025-11-20.gz"] {
            fs::write(folder.join(name), "kept\n").unwrap();
        }
        for line in ["one\n", "two\n"] {
            fs::write(folder.join("Debug.log"), line).unwrap();
            age(folder, "Debug.log", at("2026-11-22 10:00"));
            open(folder, true, at("2026-11-23 10:00"));
        }
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name()).collect();
        names.sort();
        let expected = [".turning", "Break_down.log", "Daily.log", "Debug.log", "Debug.log.2025-11-24.gz"];
        assert_eq!(names[..5], expected);
        assert_eq!(names[5..], ["Debug.log.2026-11-22.gz", "Debug.log.notes", "Error.log"]);
        let mut text = String::new();
        let packed = File::open(folder.join("Debug.log.2026-11-22.gz")).unwrap();
        flate2::read::MultiGzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn two_processes_at_midnight_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, before) = (folder.path(), at("2026-11-23 23:59"));
        let books: Vec<_> = (0..4).map(|_| open(folder, false, before)).collect();
        for book in &books {
            say(book, "late\n", before);
        }
        age(folder, "Debug.log", before);
        std::thread::scope(|scope| {
            for book in &books {
                scope.spawn(move || (0..50).for_each(|_| say(book, "early\n", before + Duration::from_secs(120))));
            }
        });
        assert_eq!(read(folder, "Debug.log.2026-11-23").lines().count(), 4);
        // The files that were made "now" are younger than the faked tomorrow only on the wall; none is turned twice.
        assert_eq!(read(folder, "Debug.log").lines().count(), 200);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_trouble_but_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let now = at("2026-11-23 10:00");
        let book = open(folder.path(), false, now);
        fs::remove_dir_all(folder.path()).unwrap();
        fs::write(folder.path(), "a file where the folder was").unwrap();
        say(&book, "lost\n", now);
        assert!(book.trouble().unwrap().contains("Debug.log"), "{:?}", book.trouble());
        fs::remove_file(folder.path()).unwrap();
        fs::create_dir(folder.path()).unwrap();
    }
}

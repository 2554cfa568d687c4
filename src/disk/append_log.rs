//! Records that are only ever appended to: what a crash or a full disk leaves half at the end is cut off, when the log is
//! opened and when the writing fails, so that no record is ever read as part of another.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::disk::atomic;

/// A private file opened for appending.
#[derive(Debug)]
pub struct AppendLog {
    path: PathBuf,
    file: File,
    end: End,
}

/// Where the whole records of a log end.
#[derive(Debug, Clone, Copy)]
enum End {
    /// After the last line's end. Several tasks may append to one log of lines.
    OfLines,
    /// Here, as whoever read its frames knows; nobody else appends.
    At(u64),
}

impl AppendLog {
    /// Opens a log of lines, made with its folder if it is missing.
    pub fn of_lines(path: &Path) -> io::Result<Self> {
        Self::open(path, End::OfLines)
    }

    /// Opens a log of which the first `whole` bytes are sound, made with its folder if it is missing.
    pub fn of_frames(path: &Path, whole: u64) -> io::Result<Self> {
        Self::open(path, End::At(whole))
    }

    fn open(path: &Path, end: End) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            atomic::create_folder(folder, atomic::PRIVATE)?;
        }
        let file = OpenOptions::new().create(true).read(true).append(true).mode(atomic::PRIVATE).open(path)?;
        let mut log = Self { path: path.to_owned(), file, end };
        log.append(|_| Ok(()))?;
        Ok(log)
    }

    /// Appends what `write` writes, all of it or nothing.
    ///
    /// # Errors
    /// Whatever the file system says; the log is then as before.
    pub fn append(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        // Tables are exported side by side: nobody else may write between the look at the end and the writing.
        self.file.lock()?;
        let appended = self.append_locked(write);
        self.file.unlock()?;
        appended
    }

    fn append_locked(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let before = self.cut()?;
        let mut out = Counting { file: &self.file, written: 0 };
        match write(&mut out) {
            Ok(()) => {
                if let End::At(end) = &mut self.end {
                    *end = before + out.written;
                }
                Ok(())
            }
            Err(error) => {
                self.file.set_len(before)?;
                Err(error)
            }
        }
    }

    /// Cuts off what is not whole; the length then.
    fn cut(&self) -> io::Result<u64> {
        let length = self.file.metadata()?.len();
        let end = match self.end {
            End::OfLines => end_of_lines(&self.file, length)?,
            End::At(end) => end,
        };
        if length == end {
            return Ok(end);
        }
        if matches!(self.end, End::OfLines) && self.ends_with_a_record(end, length)? {
            (&self.file).write_all(b"\n")?;
            return Ok(length + 1);
        }
        self.file.set_len(end)?;
        Ok(end)
    }

    /// Only the line's end is missing: readers take such a record as it is, so it must not vanish.
    fn ends_with_a_record(&self, from: u64, length: u64) -> io::Result<bool> {
        let mut tail = vec![0; usize::try_from(length.saturating_sub(from)).unwrap_or_default()];
        self.file.read_exact_at(&mut tail, from)?;
        Ok(serde_json::from_slice::<serde::de::IgnoredAny>(&tail).is_ok())
    }

    /// Makes what was appended durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Bytes of whole records.
    pub fn length(&self) -> io::Result<u64> {
        match self.end {
            End::OfLines => self.file.metadata().map(|found| found.len()),
            End::At(end) => Ok(end),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

struct Counting<'f> {
    file: &'f File,
    written: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Where the last whole line ends.
fn end_of_lines(file: &File, length: u64) -> io::Result<u64> {
    const PART: u64 = 1 << 12;
    let (mut end, mut part) = (length, Vec::new());
    // Nearly always the last byte ends a line, and is all that is read.
    let mut size = 1;
    while end > 0 {
        let from = end.saturating_sub(size);
        part.resize(usize::try_from(end - from).unwrap_or_default(), 0);
        file.read_exact_at(&mut part, from)?;
        if let Some(at) = memchr::memrchr(b'\n', &part) {
            return Ok(from + at as u64 + 1);
        }
        (end, size) = (from, PART);
    }
    Ok(0)
}

/// Adds a line for a record to a log of lines. It is not synced: this is for what may be lost in a crash, so that a wait
/// for the disk is saved for every table.
pub fn append_line(path: &Path, record: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    AppendLog::of_lines(path)?.append(|out| out.write_all(&line))
}

/// Calls `use_line` with each line from the byte `from` on, with its end, in the order in which they were written; with
/// none when the log was not begun. The last may be half a line, of a crash.
pub fn each_line(path: &Path, from: u64, mut use_line: impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if from > 0 {
        file.seek(SeekFrom::Start(from))?;
    }
    let mut lines = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        use_line(&line);
        line.clear();
    }
    Ok(())
}

/// Bytes of a frame before its payload: length and CRC-32, each four, little endian.
const FRAME_HEAD: usize = 8;

/// Reads the frames of a log one after another, as far as they are whole.
#[derive(Debug)]
pub struct Frames<R> {
    from: R,
    payload: Vec<u8>,
    whole: u64,
}

impl<R: Read> Frames<R> {
    /// `magic`: what names the format at the beginning of the file; another beginning has no frames.
    pub fn new(mut from: R, magic: &[u8]) -> io::Result<Self> {
        let mut found = Vec::with_capacity(magic.len());
        from.by_ref().take(magic.len() as u64).read_to_end(&mut found)?;
        let whole = if found == magic { magic.len() as u64 } else { 0 };
        Ok(Self { from, payload: Vec::new(), whole })
    }

    /// The next payload; `None` at the end of what is whole.
    pub fn next_payload(&mut self) -> io::Result<Option<&[u8]>> {
        self.payload.clear();
        self.from.by_ref().take(FRAME_HEAD as u64).read_to_end(&mut self.payload)?;
        let Ok(head) = self.payload[..].try_into().map(u64::from_le_bytes) else { return Ok(None) };
        let (length, sum) = (head & u64::from(u32::MAX), head >> 32);
        self.payload.clear();
        // No more memory than there are bytes, whatever a damaged length says.
        self.from.by_ref().take(length).read_to_end(&mut self.payload)?;
        // An empty frame is never written: a file whose end became zeros after a power cut must not count as frames.
        let sound = self.whole > 0 && length > 0 && self.payload.len() as u64 == length;
        if !sound || u64::from(crc32fast::hash(&self.payload)) != sum {
            return Ok(None);
        }
        self.whole += FRAME_HEAD as u64 + length;
        Ok(Some(&self.payload))
    }

    /// The bytes of the whole frames so far, with the head of the file.
    pub fn whole(&self) -> u64 {
        self.whole
    }
}

/// Adds one frame around a payload.
pub fn frame(payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("a frame is flushed long before 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_of(path: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        each_line(path, 0, |line| lines.push(String::from_utf8_lossy(line).trim_end().to_owned())).unwrap();
        lines
    }

    #[test]
    fn what_fails_half_way_leaves_the_log_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/log.jsonl");
        let mut log = AppendLog::of_lines(&path).unwrap();
        log.append(|out| out.write_all(b"one\n")).unwrap();
        let full = |out: &mut dyn Write| {
            out.write_all(b"two\nthr")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        assert_eq!(log.append(full).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(lines_of(&path), ["one"]);
        let whole = log.length().unwrap();
        let mut frames = AppendLog::of_frames(&path, whole).unwrap();
        frames.append(full).unwrap_err();
        assert_eq!((frames.length().unwrap(), std::fs::metadata(&path).unwrap().len()), (whole, whole));
        frames.append(|out| out.write_all(b"four\n")).unwrap();
        assert_eq!(lines_of(&path), ["one", "four"]);
    }

    #[test]
    fn what_another_left_half_is_cut_before_the_next_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut open = AppendLog::of_lines(&path).unwrap();
        std::fs::write(&path, format!("one\n{}", "x".repeat(9000))).unwrap();
        open.append(|out| out.write_all(b"two\n")).unwrap();
        assert_eq!(lines_of(&path), ["one", "two"]);
        std::fs::write(&path, "half").unwrap();
        AppendLog::of_lines(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        std::fs::write(&path, "{\"whole\":1}").unwrap();
        append_line(&path, &2).unwrap();
        assert_eq!(lines_of(&path), ["{\"whole\":1}", "2"]);
    }

    #[test]
    fn tasks_that_append_side_by_side_lose_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        std::thread::scope(|scope| {
            for task in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    let mut log = AppendLog::of_lines(path).unwrap();
                    for number in 0..50 {
                        let line = format!("{task} {number}\n");
                        let failed = log.append(|out| {
                            out.write_all(line.as_bytes())?;
                            if number % 3 == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
                        });
                        assert_eq!(failed.is_err(), number % 3 == 0);
                    }
                });
            }
        });
        let mut found = lines_of(&path);
        found.sort_unstable();
        let mut wanted: Vec<String> = (0..4)
            .flat_map(|task| (0..50).filter(|number| number % 3 != 0).map(move |number| format!("{task} {number}")))
            .collect();
        wanted.sort_unstable();
        assert_eq!(found, wanted);
    }

    proptest! {
        #[test]
        fn any_beginning_of_a_log_of_frames_gives_the_first_of_its_payloads(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = b"magic".to_vec();
            let mut ends = vec![bytes.len()];
            for payload in &payloads {
                frame(payload, &mut bytes);
                ends.push(bytes.len());
            }
            let cut = cut.index(bytes.len() + 1);
            let mut frames = Frames::new(&bytes[..cut], b"magic").unwrap();
            let mut found = Vec::new();
            while let Some(payload) = frames.next_payload().unwrap() {
                found.push(payload.to_vec());
            }
            let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            prop_assert_eq!(&found[..], &payloads[..whole]);
            prop_assert_eq!(frames.whole(), if cut < 5 { 0 } else { ends[whole] as u64 });
        }
    }
}

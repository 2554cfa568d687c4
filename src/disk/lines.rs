//! Lines of a record that is only ever appended to, and may not have been begun.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

use crate::disk::atomic;

/// Calls `use_line` with each line from the byte `from` on, with its end, in the order in which they were written. The
/// last may be half a line, of a crash.
pub fn each(path: &Path, from: u64, mut use_line: impl FnMut(&[u8])) -> io::Result<()> {
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

/// Adds a line for a record to a private file. It is not synced: this is for what may be lost in a crash, so that a wait
/// for the disk is saved for every table.
pub fn append(path: &Path, record: &impl Serialize) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        atomic::create_folder(folder, atomic::PRIVATE)?;
    }
    let mut open = OpenOptions::new();
    let mut file = open.create(true).read(true).append(true).mode(atomic::PRIVATE).open(path)?;
    let mut text = Vec::with_capacity(256);
    // A line that a crash left half must not swallow the next one.
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.push(b'\n');
        }
    }
    serde_json::to_writer(&mut text, record)?;
    text.push(b'\n');
    // At once: tables are exported side by side.
    file.write_all(&text)
}

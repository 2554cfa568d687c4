//! Lines of a record that is only ever appended to, and may not have been begun.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

/// Calls `use_line` with each line from the byte `from` on, with its end, in the order in which they were written. The
/// last may be half a line, of a crash.
///
/// # Errors
/// Whatever the file system says, except that there is no such file yet.
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

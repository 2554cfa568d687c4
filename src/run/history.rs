//! Past runs, read from their logs.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

/// So many bytes hold nearly every last event.
const TAIL: u64 = 4 << 10;

/// The names of all runs, oldest first.
pub fn runs(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut runs: Vec<String> = names.filter_map(|name| name.strip_suffix(".jsonl").map(str::to_owned)).collect();
    runs.sort_unstable();
    Ok(runs)
}

/// The run that a person means by a name or its unambiguous beginning.
pub fn resolve<'r>(runs: &'r [String], wanted: &str) -> Option<&'r str> {
    let mut found = runs.iter().filter(|run| run.starts_with(wanted));
    match (runs.iter().find(|run| *run == wanted), found.next(), found.next()) {
        (Some(exact), ..) => Some(exact),
        (None, Some(one), None) => Some(one),
        _ => None,
    }
}

/// The first and the last event of a run: what it was asked for and how it ended. The last is another than
/// `run_finished` where the run was killed.
pub fn ends(folder: &Path, run: &str) -> io::Result<[Value; 2]> {
    let mut file = File::open(folder.join(format!("{run}.jsonl")))?;
    let mut first = String::new();
    BufReader::new(&file).read_line(&mut first)?;
    let mut tail = Vec::new();
    let mut room = TAIL;
    let length = file.metadata()?.len();
    loop {
        let from = length.saturating_sub(room);
        file.seek(SeekFrom::Start(from))?;
        tail.clear();
        file.read_to_end(&mut tail)?;
        // Whole only if a line's beginning is in sight.
        let ended = tail.trim_ascii_end();
        if from == 0 || ended.contains(&b'\n') {
            let last = ended.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            return Ok([serde_json::from_str(&first), serde_json::from_slice(last)].map(Result::unwrap_or_default));
        }
        room *= 2;
    }
}

/// The events of a run. A last line that a killed run left half is left out.
pub fn events(folder: &Path, run: &str) -> io::Result<Vec<Value>> {
    let file = BufReader::new(File::open(folder.join(format!("{run}.jsonl")))?);
    let lines: Vec<String> = file.lines().collect::<Result<_, _>>()?;
    Ok(lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Removes runs that are older than so many days, once a day.
pub fn sweep(folder: &Path, keep_days: u32) {
    let mark = folder.join(".swept");
    let age = |path: &PathBuf| {
        fs::metadata(path).and_then(|m| m.modified()).ok().and_then(|t| SystemTime::now().duration_since(t).ok())
    };
    let day = Duration::from_secs(86_400);
    if age(&mark).is_some_and(|age| age < day) {
        return;
    }
    // Old logs that stay a day longer do no harm.
    let _ = fs::write(&mark, b"");
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = path.extension().is_some_and(|ending| ending == "jsonl" || ending == "output");
        if ours && age(&path).is_some_and(|age| age > day * keep_days) {
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

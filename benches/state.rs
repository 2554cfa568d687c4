//! Why the state is one log that is read whole: against redb, a well-kept store in one file, with the same records.
//!
//! `cargo bench --bench state` prints times and ratios for a graph of 100,000 decoded files.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use mtdata::parts::{Content, Manifest, Seen, Stamp, Store};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

const FILES: usize = 100_000;
const ROUNDS: usize = 7;
const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");

type Outcome<T> = Result<T, Box<dyn Error>>;

fn names(number: usize) -> (String, [String; 2]) {
    let scale = number % 60;
    let day = number / 60;
    let target = format!("decode/lab/Scale{scale:02}/{day:06}");
    (
        target,
        [
            format!("data/lab/raw_data/Scale{scale:02}_{day:06}.json"),
            format!("data/lab/active_data/Scale{scale:02}_{day:06}.csv"),
        ],
    )
}

fn fill(store: &mut Store, numbers: std::ops::Range<usize>) -> Outcome<()> {
    for number in numbers {
        let (target, paths) = names(number);
        let content = Content::from_bytes([7; 32]);
        let stamp = Stamp { device: 1, inode: number as u64, size: 80, modified: 1, changed: 1 };
        let paths = paths.map(|path| store.names.intern(&path));
        for path in paths {
            store.record_seen(path, Seen { stamp, content, taken: 9 })?;
        }
        let (target, run) = (store.names.intern(&target), store.names.intern("run"));
        let manifest = Manifest {
            revision: 1,
            parameters: vec![(run, run)],
            inputs: vec![(paths[0], content)],
            outputs: vec![(paths[1], content)],
            run,
            finished: 1,
            unfinished: false,
        };
        store.record_done(target, manifest)?;
    }
    Ok(())
}

/// The same bytes under the same keys: a stamp and a hash per file, a manifest per target.
fn fill_other(database: &Database, numbers: std::ops::Range<usize>) -> Outcome<()> {
    let change = database.begin_write()?;
    {
        let mut table = change.open_table(TABLE)?;
        for number in numbers {
            let (target, paths) = names(number);
            for path in &paths {
                table.insert(path.as_str(), [7_u8; 80].as_slice())?;
            }
            table.insert(target.as_str(), [7_u8; 120].as_slice())?;
        }
    }
    change.commit()?;
    Ok(())
}

fn median(mut work: impl FnMut() -> Outcome<()>) -> Outcome<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[ROUNDS / 2])
}

fn size(path: &Path) -> Outcome<f64> {
    Ok(f64::from(u32::try_from(std::fs::metadata(path)?.len() >> 10)?) / 1024.0)
}

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let (log, other) = (folder.path().join("state"), folder.path().join("redb"));
    let mut store = Store::read(&log)?;
    store.open_for_writing(&log)?;
    fill(&mut store, 0..FILES)?;
    store.close()?;
    drop(store);
    fill_other(&Database::create(&other)?, 0..FILES)?;
    let read = median(|| {
        Store::read(&log)?;
        Ok(())
    })?;
    let read_other = median(|| {
        let database = Database::open(&other)?;
        let table = database.begin_read()?.open_table(TABLE)?;
        let mut all = std::collections::HashMap::new();
        for row in table.iter()? {
            let (key, value) = row?;
            all.insert(key.value().to_owned(), value.value().to_vec());
        }
        Ok(())
    })?;
    let mut store = Store::read(&log)?;
    store.open_for_writing(&log)?;
    let change = median(|| {
        fill(&mut store, 0..5)?;
        store.flush()?;
        Ok(())
    })?;
    store.close()?;
    let database = Database::open(&other)?;
    let change_other = median(|| fill_other(&database, 0..5))?;
    println!("| {FILES} targets | log | redb | ratio |\n|---|---|---|---|");
    let row = |what: &str, a: Duration, b: Duration| {
        println!("| {what} | {a:.1?} | {b:.1?} | {:.2} |", a.as_secs_f64() / b.as_secs_f64());
    };
    row("read all", read, read_other);
    row("five targets changed", change, change_other);
    let (a, b) = (size(&log)?, size(&other)?);
    println!("| size | {a:.0} MiB | {b:.0} MiB | {:.2} |", a / b);
    Ok(())
}

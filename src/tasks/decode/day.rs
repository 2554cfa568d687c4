//! One day of one scale: its raw files read batch by batch, all cores on each, into one table.
//!
//! The header is guessed from the beginning of each file and the table written at once; should a later entry have
//! another key, the rest is only looked through for keys and the table is begun again. What was decrypted is kept, so
//! only reading is done twice, and that rarely.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use crate::code::Code;
use crate::counts::{Count, Counts};
use crate::disk::atomic::Written;
use crate::disk::atomic::{self, AtomicFile};
use crate::failure::Failure;
use crate::keys::remembered::{Ciphertext, Plain, RememberedText};
use crate::keys::ring::{DecryptFailure, Keyring};
use crate::pool::paths::{DateStyle, ServerFolder, raw_name};
use crate::pool::raw_reader::Care;
use crate::task::{Axes, Done, Warning, Work};
use crate::tasks::decode::batch::{EntryBatch, Fragment, RawBatches};
use crate::tasks::decode::drift::{self, Shape};
use crate::tasks::decode::rows::{DayColumns, EntryRows, NotJson, Parsed, Parser, RefusedValue};
use crate::tasks::decode::shrunk;

/// Entries that one core takes at a time.
const SHARE: usize = 64;

/// One day of one scale.
pub struct DayDecoding<'d> {
    pub work: &'d Work<'d>,
    pub ring: &'d Keyring,
    pub folder: &'d ServerFolder,
    pub date_style: &'d DateStyle,
}

/// A raw file of the day.
struct Raw {
    path: PathBuf,
    name: String,
    size: u64,
    plain: Plain,
    care: Care,
}

/// Why a table was begun again.
enum Again {
    /// There are more columns than was thought.
    Columns(BTreeSet<String>),
    /// This file is damaged.
    Damaged(usize),
}

impl DayDecoding<'_> {
    pub fn decode(&self) -> Result<Done, Failure> {
        let mut files = self.files()?;
        let mut decrypted = 0;
        let result = self.tables(&mut files, &mut decrypted);
        // What was opened stays opened, however this ends.
        for file in &mut files {
            file.plain.save().map_err(|error| Failure::write(&self.folder.plain(), error))?;
        }
        let mut done = result?;
        if decrypted > 0 {
            done.counts.add(Count::RsaDecrypted, decrypted);
        }
        Ok(done)
    }

    /// The tables of the days before this one, the nearest first, as far as they are there.
    fn tables_before(&self) -> Vec<PathBuf> {
        let Axes { server: Some(server), scale: Some(scale), date: Some(date) } = self.work.axes else {
            return Vec::new();
        };
        let seen = self.work.facts.servers.get(server).and_then(|server| server.scales.get(scale));
        let days = seen.into_iter().flat_map(|scale| scale.dates.range(..*date).rev());
        let names = days.take(drift::DAYS).flat_map(|(day, files)| {
            let own = self.date_style.table(scale, *day);
            let mut names: Vec<String> = files.active.iter().map(ToString::to_string).collect();
            if !names.contains(&own) {
                names.push(own);
            }
            names
        });
        names.map(|name| self.folder.active().join(name)).filter(|table| table.exists()).collect()
    }

    /// For people: scale and day.
    fn name(&self) -> String {
        let scale = self.work.axes.scale.as_ref().map(ToString::to_string).unwrap_or_default();
        let date = self.work.axes.date.map(|date| date.to_string()).unwrap_or_default();
        format!("{scale}, since {date}")
    }

    fn files(&self) -> Result<Vec<Raw>, Failure> {
        let keys: Vec<String> = self.ring.keys().iter().map(|key| key.fingerprint().to_owned()).collect();
        let one = |input: &crate::task::ProjectPath| {
            let path = self.work.locate(input);
            let size = std::fs::metadata(&path).map_err(|error| Failure::read(&path, error))?.len();
            let name = input.rsplit('/').next().unwrap_or_default().to_owned();
            Ok(Raw { plain: Plain::open(self.folder, &name, &keys), path, name, size, care: Care::Fast })
        };
        let mut files: Vec<Raw> = self.work.inputs.iter().map(one).collect::<Result<_, _>>()?;
        // In the order of their arrival: the second answer of a second, `-1`, would sort before the first.
        files.sort_by_cached_key(|file| {
            let dated = raw_name(&file.name);
            (dated.map(|dated| (dated.time, dated.repeat)), file.name.clone())
        });
        Ok(files)
    }

    fn tables(&self, files: &mut [Raw], decrypted: &mut u64) -> Result<Done, Failure> {
        let mut names = BTreeSet::new();
        for file in &*files {
            let read = |error| Failure::read(&file.path, error);
            let batch = RawBatches::open(&file.path, file.care).and_then(|mut source| source.glance()).map_err(read)?;
            names.append(&mut keys(&batch, &DayColumns::default()));
        }
        loop {
            let columns = DayColumns::new(names.clone());
            let mut table = DayTable::new(self, &columns, files)?;
            match table.fill(decrypted)? {
                None => return table.finish(),
                Some(Again::Columns(mut more)) => names.append(&mut more),
                Some(Again::Damaged(file)) => files[file].care = Care::Checked,
            }
        }
    }
}

/// Keys of a batch that are no columns yet.
fn keys(batch: &EntryBatch, columns: &DayColumns) -> BTreeSet<String> {
    let share = |share: &[std::ops::Range<usize>]| {
        let mut parser = Parser::new(columns, 0);
        for entry in share {
            // What is no JSON is found when its row is to be written.
            let _ = parser.parse(batch.bytes(entry));
        }
        parser.unknown
    };
    batch.entries().par_chunks(SHARE).map(share).reduce(BTreeSet::new, |mut all, mut more| {
        all.append(&mut more);
        all
    })
}

/// The entries of a share, parsed, and the keys that have no column.
type Share<'b> = (Vec<Result<Parsed<'b>, NotJson>>, BTreeSet<String>);

/// What is known of the damage of a file.
#[derive(Default)]
struct FileDamage {
    first: Option<(u64, &'static str)>,
    places: u64,
    bytes: u64,
}

/// The table while it is written.
struct DayTable<'t> {
    day: &'t DayDecoding<'t>,
    columns: &'t DayColumns,
    files: &'t mut [Raw],
    out: AtomicFile,
    quarantine: Quarantine,
    seen: FxHashSet<u128>,
    seed: u64,
    ids: Vec<i64>,
    counts: Counts,
    unopened: u64,
    /// One of them is a ciphertext that no key opens.
    no_key: bool,
    warnings: Vec<Warning>,
}

impl<'t> DayTable<'t> {
    fn new(day: &'t DayDecoding<'t>, columns: &'t DayColumns, files: &'t mut [Raw]) -> Result<Self, Failure> {
        let paths: Vec<PathBuf> = day.work.outputs.iter().map(|output| day.work.locate(&output.path)).collect();
        let [active, quarantine] = paths.as_slice() else {
            return Err(Failure::new(Code::Internal, "a decoding has two outputs"));
        };
        let failed = |error: io::Error| Failure::write(active, error);
        let mut out = AtomicFile::create(active, atomic::PRIVATE).map_err(failed)?;
        if !columns.names().is_empty() {
            let mut header = csv::Writer::from_writer(Vec::new());
            header.write_record(columns.names()).map_err(|error| failed(io::Error::other(error)))?;
            let header = header.into_inner().map_err(|error| failed(error.into_error()))?;
            out.write_all(&header).map_err(failed)?;
        }
        Ok(Self {
            day,
            columns,
            files,
            out,
            quarantine: Quarantine { path: quarantine.clone(), table: None },
            seen: FxHashSet::default(),
            seed: rand::random(),
            ids: Vec::new(),
            counts: Counts::default(),
            unopened: 0,
            no_key: false,
            warnings: Vec::new(),
        })
    }

    /// Writes all rows, unless the table has to be begun again.
    fn fill(&mut self, decrypted: &mut u64) -> Result<Option<Again>, Failure> {
        let total: u64 = self.files.iter().map(|file| file.size).sum();
        let mut before = 0;
        let mut spare = EntryBatch::default();
        let mut more = BTreeSet::new();
        for index in 0..self.files.len() {
            let path = self.files[index].path.clone();
            let read = |error| Failure::read(&path, error);
            let mut source = RawBatches::open(&path, self.files[index].care).map_err(read)?;
            let mut next = source.batch(std::mem::take(&mut spare)).map_err(read)?;
            let mut harm = FileDamage::default();
            let mut entries = 0;
            while !next.is_empty() {
                self.day.work.cancel.check()?;
                let batch = next;
                entries += batch.entries().len() as u64;
                // The next batch is read while this one is worked on.
                let old = std::mem::take(&mut spare);
                let (result, read_next) = if more.is_empty() {
                    rayon::join(|| self.add(index, &batch, &mut harm, decrypted), || source.batch(old))
                } else {
                    rayon::join(|| Ok(Some(Again::Columns(keys(&batch, self.columns)))), || source.batch(old))
                };
                next = read_next.map_err(read)?;
                match result? {
                    Some(Again::Columns(mut found)) => more.append(&mut found),
                    Some(damaged) => return Ok(Some(damaged)),
                    None => self.day.work.voice.progress(before + batch.offset, total),
                }
                spare = batch;
            }
            before += self.files[index].size;
            self.tell(&path, &harm, entries);
        }
        Ok((!more.is_empty()).then_some(Again::Columns(more)))
    }

    fn tell(&mut self, path: &Path, harm: &FileDamage, entries: u64) {
        let Some((at, why)) = harm.first else { return };
        let more = if harm.places > 1 { format!(", and {} places more", harm.places - 1) } else { String::new() };
        let message = format!(
            "{}: {why} at byte {at}{more}; {entries} entries are whole and used, {} bytes are not (see quarantine)",
            path.display(),
            harm.bytes
        );
        self.warnings.push(Warning::new(Code::RawSalvaged, message));
    }

    /// Writes the rows of a batch.
    fn add(
        &mut self,
        file: usize,
        batch: &EntryBatch,
        harm: &mut FileDamage,
        decrypted: &mut u64,
    ) -> Result<Option<Again>, Failure> {
        let share = |share: &[std::ops::Range<usize>]| -> Share<'_> {
            let mut parser = Parser::new(self.columns, self.seed);
            let entries = share.iter().map(|entry| parser.parse(batch.bytes(entry))).collect();
            (entries, parser.unknown)
        };
        let shares: Vec<Share<'_>> = batch.entries().par_chunks(SHARE).map(share).collect();
        let mut more = BTreeSet::new();
        let mut parsed = Vec::with_capacity(batch.entries().len());
        for (entries, mut unknown) in shares {
            more.append(&mut unknown);
            for entry in entries {
                let Ok(entry) = entry else { return Ok(Some(Again::Damaged(file))) };
                parsed.push(entry);
            }
        }
        if !more.is_empty() {
            return Ok(Some(Again::Columns(more)));
        }
        self.counts.add(Count::EntriesRead, parsed.len() as u64);
        self.counts.add(Count::BytesIn, batch.entries().iter().map(|entry| entry.len() as u64).sum());
        // Each content once; the others keep their place for the fragments between them.
        let new: Vec<bool> = parsed.iter().map(|entry| self.seen.insert(entry.identity)).collect();
        let rows = new.iter().filter(|new| **new).count() as u64;
        if rows < parsed.len() as u64 {
            self.counts.add(Count::Duplicates, parsed.len() as u64 - rows);
        }
        self.ids.extend(parsed.iter().filter_map(|entry| entry.id));
        let wanted = parsed.iter().zip(&new).filter(|(_, new)| **new).map(|(entry, _)| entry);
        *decrypted += self.open(file, wanted);
        let known = |sealed| self.known(file, sealed);
        let write = |(share, (entries, new)): (usize, (&[Parsed<'_>], &[bool]))| {
            let mut rows = EntryRows::new(self.columns);
            for (index, (entry, _)) in entries.iter().zip(new).enumerate().filter(|(_, (_, new))| **new) {
                rows.add(share * SHARE + index, entry, known);
            }
            rows.finish()
        };
        let written: Vec<(Vec<u8>, Vec<RefusedValue>)> =
            parsed.par_chunks(SHARE).zip(new.par_chunks(SHARE)).enumerate().map(write).collect();
        let active = |error: io::Error| Failure::write(&self.day.folder.active(), error);
        let mut refused = Vec::new();
        for (bytes, mut part) in written {
            self.out.write_all(&bytes).map_err(active)?;
            refused.append(&mut part);
        }
        let without_row = refused.iter().filter(|refused| refused.column.is_none()).count() as u64;
        self.counts.add(Count::RowsOut, rows - without_row);
        self.refuse(file, &refused, &batch.fragments, harm)?;
        Ok(None)
    }

    /// Opens the values that are not known yet; how many were.
    fn open<'b>(&mut self, file: usize, entries: impl Iterator<Item = &'b Parsed<'b>>) -> u64 {
        let (mut wanted, mut asked, mut reused) = (Vec::new(), HashSet::new(), 0);
        for entry in entries {
            for ((_, sealed), text) in entry.sealed.iter().zip(entry.ciphertexts(self.columns)) {
                if self.files.iter().any(|file| file.plain.remembered(*sealed).is_some_and(|known| known.is_ok())) {
                    reused += 1;
                } else if self.known(file, *sealed).is_none() && asked.insert(*sealed) {
                    wanted.push((*sealed, text));
                }
            }
        }
        if reused > 0 {
            self.counts.add(Count::RsaReused, reused);
        }
        let ring = self.day.ring;
        let opened: Vec<_> = wanted.par_iter().map(|(sealed, text)| (*sealed, ring.open(text))).collect();
        for (sealed, result) in &opened {
            self.files[file].plain.put(*sealed, result);
        }
        opened.iter().filter(|(_, result)| result.is_ok()).count() as u64
    }

    /// What is known of a value, first by the file it stands in.
    fn known(&self, file: usize, sealed: Ciphertext) -> Option<RememberedText<'_>> {
        let of = |file: &'_ Raw| -> bool { file.plain.found(sealed).or(file.plain.remembered(sealed)).is_some() };
        let file = std::iter::once(&self.files[file]).chain(&*self.files).find(|file| of(file))?;
        file.plain.found(sealed).or(file.plain.remembered(sealed))
    }

    fn refuse(
        &mut self,
        file: usize,
        refused: &[RefusedValue],
        fragments: &[Fragment],
        harm: &mut FileDamage,
    ) -> Result<(), Failure> {
        let name = &self.files[file].name;
        let mut fragments = fragments.iter().peekable();
        let mut rows: Vec<[&str; 5]> = Vec::new();
        let ids: Vec<String> = refused.iter().map(|row| row.id.map(|id| id.to_string()).unwrap_or_default()).collect();
        for (row, id) in refused.iter().zip(&ids) {
            while let Some(fragment) = fragments.next_if(|fragment| fragment.before <= row.entry) {
                rows.extend(harm.add(name, fragment));
            }
            let column = row.column.map(|place| self.columns.names()[place].as_str()).unwrap_or_default();
            rows.push([name, id, column, row.reason, &row.value]);
            if row.is_closed() {
                self.unopened += 1;
                self.no_key |= row.reason == DecryptFailure::NoKey.word();
            }
        }
        for fragment in fragments {
            rows.extend(harm.add(name, fragment));
        }
        let closed = refused.iter().filter(|row| row.is_closed()).count() as u64;
        if closed > 0 {
            self.counts.add(Count::RsaFailed, closed);
        }
        if !rows.is_empty() {
            self.counts.add(Count::Quarantined, rows.len() as u64);
        }
        let path = &self.quarantine.path;
        let failed = |error: csv::Error| Failure::write(path, io::Error::other(error));
        for row in rows {
            if self.quarantine.table.is_none() {
                let file = AtomicFile::create(path, atomic::PRIVATE).map_err(|error| Failure::write(path, error))?;
                let mut table = csv::Writer::from_writer(file);
                table.write_record(["file", "id", "column", "reason", "value"]).map_err(failed)?;
                self.quarantine.table = Some(table);
            }
            if let Some(table) = &mut self.quarantine.table {
                table.write_record(row).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Gives both tables their names.
    fn finish(mut self) -> Result<Done, Failure> {
        self.ids.sort_unstable();
        let active = self.day.work.outputs.first().map(|output| self.day.work.locate(&output.path)).unwrap_or_default();
        let failed = |error: io::Error| Failure::write(&active, error);
        self.warnings.extend(shrunk::keep(&active, &self.ids).map_err(failed)?);
        let mut written: Vec<Written> = Vec::new();
        if let Some(table) = self.quarantine.commit().map_err(|error| Failure::write(&self.quarantine.path, error))? {
            written.push(table);
        }
        let mut own = Shape::default();
        if active.exists() {
            own.see(&active).map_err(|error| Failure::read(&active, error))?;
        }
        let table = self.out.commit().map_err(failed)?;
        if table.changed {
            let drift = drift::look(&active, &self.day.tables_before(), &own, &self.day.name());
            self.warnings.extend(drift.map_err(|error| Failure::read(&active, error))?);
        }
        self.counts.add(Count::BytesOut, table.size);
        written.insert(0, table);
        if self.unopened > 0 {
            let place = self.quarantine.path.display();
            let message = format!("{} encrypted values could not be opened; see {place}", self.unopened);
            self.warnings.push(Warning { critical: self.no_key, ..Warning::new(Code::Undecryptable, message) });
        }
        for warning in self.warnings {
            self.day.work.voice.warn(warning);
        }
        Ok(Done { counts: self.counts, written, ..Done::default() })
    }
}

impl FileDamage {
    /// The row of a fragment; none when something is only missing.
    fn add<'f>(&mut self, file: &'f str, fragment: &'f Fragment) -> Option<[&'f str; 5]> {
        self.first.get_or_insert((fragment.at, fragment.why));
        self.places += 1;
        self.bytes += fragment.length as u64;
        (fragment.length > 0).then_some([file, "", "", "damaged", &fragment.text])
    }
}

/// The table of what could not be read, made with its first row.
struct Quarantine {
    path: PathBuf,
    table: Option<csv::Writer<AtomicFile>>,
}

impl Quarantine {
    /// Gives the table its name, or removes an older one when there is nothing to say any more.
    fn commit(&mut self) -> io::Result<Option<Written>> {
        match self.table.take() {
            Some(table) => table.into_inner().map_err(csv::IntoInnerError::into_error)?.commit().map(Some),
            None => atomic::remove(&self.path).map(|_| None),
        }
    }
}

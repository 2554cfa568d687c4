//! Combine: all days of a scale in one table, every version of an entry kept, exact repeats removed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::ByteRecord;

use crate::config::Project;
use crate::config::servers::Servers;
use crate::pool::index::Index;
use crate::pool::paths::ServerFolder;
use crate::pool::table::{TableReader, TableWriter};
use crate::study::moment;
use crate::study::name::{ScaleName, ServerName};
use crate::study::scale::{Scale, Studies};
use crate::study::scoring::{Answer, answer};
use crate::task::{Axes, Count, Counts, Declaration, Done, Facts, Failure, FailureKind, Output, Task, Work};

/// Columns that combine adds.
const ADDED: [&str; 4] = ["_first_seen", "_n_same_id", "_current", "_flags"];

/// The definition that holds for a scale of a server.
#[must_use]
pub fn definition<'s>(
    servers: &Servers,
    studies: &'s Studies,
    server: &ServerName,
    scale: &ScaleName,
) -> Option<&'s Scale> {
    let study = servers.get(server)?.study.as_ref()?;
    studies.get(study)?.scales.get(scale)
}

/// The combining of all servers' scales.
pub struct Combine {
    servers: Arc<Servers>,
    studies: Arc<Studies>,
}

impl Combine {
    #[must_use]
    pub fn new(project: &Project) -> Self {
        Self { servers: Arc::clone(&project.servers), studies: Arc::clone(&project.studies) }
    }

    fn definition(&self, axes: &Axes) -> Option<&Scale> {
        definition(&self.servers, &self.studies, axes.server.as_ref()?, axes.scale.as_ref()?)
    }
}

impl Task for Combine {
    fn revision(&self) -> u32 {
        1
    }

    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration {
        let (Some(name), Some(scale)) = (&axes.server, &axes.scale) else { return Declaration::default() };
        let Some(server) = facts.servers.get(name) else { return Declaration::default() };
        let Some(seen) = server.scales.get(scale).filter(|seen| !seen.dates.is_empty()) else {
            return Declaration::default();
        };
        // Tables of days without a raw file are used as they are.
        let adopted = seen.dates.values().filter(|files| files.raw.is_empty()).flat_map(|files| &files.active);
        let digest = self.definition(axes).map_or_else(|| "none".to_owned(), |scale| scale.digest.clone());
        Declaration {
            inputs: adopted.map(|table| format!("{}/active_data/{table}", server.path).into()).collect(),
            outputs: vec![Output::required(format!("{}/combined/{scale}.csv", server.path))],
            parameters: vec![("definition", digest)],
        }
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        let (Some(name), Some(scale)) = (&work.axes.server, &work.axes.scale) else {
            return Err(Failure::new(FailureKind::Internal, "a combining without server and scale"));
        };
        let paths: Vec<PathBuf> = work.inputs_in("active_data").filter(|path| path.exists()).collect();
        let mut counts = Counts::default();
        let mut rows = Rows::read(&paths, work, &mut counts)?;
        rows.sort();
        let folder = self.servers.get(name).map(|server| ServerFolder::new(&server.path));
        let first_seen = match &folder {
            Some(folder) => FirstSeen::read(folder, scale).map_err(|error| Failure::read(&folder.raw(), &error))?,
            None => FirstSeen::default(),
        };
        let raw_dates = Self::raw_dates(work);
        let path = work.outputs.first().map(|output| work.locate(&output.path)).unwrap_or_default();
        let table =
            Writing { rows: &rows, paths: &paths, first_seen, raw_dates, definition: self.definition(work.axes), work };
        let written = table.write(&path, &mut counts)?;
        Ok(Done { counts, written: vec![written], ..Done::default() })
    }
}

impl Combine {
    /// Names of active tables that stand without a raw file.
    fn raw_dates(work: &Work<'_>) -> HashSet<String> {
        let seen = work.axes.server.as_ref().and_then(|server| work.facts.servers.get(server));
        let seen = seen.zip(work.axes.scale.as_ref()).and_then(|(server, scale)| server.scales.get(scale));
        let days = seen.into_iter().flat_map(|scale| scale.dates.values()).filter(|files| files.raw.is_empty());
        days.flat_map(|files| files.active.iter().map(ToString::to_string)).collect()
    }
}

fn csv_failure(path: &Path) -> impl Fn(csv::Error) -> Failure + '_ {
    move |error| Failure::new(FailureKind::Read, format!("{}: {error}", path.display()))
}

/// Where a row lies and how it sorts: 40 bytes an entry, however large the tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    /// Milliseconds since 1970; entries without a date come last.
    moment: i64,
    id: i64,
    file: u32,
    length: u32,
    offset: u64,
}

struct Rows {
    header: Vec<String>,
    /// For each file, where its columns stand in the header.
    places: Vec<Vec<usize>>,
    all: Vec<Row>,
    /// How many versions each repeated id has.
    versions: HashMap<i64, u32>,
}

impl Rows {
    fn read(paths: &[PathBuf], work: &Work<'_>, counts: &mut Counts) -> Result<Self, Failure> {
        let mut union = BTreeSet::new();
        for path in paths {
            union.extend(TableReader::open(path).map_err(csv_failure(path))?.header().iter().cloned());
        }
        let header: Vec<String> = union.into_iter().collect();
        let mut all = Self { places: Vec::new(), all: Vec::new(), versions: HashMap::new(), header };
        let mut contents: HashSet<[u8; 32]> = HashSet::new();
        for (file, path) in paths.iter().enumerate() {
            work.cancel.check()?;
            all.read_file(file, path, &mut contents, counts)?;
        }
        Ok(all)
    }

    fn read_file(
        &mut self,
        file: usize,
        path: &Path,
        contents: &mut HashSet<[u8; 32]>,
        counts: &mut Counts,
    ) -> Result<(), Failure> {
        let mut table = TableReader::open(path).map_err(csv_failure(path))?;
        let place = |column: &String| self.header.binary_search(column).unwrap_or_default();
        let places: Vec<usize> = table.header().iter().map(place).collect();
        let (id, date) = (table.column("id"), table.any_column(moment::COLUMNS));
        let mut record = ByteRecord::new();
        let mut offset = table.offset();
        while table.next_bytes(&mut record).map_err(csv_failure(path))? {
            let end = table.offset();
            let (start, length) = (offset, end - offset);
            offset = end;
            if !contents.insert(content(&record, &places, &self.header)) {
                counts.add(Count::Duplicates, 1);
                continue;
            }
            let cell =
                |at: Option<usize>| at.and_then(|at| record.get(at)).and_then(|cell| std::str::from_utf8(cell).ok());
            let id = cell(id).and_then(|id| id.parse().ok()).unwrap_or(i64::MAX);
            let moment = cell(date).and_then(moment::parse).map_or(i64::MAX, |moment| moment.timestamp_millis());
            *self.versions.entry(id).or_default() += 1;
            let (file, length) = (u32::try_from(file).unwrap_or(u32::MAX), u32::try_from(length).unwrap_or(u32::MAX));
            self.all.push(Row { moment, id, file, length, offset: start });
        }
        self.places.push(places);
        Ok(())
    }

    fn sort(&mut self) {
        self.all.sort_unstable();
        self.versions.retain(|_, count| *count > 1);
    }
}

/// The identity of a row: its cells by column, empty ones left out, since absent and empty are the same.
fn content(record: &ByteRecord, places: &[usize], header: &[String]) -> [u8; 32] {
    let mut cells: Vec<(usize, &[u8])> =
        places.iter().copied().zip(record.iter()).filter(|(_, cell)| !cell.is_empty()).collect();
    cells.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for (place, cell) in cells {
        hasher.update(header[place].as_bytes());
        hasher.update(&[0]);
        hasher.update(&(cell.len() as u64).to_le_bytes());
        hasher.update(cell);
    }
    *hasher.finalize().as_bytes()
}

/// In which raw file each version of an id came first.
#[derive(Default)]
struct FirstSeen {
    files: Vec<String>,
    /// By id, in the order of arrival.
    of: HashMap<i64, Vec<u32>>,
}

impl FirstSeen {
    fn read(folder: &ServerFolder, scale: &ScaleName) -> std::io::Result<Self> {
        let index = Index::open(folder, scale)?;
        let mut found = Self::default();
        let mut by_time: BTreeMap<_, _> = BTreeMap::new();
        for (name, record) in &index.files {
            let dated = crate::pool::paths::raw_name(name);
            by_time.insert((dated.map(|dated| (dated.date, dated.time, dated.repeat)), name), record);
        }
        let mut seen = HashSet::new();
        for ((_, name), record) in by_time {
            let number = u32::try_from(found.files.len()).unwrap_or(u32::MAX);
            found.files.push(name.clone());
            index.each_of(record, |identity| {
                if seen.insert(identity) {
                    found.of.entry(identity.id).or_default().push(number);
                }
            })?;
        }
        Ok(found)
    }

    fn name(&self, id: i64, version: usize) -> &str {
        let files = self.of.get(&id);
        let number = files.and_then(|files| files.get(version).or(files.last()));
        number.and_then(|number| self.files.get(*number as usize)).map(String::as_str).unwrap_or_default()
    }
}

struct Writing<'w> {
    rows: &'w Rows,
    paths: &'w [PathBuf],
    first_seen: FirstSeen,
    raw_dates: HashSet<String>,
    definition: Option<&'w Scale>,
    work: &'w Work<'w>,
}

impl Writing<'_> {
    fn write(&self, path: &Path, counts: &mut Counts) -> Result<crate::task::Written, Failure> {
        let failed = |error: csv::Error| Failure::write(path, &std::io::Error::other(error));
        let header = &self.rows.header;
        let all = header.iter().map(String::as_str).chain(ADDED);
        let mut table = TableWriter::create(path, all).map_err(failed)?;
        let mut open: Option<(u32, File)> = None;
        let mut version: HashMap<i64, usize> = HashMap::new();
        let newest = self.newest();
        for (index, row) in self.rows.all.iter().enumerate() {
            if index % 4096 == 0 {
                self.work.cancel.check()?;
            }
            let record = self.fetch(row, &mut open)?;
            let mut cells: Vec<&[u8]> = vec![b""; header.len()];
            for (place, cell) in self.rows.places[row.file as usize].iter().zip(&record) {
                cells[*place] = cell;
            }
            let same = self.rows.versions.get(&row.id).copied().unwrap_or(1);
            let nth = version.entry(row.id).or_default();
            let first = self.first_seen.name(row.id, *nth);
            *nth += 1;
            let current = row.id == i64::MAX || newest.get(&row.id).is_none_or(|newest| *newest == index);
            let flags = self.flags(&cells, row, same);
            let (same, current) = (same.to_string(), if current { "true" } else { "false" });
            let added = [first.as_bytes(), same.as_bytes(), current.as_bytes(), flags.as_bytes()];
            table.row(cells.into_iter().chain(added)).map_err(failed)?;
            counts.add(Count::RowsOut, 1);
        }
        table.finish().map_err(|error| Failure::write(path, &error))
    }

    /// Of repeated ids, the row that is the newest.
    fn newest(&self) -> HashMap<i64, usize> {
        let repeated = self.rows.all.iter().enumerate().filter(|(_, row)| self.rows.versions.contains_key(&row.id));
        repeated.map(|(index, row)| (row.id, index)).collect()
    }

    fn fetch(&self, row: &Row, open: &mut Option<(u32, File)>) -> Result<ByteRecord, Failure> {
        let path = &self.paths[row.file as usize];
        let read = |error: std::io::Error| Failure::read(path, &error);
        if open.as_ref().is_none_or(|(file, _)| *file != row.file) {
            *open = Some((row.file, File::open(path).map_err(read)?));
        }
        let mut bytes = vec![0; row.length as usize];
        if let Some((_, file)) = open {
            file.read_exact_at(&mut bytes, row.offset).map_err(read)?;
        }
        let mut record = ByteRecord::new();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes.as_slice());
        reader.read_byte_record(&mut record).map_err(csv_failure(path))?;
        Ok(record)
    }

    /// What this table alone can decide.
    fn flags(&self, cells: &[&[u8]], row: &Row, same: u32) -> String {
        let mut flags = Vec::new();
        if same > 1 && row.id != i64::MAX {
            flags.push("repeated_id".to_owned());
        }
        if row.moment == i64::MAX {
            flags.push("R16:date".to_owned());
        }
        let name = self.paths[row.file as usize].file_name().unwrap_or_default().to_string_lossy();
        if self.raw_dates.contains(&*name) {
            flags.push("no_raw_file".to_owned());
        }
        if let Some(scale) = self.definition {
            let date = moment_date(row.moment);
            for (column, cell) in self.rows.header.iter().zip(cells) {
                let Ok(cell) = std::str::from_utf8(cell) else { continue };
                match answer(scale, column, cell, date) {
                    Answer::OutOfRange => flags.push(format!("R13:{column}")),
                    Answer::Missing(_) => flags.push(format!("R12:{column}")),
                    _ => {}
                }
            }
        }
        flags.join(";")
    }
}

fn moment_date(moment: i64) -> Option<chrono::NaiveDate> {
    chrono::DateTime::from_timestamp_millis(moment).filter(|_| moment != i64::MAX).map(|moment| moment.date_naive())
}

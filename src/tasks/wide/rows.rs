//! The rows of a wide table: a sort by participant and occasion that needs no more memory for more entries, and a walk
//! through it.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::code::Code;
use crate::counts::{Count, Counts};
use crate::disk::atomic::Written;
use crate::disk::atomic::{AtomicFile, SHARED};
use crate::disk::sorting::{Merge, SortRecord, Sorter, fill};
use crate::failure::Failure;
use crate::study::moment;
use crate::study::scale::{PARTICIPANT, Scale};
use crate::table::batches::{RowBatch, Table, filled, in_order};
use crate::table::rows::{Cells, put};
use crate::table::selection::{KeyColumns, Policy, SelectedRows};
use crate::task::{Warning, Work};
use crate::tasks::combine::ADDED;
use crate::tasks::wide::columns::Occasions;

/// More columns than this nobody reads; a table that would have them is no questionnaire.
const COLUMNS: usize = 30_000;

/// What a wide table is made of.
pub struct Making<'m> {
    pub combined: &'m Path,
    /// Without a task that scores there are only the items.
    pub scored: Option<PathBuf>,
    pub scale: Option<&'m Scale>,
    pub policy: &'m Policy,
    pub selected: &'m SelectedRows,
    pub occasions: &'m Occasions,
}

/// Numbers come by their size, other names after them by their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ParticipantKey {
    is_text: bool,
    /// The number, or the first bytes of the text.
    order: u128,
    /// Tells apart what has the same order.
    hash: u64,
}

impl ParticipantKey {
    fn new(name: &[u8]) -> Self {
        let number = std::str::from_utf8(name).ok().and_then(|name| name.parse::<u128>().ok());
        let mut first = [0; 16];
        let size = name.len().min(16);
        first[..size].copy_from_slice(&name[..size]);
        let order = number.unwrap_or_else(|| u128::from_be_bytes(first));
        Self { is_text: number.is_none(), order, hash: xxh3_64(name) }
    }
}

/// One entry's answers, ready to be written.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Answers {
    who: ParticipantKey,
    occasion: u32,
    row: u64,
    /// Where in the text the cells begin, behind the participant.
    cells: u32,
    text: Box<[u8]>,
}

/// Bytes of an entry before its text.
const HEAD: usize = 1 + 16 + 8 + 4 + 8 + 4 + 4;

impl SortRecord for Answers {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.text.len() + 16
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.who.is_text));
        out.extend_from_slice(&self.who.order.to_le_bytes());
        out.extend_from_slice(&self.who.hash.to_le_bytes());
        out.extend_from_slice(&self.row.to_le_bytes());
        // A row is shorter than 4 GiB: the archive refuses longer answers.
        let size = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        for number in [self.occasion, self.cells, size] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.text);
    }

    fn read(from: &mut impl Read, _scratch: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let mut head = [0; HEAD];
        if !fill(from, &mut head)? {
            return Ok(None);
        }
        let part = |at: usize, size: usize| {
            let mut bytes = [0; 16];
            bytes[..size].copy_from_slice(&head[at..at + size]);
            u128::from_le_bytes(bytes)
        };
        let short = |at: usize| u32::try_from(part(at, 4)).unwrap_or_default();
        let long = |at: usize| u64::try_from(part(at, 8)).unwrap_or_default();
        let mut text = vec![0; short(41) as usize].into_boxed_slice();
        from.read_exact(&mut text)?;
        let who = ParticipantKey { is_text: head[0] == 1, order: part(1, 16), hash: long(17) };
        Ok(Some(Self { who, row: long(25), occasion: short(33), cells: short(37), text }))
    }
}

/// Which columns of the two tables go into the wide one.
struct WideColumns {
    /// Items, and where they stand in the combined table.
    items: Vec<(String, Option<usize>)>,
    /// Scores, and where they stand in the scored one.
    scores: Vec<(String, usize)>,
}

impl WideColumns {
    fn new(scale: Option<&Scale>, policy: &Policy, combined: &Table, scored: Option<&Table>) -> Self {
        let own = |name: &&String| {
            let name = name.as_str();
            let known = [PARTICIPANT, moment::COLUMNS, &ADDED, &["id"]].concat();
            !known.contains(&name) && !policy.key.iter().any(|key| key == name)
        };
        let names: Vec<&String> = match scale.map(|scale| &scale.columns).filter(|columns| !columns.is_empty()) {
            Some(columns) => columns.iter().map(|column| &column.name).collect(),
            None => combined.header.iter().filter(own).collect(),
        };
        let items = names.into_iter().map(|name| (name.clone(), combined.column(name))).collect();
        let of_scored = scored.into_iter().flat_map(|table| {
            let is_score = |name: &&String| table.column(&format!("{name}_n_valid")).is_some();
            table.header.iter().enumerate().filter(move |(_, name)| is_score(name))
        });
        Self { items, scores: of_scored.map(|(at, name)| (name.clone(), at)).collect() }
    }

    fn len(&self) -> usize {
        self.items.len() + self.scores.len()
    }
}

/// A batch of the combined table, and the rows of the scored one that belong to it.
struct Pair {
    combined: RowBatch,
    scored: Option<RowBatch>,
}

impl Making<'_> {
    /// # Errors
    /// A table that cannot be read or written, and scores of other entries than those of the combined table.
    pub fn write(&self, name: &str, path: &Path, work: &Work<'_>, counts: &mut Counts) -> Result<Written, Failure> {
        let failed = |error: io::Error| Failure::write(path, error);
        let read = |error: io::Error| Failure::read(self.combined, error);
        let mut combined = Table::open(self.combined).map_err(read)?;
        let scored = self.scored.as_deref().map(|path| Table::open(path).map_err(|e| Failure::read(path, e)));
        let mut scored = scored.transpose()?;
        let mut columns = WideColumns::new(self.scale, self.policy, &combined, scored.as_ref());
        let slots: usize = self.occasions.all.iter().map(|one| one.most).sum();
        if slots * columns.len() > COLUMNS {
            work.voice.warn(too_wide(work.target, slots * columns.len()));
            columns = WideColumns { items: Vec::new(), scores: Vec::new() };
        }
        let places = KeyColumns::new(&combined, self.policy);
        let ids = (combined.column("id"), scored.as_ref().and_then(|table| table.column("id")));
        let mut sorter = Sorter::new(path.parent().unwrap_or(work.root));
        in_order(
            || {
                work.cancel.check()?;
                let Some(batch) = combined.batch().map_err(read)? else { return Ok(None) };
                let count = (batch.first..).take(batch.len()).filter(|row| self.selected.has(*row)).count();
                let of = scored.as_mut().zip(self.scored.as_deref());
                let of = of.map(|(table, path)| table.take(count).map_err(|error| Failure::read(path, error)));
                Ok(Some(Pair { combined: batch, scored: of.transpose()?.map(Option::unwrap_or_default) }))
            },
            |pair| self.answers(&pair, &places, &columns, ids),
            |answers| answers.into_iter().try_for_each(|one| sorter.push(one).map_err(failed)),
        )?;
        let more = scored.as_mut().map_or(Ok(None), |table| table.take(1)).map_err(failed)?;
        if more.is_some() {
            return Err(self.foreign());
        }
        let mut file = AtomicFile::create(path, SHARED).map_err(failed)?;
        file.write_all(&header(name, &columns, self.occasions)).map_err(failed)?;
        let rows = self.walk(Merge::new([sorter]).map_err(failed)?, columns.len(), &mut file).map_err(failed)?;
        counts.add(Count::RowsOut, rows);
        file.commit().map_err(failed)
    }

    /// The cells of a batch's entries.
    fn answers(
        &self,
        pair: &Pair,
        places: &KeyColumns,
        columns: &WideColumns,
        ids: (Option<usize>, Option<usize>),
    ) -> Result<Vec<Answers>, Failure> {
        let (mut cells, mut marks) = (Cells::default(), Cells::default());
        let (mut all, mut text, mut occasion) = (Vec::with_capacity(pair.combined.len()), Vec::new(), Vec::new());
        let mut others = pair.scored.as_ref().map(RowBatch::rows);
        for (at, row) in (pair.combined.first..).zip(pair.combined.rows()).filter(|(at, _)| self.selected.has(*at)) {
            cells.split(row);
            let of = others.as_mut().map(|rows| rows.next().unwrap_or_default());
            if let Some(of) = of {
                marks.split(of);
                let id = |at: Option<usize>, cells: &Cells, row: &[u8]| at.map(|at| cells.get(row, at).to_vec());
                if id(ids.0, &cells, row) != id(ids.1, &marks, of) {
                    return Err(self.foreign());
                }
            }
            let who = filled(&cells, row, &places.participant);
            if who.is_empty() {
                continue;
            }
            occasion.clear();
            places.occasion_key(&cells, row, &mut occasion);
            let Some(rank) = self.occasions.rank(&occasion) else { continue };
            text.clear();
            put(&mut text, who);
            let start = u32::try_from(text.len()).unwrap_or(u32::MAX);
            for (_, at) in &columns.items {
                text.push(b',');
                put(&mut text, at.map(|at| cells.get(row, at)).unwrap_or_default());
            }
            for (_, at) in &columns.scores {
                text.push(b',');
                put(&mut text, of.map(|of| marks.get(of, *at)).unwrap_or_default());
            }
            all.push(Answers {
                who: ParticipantKey::new(who),
                occasion: rank,
                row: at,
                cells: start,
                text: text.as_slice().into(),
            });
        }
        Ok(all)
    }

    fn foreign(&self) -> Failure {
        let scored = self.scored.as_deref().unwrap_or(self.combined);
        let message = format!("{} is not of the entries in {}", scored.display(), self.combined.display());
        Failure::new(Code::Data, message).advise("let the task need both `combine` and `score`, of one study")
    }

    /// Writes a line per participant and says how many.
    fn walk(&self, mut answers: Merge<Answers>, width: usize, out: &mut impl Write) -> io::Result<u64> {
        let blank = vec![b','; width];
        let mut line = Vec::new();
        let mut rows = 0;
        let mut next = answers.take()?;
        while let Some(first) = next {
            let who = first.who;
            line.clear();
            line.extend_from_slice(&first.text[..first.cells as usize]);
            next = Some(first);
            for (rank, occasion) in (0..).zip(&self.occasions.all) {
                for _ in 0..occasion.most {
                    match next.take_if(|one| one.who == who && one.occasion == rank) {
                        Some(one) => {
                            line.extend_from_slice(&one.text[one.cells as usize..]);
                            next = answers.take()?;
                        }
                        None => line.extend_from_slice(&blank),
                    }
                }
            }
            line.push(b'\n');
            out.write_all(&line)?;
            rows += 1;
            // Every entry has its place; one that had none would be met for ever.
            while next.as_ref().is_some_and(|one| one.who == who) {
                next = answers.take()?;
            }
        }
        Ok(rows)
    }
}

fn too_wide(target: &str, columns: usize) -> Warning {
    Warning::new(
        Code::TooWide,
        format!(
            "{target}: {columns} columns would be more than {COLUMNS}, so only the participants are written; a table of \
             events is defined with kind = \"log\" or \"trials\" in config/scales"
        ),
    )
}

/// `<Scale>_<item>_<session>`; the second entry of one occasion ends with `_2`.
fn header(scale: &str, columns: &WideColumns, occasions: &Occasions) -> Vec<u8> {
    let mut line = b"participant".to_vec();
    let mut taken = HashSet::new();
    let names = || columns.items.iter().map(|(name, _)| name).chain(columns.scores.iter().map(|(name, _)| name));
    for occasion in &occasions.all {
        for number in 1..=occasion.most {
            for name in names() {
                let ending = if number > 1 { format!("_{number}") } else { String::new() };
                let mut column = format!("{scale}_{name}_{}{ending}", occasion.name);
                // A session that is called as a session with its tag, an item that is called as a score.
                while !taken.insert(column.clone()) {
                    column.push('_');
                }
                line.push(b',');
                put(&mut line, column.as_bytes());
            }
        }
    }
    line.push(b'\n');
    line
}

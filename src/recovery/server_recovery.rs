//! One server in the course of a recovery: what was found of it, its records mended, and what became of the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use chrono::Utc;
use secrecy::ExposeSecret;

use crate::config::Project;
use crate::config::pipeline::Action;
use crate::config::secret;
use crate::config::servers::Server;
use crate::disk::atomic;
use crate::disk::content::Content;
use crate::keys::file::inspect;
use crate::keys::ring::RingKey;
use crate::pool::audit::{Audit, IndexState, ScaleAudit, Standing};
use crate::pool::benchmark::{self, Mark};
use crate::pool::history::History;
use crate::pool::index::Index;
use crate::pool::ledger;
use crate::pool::paths::{ServerFolder, table_name};
use crate::recovery::page::{
    Closed, FailedTarget, KeyLine, LostEntry, RawFault, RawFinding, Recovery, Remade, ScaleLine, TableFinding,
};
use crate::run::facts::project_path;
use crate::run::preview::Preview;
use crate::run::verification::Difference;
use crate::state::Store;
use crate::study::name::ScaleName;
use crate::table::file::{TableReader, entry_ids};

/// One server in the course of a recovery.
pub(super) struct ServerRecovery<'p> {
    pub(super) server: &'p Server,
    folder: ServerFolder,
    scale: Option<&'p ScaleName>,
    audit: Audit,
    /// Scales whose record of raw files is another now.
    pub(super) mended: BTreeSet<ScaleName>,
    records: Vec<String>,
    notes: Vec<String>,
}

impl<'p> ServerRecovery<'p> {
    /// Mends the records that raw files can tell.
    pub(super) fn new(
        server: &'p Server,
        scale: Option<&'p ScaleName>,
        audit: Audit,
        ledger: Option<Content>,
    ) -> io::Result<Self> {
        let folder = ServerFolder::new(&server.path);
        // Before there is an index again: that there is none tells that these marks are gone, too.
        ledger::reopen(&folder)?;
        let (mended, records, notes) = (BTreeSet::new(), Vec::new(), Vec::new());
        let mut this = Self { server, folder, scale, audit, mended, records, notes };
        let highest = this.mend_indexes()?;
        this.mend_marks(&highest)?;
        this.look_at_ledger(ledger)?;
        Ok(this)
    }

    /// The history of deletions stands nowhere else: what is lost of it can only be said.
    fn look_at_ledger(&mut self, recorded: Option<Content>) -> io::Result<()> {
        let unreadable = &self.audit.ledger_lines;
        if !self.folder.deletions().exists() {
            if recorded.is_some() {
                self.records.push(
                    "deletions.jsonl is gone: which entries were deleted on the server, and when, is not known any more; \
                     restore it from a backup"
                        .to_owned(),
                );
            }
        } else if !unreadable.is_empty() {
            let lines: Vec<String> = unreadable.iter().take(20).map(ToString::to_string).collect();
            self.records.push(format!(
                "deletions.jsonl: {} lines cannot be read (line {}); they stay as they are, and what they said of \
                 deletions is not counted; restore it from a backup",
                unreadable.len(),
                lines.join(", ")
            ));
        } else if let Some(recorded) = recorded
            && !ledger::begins_with(&self.folder, *recorded.bytes())?
        {
            self.records.push(
                "deletions.jsonl is not what the last report read, nor that with lines added: lines of it were changed or \
                 are gone; restore it from a backup"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The highest id that was ever archived of each scale that has raw files.
    fn mend_indexes(&mut self) -> io::Result<BTreeMap<ScaleName, i64>> {
        let mut highest = BTreeMap::new();
        let deleted = ledger::scales(&self.folder)?;
        let mut unrecorded = 0;
        for (scale, audit) in &self.audit.scales {
            if audit.files.is_empty() && audit.index == IndexState::None {
                continue;
            }
            let mut index = Index::open(&self.folder, scale)?;
            let mut again = false;
            for (name, found) in audit.files.iter().filter_map(|file| Some((&file.name, file.hash?))) {
                // A former recovery may have done it, or something that it recorded may be put right now.
                if index.files.get(name).is_none_or(|record| record.hash != found) {
                    index.record_again(&self.folder, name)?;
                    again = true;
                }
            }
            unrecorded += audit.files.iter().filter(|file| file.standing == Standing::Unrecorded).count();
            let known_before = audit.files.iter().any(|file| file.standing != Standing::Unrecorded)
                || !audit.missing.is_empty()
                || deleted.contains(scale);
            match audit.index {
                IndexState::Damaged => {
                    index.mend()?;
                    self.records.push(format!("the archive's record of {scale} was damaged and is made again"));
                }
                IndexState::None if known_before => {
                    self.records.push(format!("the archive's record of {scale} was gone and is made again"));
                }
                IndexState::Whole | IndexState::None => {}
            }
            if audit.index != IndexState::Whole || again {
                self.mended.insert(scale.clone());
            }
            if !audit.files.is_empty() {
                // What was archived once was archived, though it may be lost now.
                highest.insert(scale.clone(), History::read(&self.folder, scale)?.highest());
            }
        }
        if unrecorded > 0 {
            self.notes.push(format!("{unrecorded} raw files had no record before and are recorded as they are"));
        }
        Ok(highest)
    }

    /// benchMark.json as the raw files have it.
    fn mend_marks(&mut self, highest: &BTreeMap<ScaleName, i64>) -> io::Result<()> {
        if highest.is_empty() {
            return Ok(());
        }
        let (lost, old) = (benchmark::is_lost(&self.folder), benchmark::read(&self.folder));
        let deleted = ledger::scales(&self.folder)?;
        let mut marks = BTreeMap::new();
        for (scale, &current) in highest {
            // Without the server's listing: what was deleted there was deleteable.
            let deleteable = old.get(scale).map_or_else(|| deleted.contains(scale), |mark| mark.deleteable);
            marks.insert(scale.clone(), Mark { current, deleteable });
            match old.get(scale) {
                Some(mark) if mark.current != current && !lost => self.records.push(format!(
                    "benchMark.json said that the newest entry of {scale} is {}; of what was archived it is {current}",
                    mark.current
                )),
                None if !lost && !old.is_empty() => {
                    self.notes.push(format!("benchMark.json did not have {scale} and has it now"));
                }
                _ => {}
            }
        }
        if lost {
            self.records.push(format!(
                "benchMark.json was missing or could not be read, and is made again from {} tables' raw files",
                marks.len()
            ));
        }
        benchmark::put_all(&self.folder, &marks)
    }

    fn raw_findings(&self) -> Vec<RawFinding> {
        let mut all = Vec::new();
        let mut add = |file: &str, what, says: String| all.push(RawFinding { file: file.to_owned(), what, says });
        for audit in self.audit.scales.values() {
            for name in &audit.missing {
                let entries = lost_of(audit, name);
                let says = if entries == 0 {
                    "no entry is known to be lost by it".to_owned()
                } else {
                    format!("{entries} entries stood in it and in no other raw file")
                };
                add(name, RawFault::Missing, says);
            }
            for file in &audit.files {
                match &file.standing {
                    Standing::Changed(recorded) => {
                        let short = |hash: [u8; 32]| Content::from_bytes(hash).short();
                        let says = format!(
                            "recorded {}, found {}; {} of its entries are lost",
                            short(*recorded),
                            short(file.hash.unwrap_or_default()),
                            lost_of(audit, &file.name)
                        );
                        add(&file.name, RawFault::Changed, says);
                    }
                    Standing::Unreadable(error) => add(&file.name, RawFault::Unreadable, error.clone()),
                    Standing::AsRecorded | Standing::Unrecorded => {}
                }
                if let Some(harm) = &file.harm {
                    let says = format!(
                        "{}; {} whole entries are salvaged, {} bytes in {} belong to none (see quarantine)",
                        harm.why,
                        file.entries,
                        harm.bytes,
                        if harm.places == 1 { "one place".to_owned() } else { format!("{} places", harm.places) }
                    );
                    add(&file.name, RawFault::Damaged, says);
                }
            }
        }
        for name in &self.audit.foreign {
            add(name, RawFault::Foreign, "is no raw file by its name; it is left where it is".to_owned());
        }
        all
    }

    /// What the logs keep of it.
    pub(super) fn log_lines(&self) -> Vec<String> {
        let raw = self.raw_findings();
        let raw = raw.iter().map(|one| format!("{}: {} {}: {}", self.server.name, one.what.word(), one.file, one.says));
        raw.chain(self.records.iter().map(|record| format!("{}: {record}", self.server.name))).collect()
    }

    /// Puts together what was found and what became of it.
    pub(super) fn told(
        &self,
        project: &Project,
        before: &Preview<'_>,
        tables: &[Difference],
        after: &Store,
    ) -> io::Result<Recovery> {
        let mut records = self.records.clone();
        if before.store.is_damaged() {
            records.push("the state in .mtdata was damaged; what it no longer knew was made again".to_owned());
        }
        let mut notes = self.notes.clone();
        if before.store.manifests().next().is_none() {
            notes.push(
                "there was no state: tables and reports could not be compared, and were all made anew".to_owned(),
            );
        }
        Ok(Recovery {
            server: self.server.name.to_string(),
            scale: self.scale.map(ToString::to_string),
            date: Utc::now().with_timezone(&self.server.timezone).date_naive(),
            scales: self.audit.scales.iter().map(|(scale, audit)| line(scale, audit)).collect(),
            raw: self.raw_findings(),
            lost: self.lost()?,
            tables: self.tables(project, tables),
            records,
            notes,
            keys: self.keys(project),
            closed: self.closed(),
            failed: failed(project, self.server, after),
        })
    }

    fn lost(&self) -> io::Result<Vec<LostEntry>> {
        let mut all = Vec::new();
        for (scale, audit) in self.audit.scales.iter().filter(|(_, audit)| !audit.lost.is_empty()) {
            let ids: BTreeSet<i64> = audit.lost.iter().filter(|lost| !lost.other).filter_map(|lost| lost.id).collect();
            let kept = kept_in(&self.folder.active(), scale, &ids)?;
            all.extend(audit.lost.iter().map(|lost| LostEntry {
                scale: scale.to_string(),
                id: lost.id,
                file: lost.file.clone(),
                deleted: lost.deleted,
                other_version: lost.other,
                kept_in: lost.id.and_then(|id| kept.get(&id).cloned()),
            }));
        }
        Ok(all)
    }

    fn tables(&self, project: &Project, tables: &[Difference]) -> Vec<TableFinding> {
        let root = &project.pipeline.root;
        let own = format!("{}/", project_path(root, &self.server.path));
        let of_server = |table: &&Difference| {
            table.path.starts_with(&own) || table.target.split('/').nth(1) == Some(self.server.name.as_str())
        };
        let told = |table: &Difference| {
            let now = match atomic::hash_file(&root.join(&table.path)) {
                Ok((hash, _)) if Content::from(hash) == table.recorded => Remade::AsRecorded,
                Ok((hash, _)) if Content::from(hash) != table.found => Remade::Otherwise,
                // Something that is not to be there any more.
                Err(_) if table.recorded.is_absent() => Remade::AsRecorded,
                _ => Remade::NotMade,
            };
            TableFinding { file: table.path.clone(), missing: table.found.is_absent(), now }
        };
        tables.iter().filter(of_server).map(told).collect()
    }

    fn keys(&self, project: &Project) -> Vec<KeyLine> {
        let passphrase = self.server.passphrase.as_ref().map(secret::reveal);
        let problem_of_passphrase =
            passphrase.as_ref().and_then(|secret| secret.as_ref().err()).map(|f| f.message.clone());
        let open = |path: &PathBuf| {
            if let Some(problem) = &problem_of_passphrase {
                return Err(problem.clone());
            }
            let text = passphrase.as_ref().and_then(|secret| secret.as_ref().ok()).map(ExposeSecret::expose_secret);
            let bytes = inspect(path).map_err(|failure| failure.message)?;
            RingKey::read(&bytes, text).map_err(|bad| format!("the private key {} {}", path.display(), bad.what))
        };
        let line = |path: &PathBuf| {
            let (fingerprint, problem) = match open(path) {
                Ok(key) => (Some(key.fingerprint().to_owned()), None),
                Err(problem) => (None, Some(problem)),
            };
            KeyLine { path: project_path(&project.pipeline.root, path), fingerprint, problem }
        };
        self.server.keys.iter().map(line).collect()
    }

    /// What stands in quarantine, by scale and reason.
    fn closed(&self) -> Vec<Closed> {
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        let entries = std::fs::read_dir(self.folder.quarantine()).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(dated) = table_name(&name) else { continue };
            if self.scale.is_some_and(|only| only.as_str() != dated.scale) {
                continue;
            }
            for reason in reasons(&path).unwrap_or_default() {
                *counts.entry((dated.scale.to_owned(), reason)).or_default() += 1;
            }
        }
        counts.into_iter().map(|((scale, reason), values)| Closed { scale, reason, values }).collect()
    }
}

fn lost_of(audit: &ScaleAudit, file: &str) -> usize {
    audit.lost.iter().filter(|lost| lost.file.as_deref() == Some(file)).count()
}

fn line(scale: &ScaleName, audit: &ScaleAudit) -> ScaleLine {
    ScaleLine {
        scale: scale.to_string(),
        files: audit.files.len(),
        first: audit.files.first().map(|file| file.date),
        last: audit.files.last().map(|file| file.date),
        entries: audit.entries,
        unrecorded: audit.files.iter().filter(|file| file.standing == Standing::Unrecorded).count(),
        salvaged: audit.files.iter().filter(|file| file.harm.is_some()).map(|file| file.entries).sum(),
        lost: audit.lost.len(),
    }
}

/// Active tables, and copies of them, that have rows of these ids.
fn kept_in(active: &Path, scale: &ScaleName, ids: &BTreeSet<i64>) -> io::Result<BTreeMap<i64, String>> {
    let mut kept = BTreeMap::new();
    if ids.is_empty() {
        return Ok(kept);
    }
    let copy = format!("{scale}_recovered_");
    let of_scale = |name: &String| {
        table_name(name).is_some_and(|dated| dated.scale == scale.as_str())
            || name.strip_suffix(".csv").is_some_and(|stem| stem.starts_with(&copy))
    };
    let entries = match std::fs::read_dir(active) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(kept),
        Err(error) => return Err(error),
    };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).filter(of_scale).collect();
    names.sort_unstable();
    for name in names {
        // A table that cannot be read keeps nothing.
        for id in entry_ids(&active.join(&name)).unwrap_or_default() {
            if ids.contains(&id) {
                kept.entry(id).or_insert_with(|| name.clone());
            }
        }
    }
    Ok(kept)
}

fn reasons(quarantine: &Path) -> Result<Vec<String>, csv::Error> {
    let mut table = TableReader::open(quarantine)?;
    let Some(column) = table.column("reason") else { return Ok(Vec::new()) };
    let (mut record, mut all) = (csv::StringRecord::new(), Vec::new());
    while table.next(&mut record)? {
        all.push(record.get(column).unwrap_or_default().to_owned());
    }
    Ok(all)
}

/// Targets of a server that failed when they were last tried, exports aside.
fn failed(project: &Project, server: &Server, after: &Store) -> Vec<FailedTarget> {
    let tasks = &project.pipeline.tasks;
    let exports = |name: &str| tasks.iter().any(|task| task.name == name && task.action == Action::Export);
    let of_server = |target: &str| {
        let mut parts = target.split('/');
        parts.next().is_some_and(|task| !exports(task)) && parts.next() == Some(server.name.as_str())
    };
    let mut all: Vec<FailedTarget> = after
        .setbacks()
        .map(|(target, setback)| (after.names.text(target), after.names.text(setback.message)))
        .filter(|(target, _)| of_server(target))
        .map(|(target, says)| FailedTarget { target: target.to_string(), says: says.to_string() })
        .collect();
    all.sort_by(|a, b| a.target.cmp(&b.target));
    all
}

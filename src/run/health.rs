//! How the exports of each server are doing: what runs remember of it, and what the pool and the state say beside.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::config::Project;
use crate::config::pipeline::Action;
use crate::config::servers::Server;
use crate::disk::atomic;
use crate::pool::index::Index;
use crate::pool::ledger;
use crate::pool::paths::{ServerFolder, raw_name};
use crate::state::Store;

/// Entries that wait on a server for so long are an alarm, though every export goes well: above its limit it stops
/// taking answers. The server's own mails stop at four hours, and a mere listing silences them.
pub const MOST_WAITING: TimeDelta = TimeDelta::hours(4);
/// No good export for so long, while runs go on, is an alarm.
pub const MOST_SILENT: TimeDelta = TimeDelta::hours(24);

/// What runs remember of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// The server was asked and every export went well.
    pub last_good: Option<DateTime<Utc>>,
    /// Since when none went well.
    pub failing_since: Option<DateTime<Utc>>,
    /// What the last failure said.
    pub failure: Option<String>,
    /// Since when entries are there that could not be deleted.
    pub pending_since: Option<DateTime<Utc>>,
    /// How many, in the last run that asked.
    pub pending: u64,
}

/// How the asking of a server went in one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub failure: Option<String>,
    /// Entries that could not be deleted; `None` when the run did not look at every table.
    pub pending: Option<u64>,
}

impl Pulse {
    /// Takes in a run that asked.
    pub fn observe(&mut self, asked: &Asked, now: DateTime<Utc>) {
        if let Some(failure) = &asked.failure {
            self.failing_since.get_or_insert(now);
            self.failure = Some(failure.clone());
            return;
        }
        let pending = asked.pending.unwrap_or(self.pending);
        *self = Self {
            last_good: Some(now),
            failing_since: None,
            failure: None,
            pending_since: (pending > 0).then(|| self.pending_since.unwrap_or(now)),
            pending,
        };
    }
}

/// The pulses of all servers: `.mtdata/health.json`. Losing it costs the memory of when, never data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulses {
    v: u32,
    pub servers: BTreeMap<String, Pulse>,
}

fn place(home: &Path) -> PathBuf {
    home.join("health.json")
}

impl Pulses {
    /// A damaged file is forgotten: the next run begins it anew.
    pub fn load(home: &Path) -> Self {
        fs::read(place(home)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    pub fn store(&self, home: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(&Self { v: 1, ..self.clone() })?;
        atomic::write(&place(home), atomic::PRIVATE, &bytes).map(drop)
    }
}

/// One server as `status` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    pub server: String,
    pub ready: bool,
    pub delete_mode: bool,
    #[serde(flatten)]
    pub pulse: Pulse,
    /// Archived entries, and of how many scales.
    pub entries: u64,
    pub scales: usize,
    /// When the newest raw file was written, in the server's zone.
    pub newest_answers: Option<NaiveDateTime>,
    /// Rows of quarantine/.
    pub undecryptable: u64,
    /// Deletions that were meant and are not confirmed, and since when the oldest waits.
    pub undeleted: u64,
    pub oldest_undeleted: Option<DateTime<Utc>>,
    /// Instances whose last attempt failed.
    pub failures: Vec<Failing>,
    /// Bytes.
    pub free_disk: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failing {
    pub target: String,
    pub when: DateTime<Utc>,
    pub message: String,
}

/// Looks at every server's folder and at what was recorded; writes nothing and asks nobody.
pub fn look(project: &Project, store: &Store, pulses: &Pulses) -> io::Result<Vec<Health>> {
    let mut failures = failures(project, store);
    let one = |server: &Server| {
        let folder = ServerFolder::new(&server.path);
        let pulse = pulses.servers.get(server.name.as_str()).cloned().unwrap_or_default();
        let scales = Index::recorded(&folder)?;
        let (undeleted, oldest_undeleted) = ledger::unconfirmed(&folder)?;
        let mut failures = failures.remove(server.name.as_str()).unwrap_or_default();
        // An export that is not due again keeps its last failure, though the server is fine.
        if pulse.last_good.is_some() && pulse.failing_since.is_none() {
            let since = pulse.last_good;
            failures.retain(|(action, failing)| *action != Action::Export || Some(failing.when) > since);
        }
        Ok(Health {
            server: server.name.to_string(),
            ready: server.ready,
            delete_mode: server.delete_mode,
            pulse,
            entries: scales.values().sum(),
            scales: scales.len(),
            newest_answers: newest(&folder)?,
            undecryptable: quarantined(&folder)?,
            undeleted,
            oldest_undeleted,
            failures: failures.into_iter().map(|(_, failing)| failing).collect(),
            free_disk: free_disk(&server.path),
        })
    };
    project.servers.values().map(one).collect()
}

type Failures = BTreeMap<String, Vec<(Action, Failing)>>;

fn failures(project: &Project, store: &Store) -> Failures {
    let mut all = Failures::new();
    for (target, setback) in store.setbacks() {
        let target = store.names.text(target).to_string();
        let mut parts = target.split('/');
        let task = parts.next().and_then(|name| project.pipeline.tasks.iter().find(|task| task.name == name));
        let (Some(task), Some(server)) = (task, parts.next()) else { continue };
        let failing = Failing {
            when: DateTime::from_timestamp_millis(setback.when).unwrap_or_default(),
            message: store.names.text(setback.message).to_string(),
            target: target.clone(),
        };
        all.entry(server.to_owned()).or_default().push((task.action.clone(), failing));
    }
    for failures in all.values_mut() {
        failures.sort_by(|a, b| a.1.target.cmp(&b.1.target));
    }
    all
}

/// The names in a folder; none when it is not there.
fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn newest(folder: &ServerFolder) -> io::Result<Option<NaiveDateTime>> {
    let moment = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        let dated = raw_name(&name)?;
        Some(dated.date.and_time(dated.time.unwrap_or_default()))
    };
    Ok(names(&folder.raw())?.into_iter().filter_map(moment).max())
}

fn quarantined(folder: &ServerFolder) -> io::Result<u64> {
    let mut rows = 0;
    for path in names(&folder.quarantine())?.iter().filter(|path| path.extension().is_some_and(|end| end == "csv")) {
        let reader = csv::ReaderBuilder::new().flexible(true).from_path(path);
        rows += reader.map_err(io::Error::other)?.into_byte_records().count() as u64;
    }
    Ok(rows)
}

/// Of the file system that holds the folder, or its nearest parent that is there.
fn free_disk(folder: &Path) -> Option<u64> {
    let found = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    #[test]
    fn since_when_is_kept_until_it_is_over() {
        let mut pulse = Pulse::default();
        let bad = Asked { failure: Some("no route".into()), pending: None };
        let full = Asked { failure: None, pending: Some(3) };
        pulse.observe(&full, at(0));
        pulse.observe(&bad, at(5));
        pulse.observe(&bad, at(10));
        assert_eq!((pulse.last_good, pulse.failing_since), (Some(at(0)), Some(at(5))));
        // What a failed asking could not see is still there.
        assert_eq!(pulse.pending_since, Some(at(0)));
        pulse.observe(&full, at(15));
        assert_eq!((pulse.last_good, pulse.failing_since, pulse.pending_since), (Some(at(15)), None, Some(at(0))));
        pulse.observe(&Asked { failure: None, pending: Some(0) }, at(20));
        assert_eq!(pulse, Pulse { last_good: Some(at(20)), ..Pulse::default() });
    }

    #[test]
    fn a_damaged_file_is_begun_anew() {
        let home = tempfile::tempdir().unwrap();
        let mut pulses = Pulses { v: 1, ..Pulses::default() };
        pulses.servers.entry("a".into()).or_default().observe(&Asked::default(), at(7));
        pulses.store(home.path()).unwrap();
        assert_eq!(Pulses::load(home.path()), pulses);
        fs::write(place(home.path()), "{\"v\":1,").unwrap();
        assert_eq!(Pulses::load(home.path()), Pulses::default());
    }
}

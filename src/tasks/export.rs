//! Export: ask, archive durably, and only then delete what is proven to be safe.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::Utc;

use crate::config::Project;
use crate::config::secret;
use crate::config::servers::{Server, Servers};
use crate::pool::benchmark::{self, Mark};
use crate::pool::index::{Identity, Index, NO_ID};
use crate::pool::ledger::{self, Deletable, Ledger, Step};
use crate::pool::paths::ServerFolder;
use crate::pool::raw::{Archive, Trouble};
use crate::pool::{answers, atomic};
use crate::study::entry::{Broken, Entries};
use crate::study::listing::Listed;
use crate::study::name::{ScaleName, ServerName};
use crate::study::server::{Body, StudyServer};
use crate::task::{
    Axes, Cancel, Count, Counts, Declaration, Done, Facts, Failure, FailureKind, Patience, Task, Warning, Work, Written,
};

/// The exports of all servers.
pub struct Export {
    servers: Arc<Servers>,
    lines: BTreeMap<ServerName, Line>,
    /// Where bodies wait until they are archived.
    incoming: PathBuf,
}

/// The way to one server.
#[derive(Default)]
struct Line {
    client: OnceLock<Result<StudyServer, Failure>>,
    /// One writer of benchMark.json at a time.
    marks: Mutex<()>,
    /// And of deletions.jsonl.
    ledger: Mutex<()>,
}

impl Export {
    #[must_use]
    pub fn new(project: &Project) -> Self {
        let lines = project.servers.keys().map(|name| (name.clone(), Line::default())).collect();
        Self { servers: Arc::clone(&project.servers), lines, incoming: project.pool().join(".incoming") }
    }

    fn server(&self, name: &ServerName) -> Result<(&Server, &Line, &StudyServer), Failure> {
        let unknown = || Failure::new(FailureKind::Internal, format!("there is no server {name}"));
        let server = self.servers.get(name).ok_or_else(unknown)?;
        let line = self.lines.get(name).ok_or_else(unknown)?;
        let client = line.client.get_or_init(|| {
            let password = match &server.password {
                Some(secret) => secret::reveal(secret)?,
                None => String::new().into(),
            };
            StudyServer::new(&server.url, server.user.clone(), password, server.max_answer)
        });
        Ok((server, line, client.as_ref().map_err(Clone::clone)?))
    }

    /// Asks a server for its listing, and keeps its schedule when that changed.
    ///
    /// # Errors
    /// The failure of every export of this server.
    pub fn list(
        &self,
        name: &ServerName,
        patience: Patience,
        cancel: &Cancel,
    ) -> (Result<Vec<Listed>, Failure>, Vec<Warning>) {
        let mut warnings = Vec::new();
        let listing = self.server(name).and_then(|(server, _, client)| {
            let listing = client.listing(patience, cancel)?;
            let study = client.study(patience, cancel).and_then(|study| keep_study(server, &study));
            if let Err(failure) = study {
                let message = format!("the study's schedule could not be kept: {failure}");
                warnings.push(Warning { code: "study", message, critical: false });
            }
            Ok(listing)
        });
        (listing, warnings)
    }

    /// Asks a server for its listing and keeps nothing.
    ///
    /// # Errors
    /// Told apart by their kind.
    pub fn ask(&self, name: &ServerName, patience: Patience, cancel: &Cancel) -> Result<Vec<Listed>, Failure> {
        self.server(name).and_then(|(_, _, client)| client.listing(patience, cancel))
    }

    fn export<'w>(&self, work: &'w Work<'_>, name: &'w ServerName, scale: &'w ScaleName) -> Result<Done, Failure> {
        let (server, line, client) = self.server(name)?;
        atomic::create_folder(&self.incoming, atomic::PRIVATE)
            .map_err(|error| Failure::write(&self.incoming, &error))?;
        let folder = ServerFolder::new(&server.path);
        let facts = work.facts.servers.get(name).and_then(|seen| seen.scales.get(scale));
        let mut trip = Trip {
            work,
            server,
            line,
            client,
            scale,
            incoming: &self.incoming,
            folder: &folder,
            deleteable: facts.and_then(|facts| facts.deleteable).unwrap_or_default(),
            listed: facts.and_then(|facts| facts.listed),
            counts: Counts::default(),
            written: Vec::new(),
        };
        let pending = trip.go().map_err(|failure| failure.after(trip.counts.clone()))?;
        Ok(Done { counts: trip.counts, written: trip.written, unfinished: pending, ..Done::default() })
    }
}

impl Task for Export {
    fn revision(&self) -> u32 {
        1
    }

    fn declare(&self, _: &Axes, _: &Facts) -> Declaration {
        Declaration::default()
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        match (&work.axes.server, &work.axes.scale) {
            (Some(server), Some(scale)) => self.export(work, server, scale),
            _ => Err(Failure::new(FailureKind::Internal, "an export without server and scale")),
        }
    }
}

/// One table fetched, archived, and emptied where that is asked and safe.
struct Trip<'t> {
    work: &'t Work<'t>,
    server: &'t Server,
    line: &'t Line,
    client: &'t StudyServer,
    scale: &'t ScaleName,
    incoming: &'t PathBuf,
    folder: &'t ServerFolder,
    deleteable: bool,
    listed: Option<u64>,
    counts: Counts,
    written: Vec<Written>,
}

/// What an answer holds.
#[derive(Default)]
struct Received {
    /// In the order of the answer, each content once.
    identities: Vec<Identity>,
    count: u64,
    /// An id that stands there with two contents.
    repeated: Option<i64>,
}

impl Trip<'_> {
    fn go(&mut self) -> Result<bool, Failure> {
        let mut index = Index::open(self.folder, self.scale).map_err(|e| Failure::read(&self.folder.index(), &e))?;
        for (name, why) in &index.damaged {
            self.warn("raw_damaged", format!("{name}: {why}; `mtdata recover` looks after it"), true);
        }
        let (mut body, received) = self.fetch()?;
        self.counts.add(Count::Listed, self.listed.unwrap_or_default());
        self.counts.add(Count::Received, received.count);
        self.counts.add(Count::BytesIn, body.size);
        self.shortfall(&received)?;
        let new = received.identities.iter().filter(|identity| !index.holds(identity)).count() as u64;
        self.counts.add(Count::New, new);
        self.counts.add(Count::AlreadyHeld, received.identities.len() as u64 - new);
        if new > 0 {
            self.store(&mut index, &mut body)?;
        }
        drop(body);
        self.mark(&index)?;
        if self.server.delete_mode && self.deleteable && received.count > 0 {
            return self.delete(&index, &received);
        }
        Ok(false)
    }

    fn warn(&self, code: &'static str, message: String, critical: bool) {
        self.work.voice.warn(Warning { code, message, critical });
    }

    fn fetch(&self) -> Result<(Body, Received), Failure> {
        let progress = |size| self.work.voice.progress(size, 0);
        let (patience, cancel) = (self.work.patience, self.work.cancel);
        let mut body = self.client.entries(self.scale, self.incoming, patience, cancel, &progress)?;
        let received = match read(&mut body) {
            Ok(received) => received,
            Err(broken) => return Err(self.keep_body(&mut body, &broken)),
        };
        Ok((body, received))
    }

    /// A body that is not what it should be is kept for a person to look at.
    fn keep_body(&self, body: &mut Body, broken: &Broken) -> Failure {
        let kind = match broken {
            Broken::NotJson => FailureKind::NotJson,
            Broken::Shape { .. } => FailureKind::WrongShape,
            Broken::Truncated { .. } => FailureKind::Truncated,
            Broken::Io(_) => FailureKind::Read,
        };
        let kept = body.rewound().and_then(|file| answers::keep(self.folder, self.scale.as_str(), file));
        let place = match kept {
            Ok(Some(path)) => format!("; it is kept as {}", path.display()),
            Ok(None) => String::new(),
            Err(error) => format!("; it could not be kept: {error}"),
        };
        let failure = Failure::new(kind, format!("{}export/{}: {broken}{place}", self.server.url, self.scale));
        match kind {
            FailureKind::NotJson => {
                failure.advise("that is how a refused login looks; check `user`, `password` and `url`")
            }
            _ => failure.advise("nothing of it was archived and nothing deleted; the next run asks again"),
        }
    }

    /// Fewer entries than listed: told once, until the number changes.
    fn shortfall(&self, received: &Received) -> Result<(), Failure> {
        let path = self.folder.index().join(format!("{}.shortfall", self.scale));
        let short = self.listed.unwrap_or_default().saturating_sub(received.count);
        let before =
            fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or_default();
        if short == before {
            return Ok(());
        }
        let failed = |error: io::Error| Failure::write(&path, &error);
        if short == 0 {
            atomic::remove(&path).map_err(failed)?;
            return Ok(());
        }
        let message = format!(
            "{} of {} listed entries were not sent; entries without a date never are",
            short,
            self.listed.unwrap_or_default()
        );
        self.warn("shortfall", message, false);
        atomic::write(&path, atomic::PRIVATE, format!("{short}\n").as_bytes()).map_err(failed)?;
        Ok(())
    }

    fn archive(&self) -> Archive<'_> {
        Archive {
            folder: self.folder,
            scale: self.scale,
            style: &self.server.date_style,
            timezone: self.server.timezone,
        }
    }

    fn store(&mut self, index: &mut Index, body: &mut Body) -> Result<(), Failure> {
        let raw = self.folder.raw();
        let file = body.rewound().map_err(|error| Failure::read(self.incoming, &error))?;
        let known = index.clone();
        let mut stored = HashSet::new();
        let written = self.archive().store(index, Utc::now(), |put| {
            for entry in Entries::new(file) {
                let entry = entry.map_err(|broken| io::Error::other(broken.to_string()))?;
                let identity = Identity::of(entry.id, &entry.bytes);
                if !known.holds(&identity) && stored.insert(identity) {
                    put(entry.id, &entry.bytes)?;
                }
            }
            Ok(())
        });
        let written = written.map_err(|trouble| match trouble {
            Trouble::Io(error) => Failure::write(&raw, &error),
            Trouble::Differs(name) => {
                Failure::new(FailureKind::Write, format!("{name} reads back differently from what was written"))
                    .advise("check the disk; nothing was deleted on the server, the next run asks again")
            }
        })?;
        self.counts.add(Count::Stored, stored.len() as u64);
        self.counts.add(Count::BytesOut, written.size);
        self.written.push(written);
        Ok(())
    }

    fn mark(&self, index: &Index) -> Result<(), Failure> {
        let _one = self.line.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = Mark { current: index.highest(), deleteable: self.deleteable };
        benchmark::put(self.folder, self.scale, mark)
            .map_err(|error| Failure::write(&benchmark::path(self.folder), &error))
    }

    /// Deletes what is proven; true when something stays to be deleted.
    fn delete(&mut self, index: &Index, received: &Received) -> Result<bool, Failure> {
        if let Some(id) = received.repeated {
            let message = format!("id {id} stands there with two contents; nothing of {} is deleted", self.scale);
            self.warn("repeated_id", message, true);
            self.counts.add(Count::DeletePending, received.identities.len() as u64);
            return Ok(true);
        }
        self.should_be_gone(received)?;
        let wanted: Vec<Identity> =
            received.identities.iter().filter(|identity| identity.id != NO_ID).copied().collect();
        let proven = self.archive().prove(index, &wanted).map_err(|error| Failure::read(&self.folder.raw(), &error))?;
        let (held, damaged) = proven;
        for name in damaged {
            self.warn("raw_damaged", format!("{name} is not what it was; its entries stay on the server"), true);
        }
        let unproven = received.identities.len() - held.len();
        self.work.cancel.check()?;
        let _one = self.line.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.deletions();
        let failed = |error: io::Error| Failure::write(&path, &error);
        let mut ledger = Ledger::open(self.folder).map_err(failed)?;
        let intended = ledger.intend(self.scale, held).map_err(failed)?;
        let sent = self.send(&intended);
        let sent_identities = sent.iter().map(|(entry, status)| (entry.identity(), *status));
        ledger.append(self.scale, Step::Sent, sent_identities).map_err(failed)?;
        self.confirm(&mut ledger, &intended, sent.len(), unproven)
    }

    fn send<'e>(&self, intended: &'e [Deletable]) -> Vec<(&'e Deletable, Option<u16>)> {
        let mut sent = Vec::with_capacity(intended.len());
        for entry in intended {
            if self.work.cancel.is_cancelled() {
                break;
            }
            let answer = self.client.delete(self.scale, entry, self.work.patience);
            sent.push((entry, answer.status));
            // Protected, refused or gone: more of the same would only make noise.
            if matches!(answer.status, None | Some(401 | 403)) {
                break;
            }
        }
        sent
    }

    /// Only another look at the table proves that entries are gone.
    fn confirm(
        &mut self,
        ledger: &mut Ledger,
        intended: &[Deletable],
        sent: usize,
        unproven: usize,
    ) -> Result<bool, Failure> {
        let path = self.folder.deletions();
        let failed = |error: io::Error| Failure::write(&path, &error);
        let doubt = |failure: Failure| {
            let message = format!("{sent} entries were deleted, but the table could not be looked at again: {failure}");
            Failure::new(FailureKind::Deletion, message).advise("they stay archived; the next run looks again")
        };
        let (_, after) = self.fetch().map_err(doubt)?;
        let there: HashMap<i64, [u8; 32]> =
            after.identities.iter().map(|identity| (identity.id, identity.hash)).collect();
        let (left, gone): (Vec<&Deletable>, Vec<&Deletable>) =
            intended.iter().partition(|entry| there.contains_key(&entry.id()));
        let step = |entries: &[&Deletable]| entries.iter().map(|entry| (entry.identity(), None)).collect::<Vec<_>>();
        ledger.append(self.scale, Step::Confirmed, step(&gone).into_iter()).map_err(failed)?;
        ledger.append(self.scale, Step::Failed, step(&left).into_iter()).map_err(failed)?;
        self.counts.add(Count::Deleted, gone.len() as u64);
        self.counts.add(Count::DeletePending, (left.len() + unproven) as u64);
        if left.is_empty() {
            return Ok(unproven > 0);
        }
        self.work.cancel.check()?;
        let first = left.first().map(|entry| entry.id()).unwrap_or_default();
        let message = format!(
            "{} of {} entries are still on the server after DELETE, id {first} first",
            left.len(),
            intended.len()
        );
        Err(Failure::new(FailureKind::Deletion, format!("{}export/{}: {message}", self.server.url, self.scale))
            .advise("they are archived; the next run tries again. Is the server in export mode?"))
    }

    /// Entries that the ledger knows to be gone and that are there again.
    fn should_be_gone(&self, received: &Received) -> Result<(), Failure> {
        let gone =
            ledger::confirmed(self.folder, self.scale).map_err(|e| Failure::read(&self.folder.deletions(), &e))?;
        let back: Vec<&Identity> = received.identities.iter().filter(|identity| gone.contains(identity)).collect();
        if let Some(first) = back.first() {
            let message = format!("{} entries that were deleted are there again, id {} first", back.len(), first.id);
            self.warn("should_be_gone", message, true);
        }
        Ok(())
    }
}

fn read(body: &mut Body) -> Result<Received, Broken> {
    let file = body.rewound().map_err(Broken::Io)?;
    let mut received = Received::default();
    let mut contents: HashMap<i64, [u8; 32]> = HashMap::new();
    let mut seen = HashSet::new();
    for entry in Entries::new(file) {
        let entry = entry?;
        let identity = Identity::of(entry.id, &entry.bytes);
        received.count += 1;
        if !seen.insert(identity) {
            continue;
        }
        received.identities.push(identity);
        if identity.id != NO_ID && contents.insert(identity.id, identity.hash).is_some() {
            received.repeated = Some(identity.id);
        }
    }
    Ok(received)
}

/// `study/<date>.json`, written when it differs from the newest one there.
fn keep_study(server: &Server, study: &[u8]) -> Result<(), Failure> {
    let folder = ServerFolder::new(&server.path).study();
    let mut names: Vec<String> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort_unstable();
    let newest = names.last().and_then(|name| fs::read(folder.join(name)).ok());
    if newest.as_deref() == Some(study) {
        return Ok(());
    }
    let today = Utc::now().with_timezone(&server.timezone).date_naive();
    let name = |repeat: usize| if repeat == 0 { format!("{today}.json") } else { format!("{today}~{repeat}.json") };
    let free = (0..=names.len()).map(name).find(|name| !names.contains(name)).unwrap_or_else(|| name(names.len()));
    let path = folder.join(free);
    atomic::write(&path, atomic::PRIVATE, study).map_err(|error| Failure::write(&path, &error))?;
    Ok(())
}

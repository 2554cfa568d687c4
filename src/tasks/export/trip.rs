//! One table fetched and archived: what comes is kept byte for byte, what is held already is not kept twice.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use chrono::{DateTime, Duration, FixedOffset, NaiveDateTime, SecondsFormat, TimeZone, Utc};

use crate::client::server::{AnswerBody, StudyServer, TableRequest, Untaken};
use crate::code::Code;
use crate::config::servers::Server;
use crate::counts::{Count, Counts};
use crate::disk::atomic::Written;
use crate::failure::Failure;
use crate::fault;
use crate::pool::answers;
use crate::pool::benchmark::{self, Mark};
use crate::pool::incoming::Incoming;
use crate::pool::index::Index;
use crate::pool::ledger;
use crate::pool::notes::Notes;
use crate::pool::paths::{ServerFolder, raw_name};
use crate::pool::raw::{Archive, Stored, Trouble};
use crate::pool::receipts::{self, Receipt};
use crate::pool::received::{Gathering, Received};
use crate::study::entry::{Broken, Entries};
use crate::study::name::ScaleName;
use crate::task::Warning;
use crate::tasks::export::connection::ServerConnection;
use crate::tasks::export::context::RequestContext;

/// A table that stays on the server is downloaded whole so often; in between only what is dated later.
const FULL_EVERY: Duration = Duration::hours(24);
/// So far before the newest raw file `after` reaches back: clocks differ, and entries come late.
const STEP_BACK: Duration = Duration::days(2);
/// In which the server prints and compares dates, all year.
const SERVER_OFFSET: i32 = -5 * 3600;

/// One table fetched, archived, and emptied where that is asked and safe.
pub(super) struct Trip<'t> {
    pub server: &'t Server,
    pub connection: &'t ServerConnection,
    pub client: &'t StudyServer,
    pub scale: &'t ScaleName,
    pub folder: &'t ServerFolder,
    pub context: RequestContext<'t>,
    pub deleteable: bool,
    pub listed: Option<u64>,
    pub counts: Counts,
    pub written: Vec<Written>,
}

impl<'t> Trip<'t> {
    pub fn new(
        server: &'t Server,
        connection: &'t ServerConnection,
        client: &'t StudyServer,
        scale: &'t ScaleName,
        folder: &'t ServerFolder,
        context: RequestContext<'t>,
    ) -> Self {
        let (counts, written) = (Counts::default(), Vec::new());
        Self { server, connection, client, scale, folder, context, deleteable: false, listed: None, counts, written }
    }

    /// True when something stays to be deleted.
    pub fn go(&mut self) -> Result<bool, Failure> {
        let mut index = Index::open(self.folder, self.scale).map_err(|e| Failure::read(&self.folder.index(), e))?;
        self.tell_of_damage(&index);
        let before = self.connection.notes.of(self.scale);
        let mut notes = before.clone();
        let emptying = self.server.delete_mode && self.deleteable;
        let harmed = !index.damaged.is_empty() || !index.gone.is_empty();
        let whole = emptying || harmed || full_due(&notes) || ledger::is_open(self.folder, self.scale);
        let after = if whole { None } else { self.after(&index) };
        let (incoming, mut received) = self.fetch(after)?;
        fault::point("received", self.folder.path());
        self.counts.add(Count::Listed, self.listed.unwrap_or_default());
        self.counts.add(Count::Received, received.count);
        self.counts.add(Count::BytesIn, incoming.size());
        self.compare(&index, &mut received, emptying)?;
        if after.is_none() {
            self.close_open(&received, before.pending)?;
            self.look_over(&index, &received, &mut notes)?;
            if !emptying && full_due(&notes) {
                notes.full = Some(Utc::now());
            }
        }
        self.count_and_store(&mut index, incoming, &mut received)?;
        self.mark(&index, emptying)?;
        fault::point("marked", self.folder.path());
        let distinct = received.distinct() as u64;
        let account = self.account(after.is_none());
        let left = self.empty(received, emptying, account, &mut notes);
        self.connection.notes.save(self.scale, &notes).map_err(|e| Failure::write(&self.folder.index(), e))?;
        let left = left?;
        self.balance(distinct, emptying)?;
        Ok(left)
    }

    /// Deletes what may be deleted, and accounts for the answer before and after it; true when something stays to be
    /// deleted.
    fn empty(
        &mut self,
        received: Received,
        emptying: bool,
        account: Receipt,
        notes: &mut Notes,
    ) -> Result<bool, Failure> {
        let to_delete = if emptying { received.distinct() as u64 } else { 0 };
        // What changed nothing needs no receipt: a table that is asked again and again would make a report each time.
        let recorded = account.raw.is_some() || to_delete != notes.pending || self.counts.get(Count::Deleted) > 0;
        if recorded {
            self.receipt(Receipt { pending: to_delete, ..account.clone() })?;
        }
        notes.pending = to_delete;
        if to_delete == 0 {
            return Ok(false);
        }
        let gone_before = self.counts.get(Count::Deleted);
        let left = self.delete(received);
        let gone = self.counts.get(Count::Deleted) - gone_before;
        if gone == 0 {
            return left;
        }
        notes.pending -= gone.min(to_delete);
        let account = if recorded { Receipt::default() } else { account };
        let settled = self.receipt(Receipt { pending: notes.pending, ..account });
        left.and_then(|left| settled.map(|()| left))
    }

    /// What became of the answer until now.
    fn account(&self, whole: bool) -> Receipt {
        let count = |count| self.counts.get(count);
        let (listed, received) = (count(Count::Listed), count(Count::Received));
        let raw = self.written.last().and_then(|written| written.path.file_name()?.to_str());
        Receipt {
            raw: raw.map(str::to_owned),
            listed,
            not_sent: if whole { listed.saturating_sub(received) } else { 0 },
            received,
            stored: count(Count::Stored),
            already_held: count(Count::AlreadyHeld),
            repeated: count(Count::Duplicates),
            ..Receipt::default()
        }
    }

    pub fn receipt(&self, mut receipt: Receipt) -> Result<(), Failure> {
        let now = Utc::now();
        receipt.at = now.to_rfc3339_opts(SecondsFormat::Millis, true);
        self.scale.as_str().clone_into(&mut receipt.scale);
        // A file that was named just before midnight is of that day.
        let named = receipt.raw.as_deref().and_then(raw_name).map(|dated| dated.date);
        receipt.day = named.unwrap_or_else(|| now.with_timezone(&self.server.timezone).date_naive());
        receipts::append(self.folder, &receipt).map_err(|error| Failure::write(&self.folder.receipts(), error))
    }

    fn tell_of_damage(&self, index: &Index) {
        for (name, why) in &index.damaged {
            self.warn(
                Code::RawDamaged,
                format!(
                    "{name}: {why}; `mtdata recover` says what is lost and saves the rest; restore it from a backup"
                ),
            );
        }
        if let Some(first) = index.gone.first() {
            let more = index.gone.len() - 1;
            let others = if more > 0 { format!(" and {more} others are") } else { " is".to_owned() };
            let message = format!(
                "{first}{others} no longer in {}; `mtdata recover` says what is lost by it; restore from a backup, or, if \
                 that was meant, remove {}",
                self.folder.raw().display(),
                self.folder.index().join(format!("{}.index", self.scale)).display()
            );
            self.warn(Code::RawMissing, message);
        }
    }

    /// Every entry that came is accounted for, or the export has failed.
    fn balance(&self, distinct: u64, emptying: bool) -> Result<(), Failure> {
        let count = |count| self.counts.get(count);
        let (received, new, held) = (count(Count::Received), count(Count::New), count(Count::AlreadyHeld));
        let (stored, repeats) = (count(Count::Stored), count(Count::Duplicates));
        let (deleted, pending) = (count(Count::Deleted), count(Count::DeletePending));
        let sums = [
            ("received", received, "new, held and repeated", new + held + repeats),
            ("new", new, "stored", stored),
            // Deletions of an earlier run that are confirmed now are deleted beside these.
            ("to be deleted", if emptying { distinct } else { 0 }, "deleted and pending", deleted + pending),
        ];
        for (one, left, other, right) in sums {
            if left != right && !(one == "to be deleted" && right > left) {
                let message =
                    format!("{}: the numbers do not balance: {left} {one}, but {right} {other}", self.place());
                return Err(Failure::new(Code::Internal, message)
                    .advise("nothing is lost: raw_data holds what came; please report this as a fault of mtdata"));
            }
        }
        Ok(())
    }

    pub fn warn(&self, code: Code, message: String) {
        self.context.voice.warn(Warning::new(code, message));
    }

    /// Where the table is, for messages.
    pub fn place(&self) -> String {
        format!("{}export/{}", self.server.url, self.scale)
    }

    /// From when on entries are asked for: well before the newest raw file, when all older ones were there to be sent.
    fn after(&self, index: &Index) -> Option<NaiveDateTime> {
        let arrival = |name: &String| -> Option<DateTime<Utc>> {
            let dated = raw_name(name)?;
            let local = dated.date.and_time(dated.time.unwrap_or_default());
            Some(self.server.timezone.from_local_datetime(&local).earliest()?.to_utc())
        };
        let newest = index.files.keys().filter_map(arrival).max()?.min(Utc::now());
        Some((newest - STEP_BACK).with_timezone(&FixedOffset::east_opt(SERVER_OFFSET)?).naive_local())
    }

    /// The answer in a file and what it holds, without its texts.
    pub fn fetch(&self, after: Option<NaiveDateTime>) -> Result<(Incoming, Received), Failure> {
        let raw = self.folder.raw();
        let progress = |size| self.context.voice.progress(size, 0);
        let (policy, cancel) = (self.context.policy, self.context.cancel);
        let asked = TableRequest { scale: self.scale, after, policy, cancel, progress: &progress };
        let mut spoilt = None;
        let taken = self.client.entries(&asked, |answer| {
            let own = |error: io::Error| Untaken::Failed(Failure::write(&raw, error));
            let mut incoming = Incoming::open(&raw).map_err(own)?;
            let mut source = Copying { answer, incoming: &mut incoming, trouble: None };
            let gathered = gather(&mut source, self.listed.unwrap_or_default());
            if gathered.is_err() {
                // The rest of a body that a person will look at.
                let _ = io::copy(&mut source, &mut io::sink());
            }
            if let Some(error) = source.trouble {
                return Err(own(error));
            }
            match gathered {
                Ok(received) => Ok((incoming, received)),
                Err(broken) => {
                    spoilt = Some(incoming);
                    Err(Untaken::Broken(broken))
                }
            }
        });
        taken.map_err(|failure| match spoilt {
            Some(body) if is_about_the_body(failure.kind) => self.keep_body(body, failure),
            _ => failure,
        })
    }

    /// A body that is not what it should be is kept for a person to look at.
    fn keep_body(&self, mut body: Incoming, mut failure: Failure) -> Failure {
        let keep = |file| answers::keep(self.folder, self.scale.as_str(), &failure.message, file);
        let kept = body.rewound().and_then(keep);
        let fate = match kept {
            Ok(Some(path)) => format!("; the answer is kept as {}", path.display()),
            Ok(None) => String::new(),
            Err(error) => format!("; the answer could not be kept: {error}"),
        };
        failure.message += &fate;
        failure
    }

    /// Marks what is archived already. Before anything is deleted on the strength of an older raw file, that file is
    /// read back; what it no longer shows is archived anew.
    fn compare(&self, index: &Index, received: &mut Received, emptying: bool) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::read(&self.folder.raw(), error);
        let concerned: BTreeSet<String> = index.compare(received).map_err(failed)?;
        if !emptying || concerned.is_empty() {
            return Ok(());
        }
        let cancel = || self.context.cancel.check().map_err(io::Error::other);
        let proven = self.archive().prove(index, &concerned, received, cancel);
        let damaged = proven.map_err(|error| self.context.cancel.check().err().unwrap_or_else(|| failed(error)))?;
        for (name, why) in damaged {
            let message = format!("{name}: {why}; its entries that are still on the server are archived again");
            self.warn(Code::RawDamaged, message);
        }
        Ok(())
    }

    /// What a whole answer shows beside its new entries.
    fn look_over(&self, index: &Index, received: &Received, notes: &mut Notes) -> Result<(), Failure> {
        let short = self.listed.unwrap_or_default().saturating_sub(received.count);
        if short != notes.shortfall && short > 0 {
            let message = format!(
                "{short} of {} listed entries were not sent; entries without a date never are",
                self.listed.unwrap_or_default()
            );
            self.warn(Code::Shortfall, message);
        }
        notes.shortfall = short;
        if self.deleteable {
            return Ok(());
        }
        let missing = index.missing_from(received).map_err(|e| Failure::read(&self.folder.index(), e))?;
        let vanished = missing.len() as u64;
        if vanished > notes.vanished {
            let message = format!(
                "{vanished} archived entries are no longer on the server, {}; they stay archived",
                some_ids(&missing)
            );
            self.warn(Code::Vanished, message);
        }
        notes.vanished = vanished;
        Ok(())
    }

    pub fn archive(&self) -> Archive<'_> {
        Archive {
            folder: self.folder,
            scale: self.scale,
            style: &self.server.date_style,
            timezone: self.server.timezone,
            raw: &self.connection.raw,
        }
    }

    fn count_and_store(
        &mut self,
        index: &mut Index,
        incoming: Incoming,
        received: &mut Received,
    ) -> Result<(), Failure> {
        let (new, distinct) = (received.new_entries() as u64, received.distinct() as u64);
        self.counts.add(Count::New, new);
        self.counts.add(Count::AlreadyHeld, distinct - new);
        if received.count > distinct {
            self.counts.add(Count::Duplicates, received.count - distinct);
        }
        if new == 0 {
            return Ok(());
        }
        let raw = self.folder.raw();
        let stored = self.archive().store(index, incoming, received, Utc::now());
        let Stored { written, entries } = stored.map_err(|trouble| match trouble {
            Trouble::Io(error) => Failure::write(&raw, error),
            Trouble::Differs(name) => {
                let aside = self.folder.answers();
                let message = format!(
                    "{name} read back differently from what was written; it was put aside in {}",
                    aside.display()
                );
                Failure::new(Code::Write, message)
                    .advise("check the disk; nothing was deleted on the server, the next run asks again")
            }
        })?;
        self.counts.add(Count::Stored, entries);
        self.counts.add(Count::BytesOut, written.size);
        self.written.push(written);
        Ok(())
    }

    fn mark(&self, index: &Index, emptying: bool) -> Result<(), Failure> {
        let mark = Mark { current: index.highest(), deleteable: self.deleteable };
        // An emptied table is not asked again before something new is there: its mark does not wait for others.
        let put = self.connection.marks.put(self.folder, self.scale, mark, emptying);
        put.map_err(|error| Failure::write(&benchmark::path(self.folder), error))
    }
}

fn full_due(notes: &Notes) -> bool {
    let now = Utc::now();
    // A time to come was written by a clock that was wrong.
    notes.full.is_none_or(|full| full > now || now - full >= FULL_EVERY)
}

fn is_about_the_body(kind: Code) -> bool {
    matches!(kind, Code::NotJson | Code::WrongShape | Code::Truncated)
}

/// The first of many ids.
pub(super) fn some_ids(ids: &[i64]) -> String {
    let first: Vec<String> = ids.iter().take(10).map(ToString::to_string).collect();
    let (word, more) = (if ids.len() == 1 { "id" } else { "ids" }, if ids.len() > 10 { " ..." } else { "" });
    format!("{word} {}{more}", first.join(", "))
}

fn gather(source: &mut Copying<'_, '_>, listed: u64) -> Result<Received, Broken> {
    let mut gathering = Gathering::of(listed);
    let mut entries = Entries::new(source);
    loop {
        let at = entries.offset();
        let Some(entry) = entries.next() else { return Ok(gathering.finish()) };
        let entry = entry?;
        if entry.id.is_none() {
            return Err(Broken::Shape { at, what: "an entry without an integer id stands after" });
        }
        gathering.add(entry.id, entry.bytes);
    }
}

/// A body that is written to a file while it is read.
struct Copying<'c, 'a> {
    answer: &'c mut AnswerBody<'a>,
    incoming: &'c mut Incoming,
    /// Of the file, not of the network.
    trouble: Option<io::Error>,
}

impl Read for Copying<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.answer.read(buffer)?;
        if let Err(error) = self.incoming.write_all(&buffer[..read]) {
            self.trouble = Some(error);
            return Err(io::Error::other("the answer could not be written"));
        }
        Ok(read)
    }
}

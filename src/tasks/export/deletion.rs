//! The only act that cannot be undone: entries leave the server when their very content was read back from the archive,
//! and count as gone when another look at the table shows it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::{DateTime, Utc};

use crate::client::server::{CONCURRENCY, Turn};
use crate::code::Code;
use crate::counts::Count;
use crate::failure::Failure;
use crate::fault;
use crate::pool::identity::Identity;
use crate::pool::ledger::{self, Intended, Ledger, Step};
use crate::pool::notes::Notes;
use crate::pool::receipts::Receipt;
use crate::pool::received::Received;
use crate::tasks::export::trip::{Trip, some_ids};

/// So many refusals in a row end the sending: the next run tries again.
const REFUSALS: usize = 10;
/// So many DELETEs one after another; then other requests to the server have their turn.
const TURN: usize = 50;

/// What was sent, by the place in the intents; the inner `None` is a DELETE without an answer.
type Sent = BTreeMap<usize, Option<u16>>;

impl Trip<'_> {
    fn with_ledger<T>(&self, act: impl FnOnce(&mut Ledger) -> io::Result<T>) -> Result<T, Failure> {
        let mut ledger = self.connection.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match ledger.as_mut() {
            Some(ledger) => Ok(ledger),
            None => Ledger::open(self.folder).map(|opened| ledger.insert(opened)),
        };
        opened.and_then(act).map_err(|error| Failure::write(&self.folder.deletions(), error))
    }

    /// Deletes what is proven; true when something stays to be deleted.
    pub fn delete(&mut self, received: Received) -> Result<bool, Failure> {
        let distinct = received.distinct();
        if self.blocked(&received) {
            self.counts.add(Count::DeletePending, distinct as u64);
            return Ok(true);
        }
        let past = ledger::past_of(self.folder, self.scale, received.held())
            .map_err(|error| Failure::read(&self.folder.deletions(), error))?;
        let back: Vec<i64> = past.iter().filter(|(_, past)| past.was_gone).map(|(identity, _)| identity.id).collect();
        if !back.is_empty() {
            let message = format!("{} entries that were gone are on the server again, {}", back.len(), some_ids(&back));
            self.warn(Code::ShouldBeGone, message);
        }
        let oldest = past.values().filter(|past| !past.was_gone).map(|past| past.since).min();
        self.context.cancel.check()?;
        let proof = self.archive().proof(received).map_err(|error| Failure::write(&self.folder.raw(), error))?;
        let unproven = distinct - proof.count();
        if proof.count() == 0 {
            self.counts.add(Count::DeletePending, unproven as u64);
            return Ok(unproven > 0);
        }
        let intended = self.with_ledger(|ledger| ledger.intend(proof))?;
        let sent = self.send(&intended);
        fault::point("deletes-sent", self.folder.path());
        let statuses = sent.iter().filter_map(|(place, status)| Some((intended.identity(*place)?, *status)));
        self.with_ledger(|ledger| ledger.append(intended.scale(), Step::Sent, statuses))?;
        fault::point("sent-recorded", self.folder.path());
        self.confirm(&intended, &sent, unproven, oldest)
    }

    /// Ids that stand for two contents, here or beside the archive, are a matter for a person.
    fn blocked(&self, received: &Received) -> bool {
        let (repeated, mut changed) = (received.repeated(), received.changed());
        // An id that stands there twice differs from the archive in one of its contents anyway.
        changed.retain(|id| !repeated.contains(id));
        if !repeated.is_empty() {
            let message = format!(
                "{} stand there more than once; all is archived, nothing of {} is deleted until the server's table is mended",
                some_ids(repeated),
                self.scale
            );
            self.warn(Code::RepeatedId, message);
        }
        if !changed.is_empty() {
            let message = format!(
                "{} came back with another content than the archive holds; both are archived, nothing of {} is deleted until \
                 that entry is gone from the server",
                some_ids(&changed),
                self.scale
            );
            self.warn(Code::ChangedId, message);
        }
        !repeated.is_empty() || !changed.is_empty()
    }

    /// Sends the DELETEs side by side.
    fn send(&self, intended: &Intended) -> Sent {
        let (next, refused, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        let goes_on = || {
            let left = next.load(Ordering::Relaxed) < intended.len();
            left && !stop.load(Ordering::Relaxed) && !self.context.cancel.is_cancelled()
        };
        let one = |turn: &Turn<'_>| {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let answer = turn.delete(intended.get(place)?, self.context.policy);
            fault::point("delete-sent", self.folder.path());
            self.context.voice.progress(place as u64 + 1, intended.len() as u64);
            match answer.status {
                Some(200..=299 | 404) => refused.store(0, Ordering::Relaxed),
                // Protected or refused: more of the same would only make noise.
                Some(401 | 403) => stop.store(true, Ordering::Relaxed),
                _ if refused.fetch_add(1, Ordering::Relaxed) + 1 >= REFUSALS => stop.store(true, Ordering::Relaxed),
                _ => {}
            }
            Some((place, answer.status))
        };
        let work = || {
            let mut sent = Sent::new();
            while goes_on() {
                let turn = self.client.turn();
                sent.extend((0..TURN).map_while(|_| goes_on().then(|| one(&turn)).flatten()));
            }
            sent
        };
        std::thread::scope(|scope| {
            let hands: Vec<_> = (0..CONCURRENCY.min(intended.len())).map(|_| scope.spawn(work)).collect();
            hands.into_iter().flat_map(|hand| hand.join().unwrap_or_default()).collect()
        })
    }

    /// Only another look at the table proves that entries are gone.
    fn confirm(
        &mut self,
        intended: &Intended,
        sent: &Sent,
        unproven: usize,
        oldest: Option<DateTime<Utc>>,
    ) -> Result<bool, Failure> {
        let doubt = |failure: Failure| {
            if failure.kind == Code::Interrupted {
                return failure;
            }
            let message = format!(
                "{}: {} entries were to be deleted, but the table could not be looked at again: {failure}",
                self.place(),
                sent.len()
            );
            Failure::new(Code::Deletion, message).advise("they are archived; the next run looks again")
        };
        let (_, after) = self.fetch(None).map_err(doubt)?;
        fault::point("looked-again", self.folder.path());
        let (left, gone): (Vec<&Identity>, Vec<&Identity>) =
            intended.identities().partition(|identity| after.has_id(identity.id));
        self.with_ledger(|ledger| {
            ledger.append(intended.scale(), Step::Confirmed, gone.iter().map(|identity| (*identity, None)))?;
            ledger.append(intended.scale(), Step::Failed, left.iter().map(|identity| (*identity, None)))?;
            fault::point("confirmed", self.folder.path());
            ledger.close(intended.scale())
        })?;
        self.counts.add(Count::Deleted, gone.len() as u64);
        self.counts.add(Count::DeletePending, (left.len() + unproven) as u64);
        if left.is_empty() {
            return Ok(unproven > 0);
        }
        self.context.cancel.check()?;
        let ids: Vec<i64> = left.iter().map(|identity| identity.id).collect();
        let mut message = format!(
            "{}: {} of {} entries are still on the server after DELETE, {}{}",
            self.place(),
            left.len(),
            intended.len(),
            some_ids(&ids),
            answers(sent)
        );
        let Some(oldest) = oldest else {
            return Err(Failure::new(Code::Deletion, message)
                .advise("they are archived; the next run tries again. Is the server in export mode?"));
        };
        let age = (Utc::now() - oldest).to_std().unwrap_or_default();
        let _ = write!(message, "; the oldest should be gone for {}", humantime::format_duration(rounded(age)));
        Err(Failure::new(Code::ShouldBeGone, message).advise(
            "they are archived, and the server fills up: it stops taking answers above its export.maxRecords. Is it in \
             export mode?",
        ))
    }

    /// Intents that a killed run left without an end get one, and so do, when entries were left `pending`, those that
    /// failed: what a whole answer no longer has is gone.
    pub fn close_open(&mut self, received: &Received, pending: u64) -> Result<(), Failure> {
        let is_open = ledger::is_open(self.folder, self.scale);
        if pending == 0 && !is_open {
            return Ok(());
        }
        let failed = |error: io::Error| Failure::read(&self.folder.deletions(), error);
        let open = ledger::open_intents(self.folder, self.scale).map_err(failed)?;
        let waiting =
            if pending > 0 { ledger::waiting(self.folder, self.scale).map_err(failed)? } else { open.clone() };
        let left: Vec<&Identity> = open.iter().filter(|identity| received.has_id(identity.id)).collect();
        let gone: Vec<&Identity> = waiting.iter().filter(|identity| !received.has_id(identity.id)).collect();
        if gone.is_empty() && !is_open {
            return Ok(());
        }
        let scale = self.scale;
        self.with_ledger(|ledger| {
            ledger.append(scale, Step::Confirmed, gone.iter().map(|identity| (*identity, None)))?;
            ledger.append(scale, Step::Failed, left.iter().map(|identity| (*identity, None)))?;
            ledger.close(scale)
        })?;
        self.counts.add(Count::Deleted, gone.len() as u64);
        Ok(())
    }

    /// As [`close_open`](Self::close_open), of a table that is not to be exported.
    pub fn close_open_intents(&mut self) -> Result<(), Failure> {
        let before = self.connection.notes.of(self.scale);
        let (_, received) = self.fetch(None)?;
        self.close_open(&received, before.pending)?;
        let pending = received.distinct() as u64;
        self.receipt(Receipt { pending, ..Receipt::default() })?;
        let notes = Notes { pending, ..before };
        self.connection.notes.save(self.scale, &notes).map_err(|error| Failure::write(&self.folder.index(), error))
    }
}

/// Seconds of a short time, minutes of a longer, days of a long one.
fn rounded(age: std::time::Duration) -> std::time::Duration {
    let seconds = age.as_secs();
    let grain = if seconds > 3 * 86_400 {
        86_400
    } else if seconds > 3600 {
        60
    } else {
        1
    };
    std::time::Duration::from_secs(seconds - seconds % grain)
}

/// What the server said to the DELETEs.
fn answers(sent: &Sent) -> String {
    let mut by_status: BTreeMap<Option<u16>, usize> = BTreeMap::new();
    for status in sent.values() {
        *by_status.entry(*status).or_default() += 1;
    }
    let one = |(status, count): (Option<u16>, usize)| match status {
        Some(status) => format!("{status} x{count}"),
        None => format!("none x{count}"),
    };
    let told: Vec<String> = by_status.into_iter().map(one).collect();
    if told.is_empty() { "; none was sent".to_owned() } else { format!("; answers: {}", told.join(", ")) }
}

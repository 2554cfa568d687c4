//! What a run says: events to their files, lines to the logs, and to people as much as they asked for.

use std::fmt::Write as _;
use std::io::IsTerminal;

use indicatif::HumanCount;

use crate::counts::Count;
use crate::output::remark;
use crate::plan::reason::ReasonRecord;
use crate::run::events::{Event, EventWriter, Finished, Outcome};
use crate::run::progress::Progress;
use crate::run::request::{Loudness, Request};
use crate::run::summary::Summary;
use crate::task::Warning;

/// The one mouth of a run.
pub struct Teller {
    events: EventWriter,
    loudness: Loudness,
    explain: bool,
    json: bool,
    progress: Progress,
    /// The same sentence about sixty tables is said once.
    said: std::collections::HashSet<String>,
    broken: bool,
}

impl Teller {
    pub fn new(events: EventWriter, request: &Request) -> Self {
        let bars = std::io::stderr().is_terminal() && request.loudness != Loudness::Quiet && !request.json;
        Self {
            events,
            loudness: request.loudness,
            explain: request.explain,
            json: request.json,
            progress: Progress::new(bars),
            said: std::collections::HashSet::new(),
            broken: false,
        }
    }

    pub fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }

    pub fn event(&mut self, event: &Event) {
        if let (Err(error), false) = (self.events.write(event), self.broken) {
            // The work goes on without its log rather than not at all.
            self.broken = true;
            self.line(&format!("warning: cannot write the run's log: {error}"));
        }
    }

    fn line(&self, line: &str) {
        self.progress.print(line);
    }

    /// Something about the run as a whole.
    pub fn note(&mut self, text: &str) {
        tracing::warn!("{text}");
        self.line(&format!("warning: {text}"));
    }

    pub fn started(&mut self, target: &str, reason: &str) {
        tracing::debug!(target = target, reason, "started");
        self.event(&Event::TaskStarted { target: target.to_owned(), reason: reason.to_owned() });
        if self.explain {
            self.line(&format!("{target}: {reason}"));
        }
    }

    pub fn warned(&mut self, target: &str, warning: Warning) {
        if warning.critical {
            tracing::error!(critical = true, target = target, code = warning.code.word(), "{}", warning.message);
        } else {
            tracing::warn!(target = target, code = warning.code.word(), "{}", warning.message);
        }
        let shown = warning.critical || self.loudness == Loudness::Verbose || self.progress.is_shown();
        if shown && self.loudness != Loudness::Quiet {
            self.line(&format!("warning: {target}: {}", warning.message));
        }
        self.event(&Event::Warning { target: target.to_owned(), warning });
    }

    pub fn finished(&mut self, finished: Finished, critical: bool) {
        let target = &finished.target;
        if let Some(failure) = &finished.failure {
            if critical {
                tracing::error!(critical = true, target = %target, "{}", failure.message);
            } else {
                tracing::error!(target = %target, "{}", failure.message);
            }
            self.tell_failure(target, failure);
        } else if finished.outcome == Outcome::Blocked {
            tracing::warn!(target = %target, "blocked: {}", finished.reason);
        } else {
            tracing::info!(target = %target, outcome = finished.outcome.word(), ms = finished.duration_ms, "{}", finished.reason);
        }
        let verbose = self.loudness == Loudness::Verbose && !self.json;
        if verbose && finished.failure.is_none() {
            self.line(&format!(
                "{:<10} {target}{}",
                finished.outcome.word().replace('_', " "),
                because(&finished.reason)
            ));
        }
        if finished.outcome != Outcome::UpToDate || self.loudness == Loudness::Verbose {
            self.event(&Event::TaskFinished(Box::new(finished)));
        }
    }

    fn tell_failure(&mut self, target: &str, failure: &crate::run::events::FailureRecord) {
        if !self.said.insert(failure.message.clone()) && self.loudness != Loudness::Verbose {
            return;
        }
        let mut text = format!("failed: {target}: {}", failure.message);
        for line in &failure.tail {
            text.push_str("\n    | ");
            text.push_str(line);
        }
        if let Some(advice) = &failure.advice {
            text.push_str("\n  help: ");
            text.push_str(advice);
        }
        self.line(&text);
    }

    /// The last words.
    pub fn done(&mut self, summary: &Summary) {
        self.progress.clear();
        let of = |outcome| summary.tasks.get(&outcome).copied().unwrap_or_default();
        let [failed, blocked] = [Outcome::Failed, Outcome::Blocked].map(of);
        let wanted = self.progress.is_shown() || self.loudness == Loudness::Verbose;
        if !self.json && (wanted || failed + blocked > 0) && self.loudness != Loudness::Quiet {
            let [built, unchanged, fresh] = [Outcome::Built, Outcome::Unchanged, Outcome::UpToDate].map(of);
            let mut line = format!("{built} built, {unchanged} unchanged, {fresh} up to date, {failed} failed");
            if blocked > 0 {
                let _ = write!(line, ", {blocked} blocked");
            }
            let stored = summary.counts.get(Count::Stored);
            if stored > 0 {
                let [stored, deleted] = [stored, summary.counts.get(Count::Deleted)].map(HumanCount);
                let _ = write!(line, "; {stored} new entries stored, {deleted} deleted on servers");
            }
            let _ = write!(line, " ({:.1} s)", summary.took.as_secs_f64());
            remark!("{line}");
        }
        tracing::info!(run = %summary.run, ms = u64::try_from(summary.took.as_millis()).unwrap_or(u64::MAX), "run finished");
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// Reasons for the log, capped: a thousand changed days are one story.
pub fn capped(reasons: &[crate::plan::Reason], names: &crate::state::Names) -> Vec<ReasonRecord> {
    reasons.iter().take(20).map(|reason| ReasonRecord::new(reason, names)).collect()
}

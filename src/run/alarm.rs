//! The end of a run: who has to be told of it.

use std::fs;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use petgraph::graph::NodeIndex;

use crate::alert::{self, Round, Trouble};
use crate::code::Code;
use crate::config::Project;
use crate::config::pipeline::Action;
use crate::disk::atomic;
use crate::output::remark;
use crate::run::events::{Event, Outcome, RunOutcome};
use crate::run::health::{self, Asked, MOST_SILENT, MOST_WAITING, Pulses};
use crate::run::health_page;
use crate::run::home::home;
use crate::run::schedule::{Scheduler, State};
use crate::run::summary::Summary;
use crate::state::Store;
use crate::study::name::ServerName;

/// Stands for the run itself, where a trouble is of no instance.
const RUN: &str = "run";

/// Tells people what this run met. What cannot be told is a warning, and changes nothing about the run's success.
pub fn tell(project: &Project, scheduler: &mut Scheduler<'_>, summary: &mut Summary) {
    // Who stops a run knows about it; a run of targets that do not exist saw nothing.
    if summary.outcome == RunOutcome::Interrupted || !summary.unknown.is_empty() {
        return;
    }
    let now = Utc::now();
    let pulses = feel(project, scheduler, &summary.run, now);
    summary.troubles.extend(quiet_troubles(project, &pulses, now));
    let broken = scheduler.broken_state.as_ref().map(|error| own_trouble(&home(project).join("state"), error));
    summary.troubles.extend(broken);
    if project.alerts.is_none() {
        return;
    }
    let round = Round {
        run: &summary.run,
        project: &project.pipeline.root,
        troubles: &summary.troubles,
        is_well: &|target| scheduler.is_well(target),
        good: summary.outcome == RunOutcome::Ok,
    };
    let outcome = alert::dispatch(project.alerts.as_ref(), &home(project), &round, now);
    for warning in &outcome.warnings {
        scheduler.teller.note(warning);
    }
    if !outcome.composed.is_empty() || outcome.sent > 0 {
        let alert::Outcome { composed, sent, waiting, .. } = outcome;
        scheduler.teller.event(&Event::Alert { subjects: composed, sent, waiting });
    }
}

/// Keeps how each server's exports went, and the page that says so.
fn feel(project: &Project, scheduler: &mut Scheduler<'_>, run: &str, now: DateTime<Utc>) -> Pulses {
    let home = home(project);
    let before = Pulses::load(&home);
    let mut pulses = before.clone();
    for server in project.servers.keys() {
        if let Some(asked) = scheduler.asked(server) {
            pulses.servers.entry(server.to_string()).or_default().observe(&asked, now);
        }
    }
    let page = project.pool().join("status.html");
    let built = scheduler.tally.get(&Outcome::Built).is_some_and(|number| *number > 0);
    let calm = |pulses: &Pulses| -> Vec<_> {
        let still = |pulse: &health::Pulse| {
            (pulse.last_good.is_some(), pulse.failing_since, pulse.failure.clone(), pulse.pending)
        };
        pulses.servers.iter().map(|(name, pulse)| (name.clone(), still(pulse))).collect()
    };
    let kept = pulses == before;
    let shown = built || calm(&pulses) != calm(&before) || scheduler.has_failures() || !page.exists();
    let store = || if kept { Ok(()) } else { pulses.store(&home) };
    let show = || if shown { show(project, &scheduler.store, &pulses, &page, run) } else { Ok(()) };
    let (stored, written) = if kept || !shown {
        (store(), show())
    } else {
        // Each waits for the disk.
        std::thread::scope(|scope| {
            let stored = scope.spawn(store);
            let written = show();
            (stored.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), written)
        })
    };
    if let Err(error) = stored.and(written) {
        scheduler.teller.note(&format!("how the exports are doing cannot be kept: {error}"));
    }
    pulses
}

/// Writes the page, unless it says all that already.
fn show(project: &Project, store: &Store, pulses: &Pulses, page: &Path, run: &str) -> io::Result<()> {
    let all = health::look(project, store, pulses)?;
    let text = health_page::render(&all, run);
    if fs::read_to_string(page).is_ok_and(|before| health_page::says_the_same(&before, &text)) {
        return Ok(());
    }
    atomic::write(page, atomic::SHARED, text.as_bytes()).map(drop)
}

/// What goes wrong without any failure: entries that stay on the server, exports that are never asked for.
fn quiet_troubles(project: &Project, pulses: &Pulses, now: DateTime<Utc>) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let ready = project.servers.values().filter(|server| server.ready);
    for (server, pulse) in ready.filter_map(|s| pulses.servers.get(s.name.as_str()).map(|pulse| (s, pulse))) {
        let mut add = |code: Code, message: String| {
            troubles.push(Trouble {
                server: Some(server.name.to_string()),
                target: format!("{RUN}/{}", server.name),
                code,
                message,
                advice: None,
                tail: Vec::new(),
                passing: false,
            });
        };
        if let Some(since) = pulse.pending_since.filter(|since| server.delete_mode && now - *since > MOST_WAITING) {
            add(Code::StillThere, format!("{} entries wait on the server since {since:.0}", pulse.pending));
        }
        if let Some(good) = pulse.last_good.filter(|good| now - *good > MOST_SILENT && pulse.failing_since.is_none()) {
            add(Code::NoExport, format!("the last good export was at {good:.0}, though runs go on"));
        }
    }
    troubles
}

/// Of the run itself, whatever it was to do.
fn own_trouble(path: &Path, error: &io::Error) -> Trouble {
    Trouble {
        server: None,
        target: RUN.to_owned(),
        code: Code::Write,
        message: format!("a run could not begin, or could not keep what it did, {}: {error}", path.display()),
        advice: None,
        tail: Vec::new(),
        passing: false,
    }
}

/// Tells people that a run could not even begin, or could not keep what it did.
pub fn no_run(project: &Project, path: &Path, error: &io::Error) {
    let round = Round {
        run: "that did not begin",
        project: &project.pipeline.root,
        troubles: &[own_trouble(path, error)],
        is_well: &|_| false,
        good: false,
    };
    for warning in alert::dispatch(project.alerts.as_ref(), &home(project), &round, Utc::now()).warnings {
        remark!("warning: {warning}");
    }
}

impl Scheduler<'_> {
    /// How the asking of a server went; `None` when this run did not ask it.
    fn asked(&self, server: &ServerName) -> Option<Asked> {
        let failure = self.why_not_listed(server).map(|failure| failure.message.clone());
        let listed = self.facts.servers.get(server).is_some_and(|facts| facts.listing_seen);
        if !listed && failure.is_none() {
            return None;
        }
        let exports = self.graph.nodes.node_indices().filter(|node| {
            let instance = &self.graph.nodes[*node];
            instance.axes.server.as_ref() == Some(server)
                && self.project.pipeline.tasks[instance.task].action == Action::Export
        });
        let bad = |node: &NodeIndex| match self.states.get(node.index()) {
            Some(State::Ended(outcome)) => outcome.is_bad(),
            _ => false,
        };
        let failed = exports.filter(bad).map(|node| {
            let setback = self.store.setback(self.graph.nodes[node].target);
            setback.map_or_else(String::new, |setback| self.store.names.text(setback.message).to_string())
        });
        let failure = failure.or_else(|| failed.into_iter().next());
        let pending = self.pending.get(server).copied().unwrap_or_default();
        // A run of some targets does not see what waits in the others.
        Some(Asked { failure, pending: (pending > 0 || !self.request.explicit).then_some(pending) })
    }

    fn has_failures(&self) -> bool {
        self.tally.get(&Outcome::Failed).is_some_and(|number| *number > 0)
    }

    /// Whether this run found a target to be well: an instance, a server's listing, the run itself.
    fn is_well(&self, target: &str) -> bool {
        // A quiet trouble is judged by every run.
        if target.split('/').next() == Some(RUN) {
            return self.broken_state.is_none();
        }
        let name = self.store.names.find(target);
        let node = name.and_then(|name| self.graph.nodes.node_indices().find(|n| self.graph.nodes[*n].target == name));
        if let Some(node) = node {
            let state = self.states.get(node.index());
            let well = |outcome: &Outcome| !outcome.is_bad();
            return matches!(state, Some(State::Ended(outcome)) if well(outcome));
        }
        let server = target.split_once('/').map(|(_, server)| server);
        server.and_then(|server| self.facts.servers.get(server)).is_some_and(|facts| facts.listing_seen)
    }
}

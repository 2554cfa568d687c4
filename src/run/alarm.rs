//! The end of a run: who has to be told of it.

use std::io;
use std::path::Path;

use chrono::Utc;

use crate::alert::{self, Round, Trouble};
use crate::config::Project;
use crate::run::events::{Event, Outcome, RunOutcome};
use crate::run::request::{Summary, home};
use crate::run::schedule::{Scheduler, State};

/// Stands for the run itself, where a trouble is of no instance.
const RUN: &str = "run";

/// Tells people what this run met. What cannot be told is a warning, and changes nothing about the run's success.
pub fn tell(project: &Project, scheduler: &mut Scheduler<'_>, summary: &Summary) {
    // Who stops a run knows about it; a run of targets that do not exist saw nothing.
    if project.alerts.is_none() || summary.outcome == RunOutcome::Interrupted || !summary.unknown.is_empty() {
        return;
    }
    let round = Round {
        run: &summary.run,
        project: &project.pipeline.root,
        troubles: &summary.troubles,
        is_well: &|target| scheduler.is_well(target),
        good: summary.outcome == RunOutcome::Ok,
    };
    let outcome = alert::dispatch(project.alerts.as_ref(), &home(project), &round, Utc::now());
    for warning in &outcome.warnings {
        scheduler.teller.note(warning);
    }
    if !outcome.composed.is_empty() || outcome.sent > 0 {
        let alert::Outcome { composed, sent, waiting, .. } = outcome;
        scheduler.teller.event(&Event::Alert { subjects: composed, sent, waiting });
    }
}

/// Tells people that a run could not even begin, or could not keep what it did.
pub fn no_run(project: &Project, path: &Path, error: &io::Error) {
    let trouble = Trouble {
        server: None,
        target: RUN.to_owned(),
        code: "write".to_owned(),
        message: format!("nothing could be run, {}: {error}", path.display()),
        advice: None,
        tail: Vec::new(),
        passing: false,
    };
    let round = Round {
        run: "that did not begin",
        project: &project.pipeline.root,
        troubles: &[trouble],
        is_well: &|_| false,
        good: false,
    };
    for warning in alert::dispatch(project.alerts.as_ref(), &home(project), &round, Utc::now()).warnings {
        eprintln!("warning: {warning}");
    }
}

impl Scheduler<'_> {
    /// Whether this run found a target to be well: an instance, a server's listing, the run itself.
    fn is_well(&self, target: &str) -> bool {
        if target == RUN {
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

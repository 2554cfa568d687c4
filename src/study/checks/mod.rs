//! What goes wrong in real study data, and the rules that find it. They flag, and never drop.
//!
//! What a row shows by itself ([`cells`]) stands in its `_flags` already. Then, for one server: [`crate::study::roster::Roster`] reads who
//! takes part, and each combined table is read once, many at a time ([`table::Examination`]): row by row ([`told`] says in
//! full what flags a row has), then by groups of its [`facts`]. TaskLog is one of them; what it says of the others
//! ([`log::Log`]) closes them at the end. [`LastSeen`] sums up for the rules about accounts. Findings go into a sink one by one,
//! in a fixed order per table.

pub mod accounts;
pub mod catalogue;
pub mod cells;
pub mod columns;
pub mod facts;
pub mod gaps;
pub mod groups;
pub mod ledger;
pub mod log;
pub mod order;
pub mod settings;
pub mod severity;
pub mod stamp;
pub mod table;
pub mod text;
mod told;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use crate::study::checks::settings::Settings;
pub use crate::study::checks::severity::Severity;

use crate::study::checks::catalogue::CheckRule;
use crate::study::scale::Study;

/// Something a rule found: a row of checks.csv.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding<'f> {
    pub rule: &'f str,
    pub scale: &'f str,
    /// Of the entry; empty where a finding is about several or none.
    pub id: &'f str,
    pub participant: &'f str,
    pub column: &'f str,
    pub value: &'f str,
    pub message: Cow<'f, str>,
    pub severity: Severity,
}

/// Hands a finding on, unless the study turned its rule off, with the severity that holds there; an error of a rule that
/// usually is none stays one.
pub(crate) fn report(study: &Study, sink: &mut impl FnMut(&Finding<'_>), mut finding: Finding<'_>) {
    if !study.has_rule(finding.rule) {
        return;
    }
    if let Some(rule) = catalogue::rule(finding.rule) {
        let usual = study.severity(rule);
        finding.severity = if finding.severity == Severity::Error { Severity::Error } else { usual };
    }
    sink(&finding);
}

impl Study {
    /// True unless the study turned the rule off.
    pub fn has_rule(&self, name: &str) -> bool {
        self.rules.get(name).is_none_or(|settings| !settings.off)
    }

    pub fn severity(&self, rule: &CheckRule) -> Severity {
        self.rules.get(rule.name).and_then(|settings| settings.severity).unwrap_or(rule.severity)
    }

    /// A rule's number, as the study or else the catalogue sets it; 0 for one that the rule does not have.
    pub fn threshold(&self, rule: &str, threshold: &str) -> f64 {
        let own = self.rules.get(rule).and_then(|settings| settings.thresholds.get(threshold)).copied();
        own.unwrap_or_else(|| {
            let usual = catalogue::rule(rule).map(|rule| rule.thresholds).unwrap_or_default();
            usual.iter().find(|(name, ..)| *name == threshold).map_or(0.0, |(_, value, _)| *value)
        })
    }
}

/// What the tables of a server show of its accounts, table by table.
#[derive(Debug, Clone, Default)]
pub struct LastSeen {
    /// By account: the newest entry, in milliseconds since 1970.
    pub last: Vec<Option<i64>>,
    /// The newest entry of all.
    pub now: Option<i64>,
}

impl LastSeen {
    pub fn merge(&mut self, other: &Self) {
        if self.last.len() < other.last.len() {
            self.last.resize(other.last.len(), None);
        }
        for (mine, theirs) in self.last.iter_mut().zip(&other.last) {
            *mine = (*mine).max(*theirs);
        }
        self.now = self.now.max(other.now);
    }
}

//! What goes wrong in real study data, and the rules that find it. They flag, and never drop.

pub mod catalogue;

use std::collections::BTreeMap;

use crate::study::checks::catalogue::Rule;
use crate::study::scale::Study;

/// How grave a rule's findings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Error,
    Warning,
    Notice,
}

impl Severity {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// What a study's definition says otherwise than the catalogue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub off: bool,
    pub severity: Option<Severity>,
    pub thresholds: BTreeMap<String, f64>,
    /// The columns a rule looks at, where that is not decided by their kind: years of birth.
    pub columns: Vec<String>,
}

impl Study {
    /// True unless the study turned the rule off.
    #[must_use]
    pub fn has_rule(&self, name: &str) -> bool {
        self.rules.get(name).is_none_or(|settings| !settings.off)
    }

    #[must_use]
    pub fn severity(&self, rule: &Rule) -> Severity {
        self.rules.get(rule.name).and_then(|settings| settings.severity).unwrap_or(rule.severity)
    }

    /// A rule's number, as the study or else the catalogue sets it; 0 for one that the rule does not have.
    #[must_use]
    pub fn threshold(&self, rule: &str, threshold: &str) -> f64 {
        let own = self.rules.get(rule).and_then(|settings| settings.thresholds.get(threshold)).copied();
        own.unwrap_or_else(|| {
            let usual = catalogue::rule(rule).map(|rule| rule.thresholds).unwrap_or_default();
            usual.iter().find(|(name, ..)| *name == threshold).map_or(0.0, |(_, value, _)| *value)
        })
    }
}

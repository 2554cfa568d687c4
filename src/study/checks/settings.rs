//! What a study says of a rule.

use std::collections::BTreeMap;

use crate::study::checks::severity::Severity;

/// What a study's definition says otherwise than the catalogue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub off: bool,
    pub severity: Option<Severity>,
    pub thresholds: BTreeMap<String, f64>,
    /// The columns a rule looks at, where that is not decided by their kind: years of birth.
    pub columns: Vec<String>,
}

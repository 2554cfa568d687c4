//! L1: what was listed, received, stored, decoded, combined and scored has to add up.

use super::{Finding, Severity, report};
use crate::study::scale::Study;

/// The counts of one scale, as far as they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// On the server, by its listing.
    pub listed: Option<u64>,
    pub received: Option<u64>,
    /// In raw files, each content once.
    pub stored: Option<u64>,
    /// Rows of active tables, and entries that are none.
    pub decoded: Option<u64>,
    pub quarantined: u64,
    /// Rows of the combined table, and exact repeats that it left out.
    pub combined: Option<u64>,
    pub repeats: u64,
    /// Of the combined rows: older versions of an id, and entries that the duplicates policy leaves out.
    pub superseded: u64,
    pub second: u64,
    pub scored: Option<u64>,
}

/// The first step that does not add up.
pub fn difference(counts: &TableCounts) -> Option<String> {
    let pairs = [
        ("listed", counts.listed, "received", counts.received, 0),
        ("stored", counts.stored, "decoded", counts.decoded, counts.quarantined),
        ("decoded", counts.decoded, "combined", counts.combined, counts.repeats),
        ("combined", counts.combined, "scored", counts.scored, counts.superseded + counts.second),
    ];
    for (left, a, right, b, aside) in pairs {
        let (Some(a), Some(b)) = (a, b) else { continue };
        // A table may grow between listing and download.
        let wrong = if left == "listed" { b < a } else { a != b + aside };
        if wrong {
            let beside = if aside > 0 { format!(" and {aside} set aside") } else { String::new() };
            return Some(format!("{a} {left}, {b} {right}{beside}"));
        }
    }
    None
}

/// Reports a scale whose counts do not add up.
pub fn check(study: &Study, scale: &str, counts: &TableCounts, sink: &mut impl FnMut(&Finding<'_>)) {
    if let Some(message) = difference(counts) {
        report(
            study,
            sink,
            Finding {
                rule: "L1",
                scale,
                id: "",
                participant: "",
                column: "",
                value: "",
                message: message.into(),
                severity: Severity::Error,
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_to_add_up() {
        let even = TableCounts {
            listed: Some(10),
            received: Some(11),
            stored: Some(11),
            decoded: Some(10),
            quarantined: 1,
            combined: Some(9),
            repeats: 1,
            superseded: 1,
            second: 2,
            scored: Some(6),
        };
        assert_eq!(difference(&even), None);
        assert_eq!(difference(&TableCounts { received: Some(9), ..even }).unwrap(), "10 listed, 9 received");
        assert_eq!(
            difference(&TableCounts { stored: Some(12), ..even }).unwrap(),
            "12 stored, 10 decoded and 1 set aside"
        );
        assert_eq!(
            difference(&TableCounts { combined: Some(8), ..even }).unwrap(),
            "10 decoded, 8 combined and 1 set aside"
        );
        assert_eq!(difference(&TableCounts { scored: None, second: 99, ..even }), None);
    }
}

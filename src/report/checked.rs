//! What the rules find in a server's tables, on its way to the page and to checks.csv.

use crate::report::findings::Findings;
use crate::report::reading::Everyone;
use crate::report::reconciliation::Reconciliation;
use crate::report::sink::Sink;
use crate::report::sources::{Sources, Unreadable, scale_name, unreadable};
use crate::report::tally::Tally;
use crate::report::trajectory::ScoredTable;
use crate::study::checks::{Finding, LastSeen, Severity, accounts, ledger};
use crate::study::scale::ScaleKind;

/// What no table shows by itself: accounts, and whether the numbers close.
///
/// # Errors
/// The spool that cannot be written, and why.
pub fn conclude(
    sources: &Sources<'_>,
    everyone: &Everyone<'_>,
    seen: &LastSeen,
    reconciliation: &Reconciliation,
    tables: &[Tally],
    scored: &[ScoredTable],
) -> Result<Findings, Unreadable> {
    let spool = sources.folder.reports();
    let mut sink = Sink::new(&spool, everyone.redactor(Some(ScaleKind::Participants)));
    let name = everyone.table.map(|path| scale_name(path)).unwrap_or_default();
    accounts::check(&everyone.roster, sources.study, &name, &seen.last, seen.now, &mut |finding| sink.add(finding));
    add_up(sources, reconciliation, tables, scored, &mut sink);
    sink.done().map_err(unreadable(&spool))
}

/// L1: received against stored, and archived against combined, day by day; combined against scored.
fn add_up(
    sources: &Sources<'_>,
    reconciliation: &Reconciliation,
    tables: &[Tally],
    scored: &[ScoredTable],
    sink: &mut Sink<'_>,
) {
    for (scale, pages) in reconciliation {
        for (day, page) in pages {
            // Tables that were adopted without raw files are another rule's matter.
            let Some((day, message)) = day.zip(page.difference()) else { continue };
            let finding = Finding {
                rule: "L1",
                scale,
                id: "",
                participant: "",
                column: "_first_seen",
                value: &day.to_string(),
                message: message.into(),
                severity: Severity::Error,
            };
            if sources.study.has_rule("L1") {
                sink.add(&finding);
            }
        }
    }
    for scored in scored {
        let Some(table) = tables.iter().find(|table| table.scale == scored.scale) else { continue };
        let rows = table.entries + table.superseded;
        // What the duplicates policy leaves out is at most what came second.
        let second = table.entries.saturating_sub(scored.rows).min(table.second);
        let counts = ledger::TableCounts {
            combined: Some(rows),
            superseded: table.superseded,
            second,
            scored: Some(scored.rows),
            ..ledger::TableCounts::default()
        };
        ledger::check(sources.study, &scored.scale, &counts, &mut |finding| sink.add(finding));
    }
}

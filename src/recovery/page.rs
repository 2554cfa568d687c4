//! What a recovery found and did, as a page for people (`reports/recovery-<date>.md`) and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::Serialize;

use crate::disk::atomic;

/// What was found of one server, and what became of it. No times: the same findings give the same page.
#[derive(Debug, Serialize)]
pub struct Recovery {
    pub server: String,
    /// Only this scale's raw files were looked at.
    pub scale: Option<String>,
    pub date: NaiveDate,
    pub scales: Vec<ScaleLine>,
    pub raw: Vec<RawFinding>,
    pub lost: Vec<LostEntry>,
    pub tables: Vec<TableFinding>,
    /// What was wrong with other records: marks, index, ledger, state.
    pub records: Vec<String>,
    /// What is worth knowing and no fault.
    pub notes: Vec<String>,
    pub keys: Vec<KeyLine>,
    pub closed: Vec<Closed>,
    pub failed: Vec<FailedTarget>,
}

/// The raw files of one scale that are there.
#[derive(Debug, Serialize)]
pub struct ScaleLine {
    pub scale: String,
    pub files: usize,
    pub first: Option<NaiveDate>,
    pub last: Option<NaiveDate>,
    /// Different ones.
    pub entries: usize,
    /// Files that had no record before.
    pub unrecorded: usize,
    /// Whole entries of damaged files.
    pub salvaged: u64,
    pub lost: usize,
}

/// A raw file that is not what it should be.
#[derive(Debug, Serialize)]
pub struct RawFinding {
    pub file: String,
    pub what: RawFault,
    pub says: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RawFault {
    Missing,
    Changed,
    Damaged,
    Unreadable,
    Foreign,
}

impl RawFault {
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Damaged => "damaged",
            Self::Unreadable => "unreadable",
            Self::Foreign => "foreign",
        }
    }
}

/// An entry that was archived and stands in no raw file any more.
#[derive(Debug, Serialize)]
pub struct LostEntry {
    pub scale: String,
    pub id: Option<i64>,
    /// The raw file it stood in.
    pub file: Option<String>,
    /// It is gone from the server, too.
    pub deleted: bool,
    /// The archive has another content of this id.
    pub other_version: bool,
    /// A table that still has its row.
    pub kept_in: Option<String>,
}

/// A derived file that was not what its target left.
#[derive(Debug, Serialize)]
pub struct TableFinding {
    pub file: String,
    pub missing: bool,
    pub now: Remade,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remade {
    AsRecorded,
    /// What it is made from is not what it was.
    Otherwise,
    NotMade,
}

/// One of the server's keys.
#[derive(Debug, Serialize)]
pub struct KeyLine {
    pub path: String,
    pub fingerprint: Option<String>,
    pub problem: Option<String>,
}

/// Values in quarantine, of one scale and reason.
#[derive(Debug, Serialize)]
pub struct Closed {
    pub scale: String,
    pub reason: String,
    pub values: u64,
}

/// A target that could not be made again.
#[derive(Debug, Serialize)]
pub struct FailedTarget {
    pub target: String,
    pub says: String,
}

impl Recovery {
    /// How many things differ from what they should be.
    pub fn differences(&self) -> usize {
        let keys = self.keys.iter().filter(|key| key.problem.is_some()).count();
        self.raw.len() + self.lost.len() + self.tables.len() + self.records.len() + self.failed.len() + keys
    }

    /// Writes the page beside the server's reports. A page of the same day that says something else stays, and this one
    /// gets a number.
    pub fn write(&self, reports: &Path) -> io::Result<PathBuf> {
        let name = |number: usize| match number {
            1 => format!("recovery-{}.md", self.date),
            number => format!("recovery-{}-{number}.md", self.date),
        };
        let text = self.page();
        let mut number = 1;
        while reports.join(name(number + 1)).exists() {
            number += 1;
        }
        let last = reports.join(name(number));
        if last.exists() && std::fs::read(&last)? != text.as_bytes() {
            number += 1;
        }
        Ok(atomic::write(&reports.join(name(number)), atomic::SHARED, text.as_bytes())?.path)
    }

    /// Markdown.
    pub fn page(&self) -> String {
        let mut out = String::new();
        let line = |out: &mut String, text: &str| {
            out.push_str(text);
            out.push('\n');
        };
        line(&mut out, &format!("# Recovery of {}, {}\n", self.server, self.date));
        if let Some(scale) = &self.scale {
            line(&mut out, &format!("Only raw files of {scale} were looked at.\n"));
        }
        line(&mut out, &self.summary());
        self.scales_table(&mut out);
        self.raw_section(&mut out);
        self.lost_section(&mut out);
        self.tables_section(&mut out);
        section(&mut out, "Other records", &self.records);
        self.keys_section(&mut out);
        let failed: Vec<String> =
            self.failed.iter().map(|failed| format!("`{}`: {}", failed.target, failed.says)).collect();
        section(&mut out, "Not made again", &failed);
        section(&mut out, "Notes", &self.notes);
        out
    }

    fn summary(&self) -> String {
        let salvaged: u64 = self.scales.iter().map(|scale| scale.salvaged).sum();
        let count = |fault| self.raw.iter().filter(|raw| raw.what == fault).count();
        if self.differences() == 0 {
            return "Everything is what was recorded of it.".to_owned();
        }
        let faults = [RawFault::Missing, RawFault::Changed, RawFault::Damaged, RawFault::Unreadable, RawFault::Foreign];
        let faults: Vec<String> = faults.iter().map(|fault| format!("{} {}", count(*fault), fault.word())).collect();
        format!(
            "Raw files: {}. Entries salvaged from damaged files: {salvaged}; lost: {}. Tables and reports that were not what \
             was recorded: {}.",
            faults.join(", "),
            self.lost.len(),
            self.tables.len()
        )
    }

    fn scales_table(&self, out: &mut String) {
        out.push_str("\n## Raw files that are there\n\n");
        out.push_str("| scale | files | first | last | entries | salvaged | lost |\n|---|---|---|---|---|---|---|\n");
        let day = |date: Option<NaiveDate>| date.map(|date| date.to_string()).unwrap_or_default();
        for row in &self.scales {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} |",
                row.scale,
                row.files,
                day(row.first),
                day(row.last),
                row.entries,
                row.salvaged,
                row.lost
            );
        }
    }

    fn raw_section(&self, out: &mut String) {
        let lines: Vec<String> =
            self.raw.iter().map(|raw| format!("{} `{}`: {}", raw.what.word(), raw.file, raw.says)).collect();
        section(out, "Raw files that are not what they should be", &lines);
        if self.raw.iter().any(|raw| raw.what != RawFault::Foreign) {
            out.push_str(
                "\nRestore them from a backup and call `mtdata recover` again; a raw file that is what was recorded of it \
                 takes its place as if nothing had happened.\n",
            );
        }
    }

    fn lost_section(&self, out: &mut String) {
        let mut groups: BTreeMap<Lot<'_>, Vec<Option<i64>>> = BTreeMap::new();
        for lost in &self.lost {
            let fate = match (&lost.kept_in, lost.other_version, lost.deleted) {
                (Some(table), ..) => format!("a row still stands in `{table}`"),
                (None, true, _) => "another content of this id is archived".to_owned(),
                (None, false, true) => "gone from the server, too".to_owned(),
                (None, false, false) => "the next build brings what is still on the server".to_owned(),
            };
            groups.entry((&lost.scale, lost.file.as_deref(), fate)).or_default().push(lost.id);
        }
        let line = |((scale, file, fate), ids): (&Lot<'_>, &Vec<Option<i64>>)| {
            let file = file.map(|file| format!(" of `{file}`")).unwrap_or_default();
            format!("{scale}, {} {}{file}; {fate}", ids.len(), named(ids))
        };
        section(out, "Entries that stand in no raw file any more", &groups.iter().map(line).collect::<Vec<_>>());
    }

    fn tables_section(&self, out: &mut String) {
        let line = |table: &TableFinding| {
            let was = if table.missing { "missing" } else { "changed" };
            let now = match table.now {
                Remade::AsRecorded => "made again as it was",
                Remade::Otherwise => "made again; what it is made from is not what it was",
                Remade::NotMade => "not made again",
            };
            format!("{was} `{}`: {now}", table.file)
        };
        section(out, "Tables and reports", &self.tables.iter().map(line).collect::<Vec<_>>());
    }

    fn keys_section(&self, out: &mut String) {
        let line = |key: &KeyLine| match (&key.fingerprint, &key.problem) {
            (Some(fingerprint), None) => format!("`{}`: {fingerprint}", key.path),
            (_, problem) => format!("FAILED: {}", problem.as_deref().unwrap_or("it could not be read")),
        };
        section(out, "Keys", &self.keys.iter().map(line).collect::<Vec<_>>());
        let line = |closed: &Closed| format!("{}: {}, {}", closed.scale, closed.values, closed.reason);
        section(out, "In quarantine", &self.closed.iter().map(line).collect::<Vec<_>>());
    }
}

/// Lost entries of one scale and one raw file, with one fate.
type Lot<'l> = (&'l str, Option<&'l str>, String);

/// `entries (1-17, 20)`; those without an id are only counted.
fn named(ids: &[Option<i64>]) -> String {
    let mut known: Vec<i64> = ids.iter().copied().flatten().collect();
    known.sort_unstable();
    known.dedup();
    let mut stretches: Vec<(i64, i64)> = Vec::new();
    for id in known {
        match stretches.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
            _ => stretches.push((id, id)),
        }
    }
    let stretch =
        |(first, last): &(i64, i64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let word = if ids.len() == 1 { "entry" } else { "entries" };
    match stretches.as_slice() {
        [] => format!("{word} without id"),
        stretches => format!("{word} ({})", stretches.iter().map(stretch).collect::<Vec<_>>().join(", ")),
    }
}

fn section(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## {title}\n");
    for line in lines {
        let _ = writeln!(out, "- {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Recovery {
        Recovery {
            server: "mindtrails".to_owned(),
            scale: None,
            date: NaiveDate::from_ymd_opt(2026, 11, 25).unwrap(),
            scales: Vec::new(),
            raw: Vec::new(),
            lost: Vec::new(),
            tables: Vec::new(),
            records: Vec::new(),
            notes: Vec::new(),
            keys: Vec::new(),
            closed: Vec::new(),
            failed: Vec::new(),
        }
    }

    #[test]
    fn a_page_that_says_something_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut found = nothing();
        found.records.push("benchMark.json was missing".to_owned());
        let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(name(found.write(folder.path()).unwrap()), "recovery-2026-11-25.md");
        assert_eq!(name(found.write(folder.path()).unwrap()), "recovery-2026-11-25.md");
        assert_eq!(name(nothing().write(folder.path()).unwrap()), "recovery-2026-11-25-2.md");
        assert_eq!(name(nothing().write(folder.path()).unwrap()), "recovery-2026-11-25-2.md");
        assert_eq!(name(found.write(folder.path()).unwrap()), "recovery-2026-11-25-3.md");
    }

    #[test]
    fn a_lost_entry_is_told_with_where_it_may_still_be() {
        let mut found = nothing();
        let lost = |id, kept_in: Option<&str>, other_version, deleted| LostEntry {
            scale: "OA".to_owned(),
            id: Some(id),
            file: Some("OA_Aug_25_2015_08_54_35.json".to_owned()),
            deleted,
            other_version,
            kept_in: kept_in.map(str::to_owned),
        };
        found.lost = vec![lost(7, Some("OA_2015-08-25.csv"), false, true), lost(8, None, true, true)];
        found.lost.extend([11, 9, 12, 13].map(|id| lost(id, None, false, true)));
        let page = found.page();
        for text in [
            "- OA, 1 entry (7) of `OA_Aug_25_2015_08_54_35.json`; a row still stands in `OA_2015-08-25.csv`",
            "- OA, 1 entry (8) of `OA_Aug_25_2015_08_54_35.json`; another content of this id is archived",
            "- OA, 4 entries (9, 11-13) of `OA_Aug_25_2015_08_54_35.json`; gone from the server, too",
        ] {
            assert!(page.contains(text), "{page}");
        }
        assert_eq!(found.differences(), 6);
    }
}

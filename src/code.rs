//! The stable words by which events, mails and the runbook name what happened, and what to do about each: one set.

use serde::{Serialize, Serializer};

/// What happened, of failures and warnings alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// No connection: name, route, refused, reset.
    Unreachable,
    /// The certificate or the handshake.
    Tls,
    /// 401, 403 or a redirect to a login.
    Refused,
    /// A body that is not JSON: refused credentials or a wrong URL.
    NotJson,
    /// JSON, but not what the interface promises.
    WrongShape,
    /// Fewer bytes or entries than announced.
    Truncated,
    /// 5xx or 429 after all retries.
    ServerError,
    Timeout,
    /// A DELETE that failed or was not confirmed.
    Deletion,
    /// Entries on the server that should be gone.
    ShouldBeGone,
    /// A private key that is missing, refused, or opens nothing.
    Key,
    /// Reading a file of the pool.
    Read,
    /// Writing to the pool: disk full, permission, a file that reads back differently.
    Write,
    /// Data that no rule covers.
    Data,
    /// A user's command that did not exit 0 or left an output out.
    Command,
    Interrupted,
    /// A mistake of mtdata itself.
    Internal,
    /// Archived entries stay on the server beyond the set limit.
    StillThere,
    /// Nothing was exported for longer than the set limit.
    NoExport,
    /// One id with two contents in one answer.
    RepeatedId,
    /// An archived id with another content on the server.
    ChangedId,
    /// A raw file is not what was recorded of it.
    RawDamaged,
    /// A raw file that was recorded is gone.
    RawMissing,
    /// A damaged raw file gave what is whole in it.
    RawSalvaged,
    /// A table would lose entries that it had.
    EntriesGone,
    /// Values that no key opens.
    Undecryptable,
    /// benchMark.json was missing or damaged.
    BenchmarkRecomputed,
    /// The listing counts more entries than were sent.
    Shortfall,
    /// Archived entries of a table that stays are no longer on the server.
    Vanished,
    /// An earlier run was broken off while it deleted.
    DeletionsOpen,
    /// A listed table whose name cannot become a file.
    StrangeTable,
    /// The study's schedule could not be fetched.
    Study,
    /// The last good outputs of what failed were used.
    Partial,
    /// A correction that does not fit what stands there.
    CorrectionRefused,
    /// A wide table with too many columns.
    TooWide,
    /// A table has other columns than before, or other values in them. It stays the last: [`Code::ALL`] is held against it.
    SchemaDrift,
}

/// How soon a person has to know, unless a task's `alert` or the case itself says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Mailed at once (contract, 8).
    Critical,
    /// Told in the logs and the summary.
    Warning,
    /// Who stops a run knows about it.
    Silent,
}

/// What a code means to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    pub headline: &'static str,
    pub first: &'static str,
}

/// What to do about a word of another version, as old alerts may bear it.
pub const UNKNOWN: Advice =
    Advice { headline: "something needs a person's eye", first: "Read the message and the log of the run." };

/// The runbook's table of what is not mailed.
const NOT_MAILED: &str = "Warnings that are not mailed";

impl Code {
    pub const ALL: [Self; 36] = [
        Self::Unreachable,
        Self::Tls,
        Self::Refused,
        Self::NotJson,
        Self::WrongShape,
        Self::Truncated,
        Self::ServerError,
        Self::Timeout,
        Self::Deletion,
        Self::ShouldBeGone,
        Self::Key,
        Self::Read,
        Self::Write,
        Self::Data,
        Self::Command,
        Self::Interrupted,
        Self::Internal,
        Self::StillThere,
        Self::NoExport,
        Self::RepeatedId,
        Self::ChangedId,
        Self::RawDamaged,
        Self::RawMissing,
        Self::RawSalvaged,
        Self::EntriesGone,
        Self::Undecryptable,
        Self::BenchmarkRecomputed,
        Self::Shortfall,
        Self::Vanished,
        Self::DeletionsOpen,
        Self::StrangeTable,
        Self::Study,
        Self::Partial,
        Self::CorrectionRefused,
        Self::TooWide,
        Self::SchemaDrift,
    ];

    /// The code of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Refused => "refused",
            Self::NotJson => "not_json",
            Self::WrongShape => "wrong_shape",
            Self::Truncated => "truncated",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Deletion => "deletion",
            Self::ShouldBeGone => "should_be_gone",
            Self::Key => "key",
            Self::Read => "read",
            Self::Write => "write",
            Self::Data => "data",
            Self::Command => "command",
            Self::Interrupted => "interrupted",
            Self::Internal => "internal",
            Self::StillThere => "still_there",
            Self::NoExport => "no_export",
            Self::RepeatedId => "repeated_id",
            Self::ChangedId => "changed_id",
            Self::RawDamaged => "raw_damaged",
            Self::RawMissing => "raw_missing",
            Self::RawSalvaged => "raw_salvaged",
            Self::EntriesGone => "entries_gone",
            Self::Undecryptable => "undecryptable",
            Self::BenchmarkRecomputed => "benchmark_recomputed",
            Self::Shortfall => "shortfall",
            Self::Vanished => "vanished",
            Self::DeletionsOpen => "deletions_open",
            Self::StrangeTable => "strange_table",
            Self::Study => "study",
            Self::Partial => "partial",
            Self::CorrectionRefused => "correction_refused",
            Self::TooWide => "too_wide",
            Self::SchemaDrift => "schema_drift",
        }
    }

    pub fn urgency(self) -> Urgency {
        match self {
            Self::Interrupted => Urgency::Silent,
            Self::Shortfall
            | Self::Vanished
            | Self::DeletionsOpen
            | Self::StrangeTable
            | Self::Study
            | Self::Partial
            | Self::CorrectionRefused
            | Self::TooWide
            | Self::SchemaDrift => Urgency::Warning,
            Self::Unreachable
            | Self::Tls
            | Self::Refused
            | Self::NotJson
            | Self::WrongShape
            | Self::Truncated
            | Self::ServerError
            | Self::Timeout
            | Self::Deletion
            | Self::ShouldBeGone
            | Self::Key
            | Self::Read
            | Self::Write
            | Self::Data
            | Self::Command
            | Self::Internal
            | Self::StillThere
            | Self::NoExport
            | Self::RepeatedId
            | Self::ChangedId
            | Self::RawDamaged
            | Self::RawMissing
            | Self::RawSalvaged
            | Self::EntriesGone
            | Self::Undecryptable
            | Self::BenchmarkRecomputed => Urgency::Critical,
        }
    }

    /// The section of docs/runbook.md that tells more.
    pub fn section(self) -> &'static str {
        match self.urgency() {
            Urgency::Critical | Urgency::Silent => self.word(),
            Urgency::Warning => NOT_MAILED,
        }
    }

    #[allow(clippy::too_many_lines)] // one table: what each code means
    pub fn advice(self) -> Advice {
        let (headline, first) = match self {
            Self::Unreachable => {
                ("the server cannot be reached", "See whether the site is up; the next run tries again by itself.")
            }
            Self::Tls => {
                ("the server's certificate is not accepted", "Have the certificate renewed; nothing is sent before.")
            }
            Self::Refused => {
                ("the login was refused", "Check user and password in servers.toml with `mtdata check --online`.")
            }
            Self::NotJson => {
                ("the answer is a web page, not data", "Check `url`, user and password with `mtdata check --online`.")
            }
            Self::WrongShape => (
                "the answer is not what it should be",
                "Look at the kept answer in quarantine/answers; ask who changed the server.",
            ),
            Self::Truncated => {
                ("the answer was cut short", "Nothing was deleted; if it stays, look at the server's log and proxy.")
            }
            Self::ServerError => {
                ("the server answers with an error", "Look at the server's log; the next run tries again by itself.")
            }
            Self::Timeout => (
                "the server did not answer in time",
                "See whether the site is slow; raise `timeout` if the table is large.",
            ),
            Self::Deletion => (
                "entries could not be deleted on the server",
                "They are archived; look whether the server is in export mode.",
            ),
            Self::ShouldBeGone => (
                "entries that were deleted are on the server again",
                "Ask whether a backup was restored there; they are archived.",
            ),
            Self::Key => (
                "a private key is missing, refused or opens nothing",
                "Compare `mtdata keys list` with the study's public key; exports go on.",
            ),
            Self::Read => (
                "a file of the pool cannot be read",
                "Check permissions and the disk; `mtdata verify` says what differs.",
            ),
            Self::Write => {
                ("a file could not be written", "Free space or mend the permissions; the next run tries again.")
            }
            Self::Data => ("data that no rule covers", "Read the message; `mtdata explain` shows where it came from."),
            Self::Command => {
                ("a command of the pipeline failed", "Read its last lines; run it by hand with the same input.")
            }
            Self::Interrupted => ("a run was interrupted", "Nothing to do: the next run resumes."),
            Self::Internal => ("a mistake in mtdata", "Keep the run's log and report it."),
            Self::StillThere => (
                "archived entries stay on the server",
                "Above its limit the site takes no answers; look why they cannot be deleted.",
            ),
            Self::NoExport => {
                ("nothing was exported for a day", "See whether what is scheduled still builds the exports.")
            }
            Self::RepeatedId => (
                "one id stands on the server with two contents",
                "Both are archived; nothing of that table is deleted until it is cleared up there.",
            ),
            Self::ChangedId => (
                "an archived entry stands on the server with other content",
                "Both are archived; nothing of that table is deleted until a person has looked which is right.",
            ),
            Self::RawDamaged => {
                ("a raw file is damaged", "Restore it from a backup; its entries do not count as archived until then.")
            }
            Self::RawMissing => {
                ("raw files are gone", "Restore them from a backup; their entries do not count as archived until then.")
            }
            Self::RawSalvaged => {
                ("a damaged raw file was salvaged", "Restore it from a backup; what could be read is used.")
            }
            Self::EntriesGone => (
                "a table would lose entries",
                "The table as it was is kept beside it; compare the two, and restore the raw file.",
            ),
            Self::Undecryptable => (
                "values that no key opens",
                "Add the key of that time to `keys` in servers.toml; the values wait in quarantine.",
            ),
            Self::BenchmarkRecomputed => (
                "benchMark.json was missing and is computed again",
                "Ask what removed it; the raw files hold all it said.",
            ),
            Self::Shortfall => (
                "the listing counts more entries than were sent",
                "Entries without a date are never sent; if there are none, ask the server's administrator.",
            ),
            Self::Vanished => (
                "entries are gone from the server that nobody deleted here",
                "They are archived; ask who else deletes there.",
            ),
            Self::DeletionsOpen => (
                "a run was broken off while it deleted",
                "Nothing to do: the table was looked at again, and the ledger says what became of each entry.",
            ),
            Self::StrangeTable => {
                ("the listing has a table whose name cannot be used", "Ask who added it to the site.")
            }
            Self::Study => {
                ("the study's schedule could not be fetched", "Answers count without it; look again if it stays.")
            }
            Self::Partial => ("a task used the last good outputs of what failed", "Mend the failure that it names."),
            Self::CorrectionRefused => {
                ("a correction does not fit what stands there", "Look at the row, and mend the corrections file.")
            }
            Self::TooWide => (
                "a wide table would have too many columns",
                "Define the scale with `kind = \"log\"` or `\"trials\"`, or its `key`.",
            ),
            Self::SchemaDrift => (
                "a table has other columns than before, or other values in them",
                "Ask who changed the server; then see whether the scale's definition still fits.",
            ),
        };
        Advice { headline, first }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const RUNBOOK: &str = include_str!("../docs/runbook.md");

    #[test]
    fn every_code_has_its_place_in_the_runbook_and_every_place_its_code() {
        for code in Code::ALL {
            let word = code.word();
            assert_eq!(Code::of(word), Some(code));
            assert!(RUNBOOK.lines().any(|line| line == format!("## {}", code.section())), "no section for {word}");
            let row = RUNBOOK.lines().any(|line| line.starts_with(&format!("| `{word}` |")));
            assert_eq!(row, code.urgency() == Urgency::Warning, "the table of warnings and {word}");
        }
        let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.word()).collect();
        let sections = RUNBOOK.lines().filter_map(|line| line.strip_prefix("## "));
        let rows = RUNBOOK.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|(word, _)| word);
        let codes =
            sections.chain(rows).filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        let strange: Vec<&str> = codes.filter(|word| !words.contains(word)).collect();
        assert!(strange.is_empty(), "docs/runbook.md tells of {strange:?}, which nothing says");
    }

    #[test]
    fn all_are_all() {
        for (place, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, place);
        }
        assert_eq!(Code::ALL.len(), Code::SchemaDrift as usize + 1);
    }

    #[test]
    fn no_two_codes_are_told_alike() {
        let headlines: BTreeSet<&str> = Code::ALL.iter().map(|code| code.advice().headline).collect();
        assert_eq!(headlines.len(), Code::ALL.len());
    }
}

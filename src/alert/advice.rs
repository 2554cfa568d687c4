//! What each kind of trouble is in plain words, and what to do about it; the same sections stand in docs/runbook.md.

/// A headline and a first thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    pub headline: &'static str,
    pub first: &'static str,
}

/// By the word of a failure's kind or a warning's code.
#[allow(clippy::too_many_lines)] // one table: what each code means
pub fn of(code: &str) -> Advice {
    let (headline, first) = match code {
        "unreachable" => {
            ("the server cannot be reached", "See whether the site is up; the next run tries again by itself.")
        }
        "tls" => ("the server's certificate is not accepted", "Have the certificate renewed; nothing is sent before."),
        "refused" => ("the login was refused", "Check user and password in servers.toml with `mtdata check --online`."),
        "not_json" => {
            ("the answer is a web page, not data", "Check `url`, user and password with `mtdata check --online`.")
        }
        "wrong_shape" => (
            "the answer is not what it should be",
            "Look at the kept answer in quarantine/answers; ask who changed the server.",
        ),
        "truncated" => {
            ("the answer was cut short", "Nothing was deleted; if it stays, look at the server's log and proxy.")
        }
        "server_error" => {
            ("the server answers with an error", "Look at the server's log; the next run tries again by itself.")
        }
        "timeout" => (
            "the server did not answer in time",
            "See whether the site is slow; raise `timeout` if the table is large.",
        ),
        "deletion" => (
            "entries could not be deleted on the server",
            "They are archived; look whether the server is in export mode.",
        ),
        "should_be_gone" => (
            "entries that were deleted are on the server again",
            "Ask whether a backup was restored there; they are archived.",
        ),
        "key" => (
            "a private key is missing, refused or opens nothing",
            "Compare `mtdata keys list` with the study's public key; exports go on.",
        ),
        "read" => {
            ("a file of the pool cannot be read", "Check permissions and the disk; `mtdata verify` says what differs.")
        }
        "write" => ("a file could not be written", "Free space or mend the permissions; the next run tries again."),
        "data" => ("data that no rule covers", "Read the message; `mtdata explain` shows where it came from."),
        "command" => ("a command of the pipeline failed", "Read its last lines; run it by hand with the same input."),
        "interrupted" => ("a run was interrupted", "Nothing to do: the next run resumes."),
        "still_there" => (
            "archived entries stay on the server",
            "Above its limit the site takes no answers; look why they cannot be deleted.",
        ),
        "no_export" => ("nothing was exported for a day", "See whether what is scheduled still builds the exports."),
        "repeated_id" => (
            "one id stands on the server with two contents",
            "Both are archived; nothing of that table is deleted until it is cleared up there.",
        ),
        "changed_id" => (
            "an archived entry stands on the server with other content",
            "Both are archived; nothing of that table is deleted until a person has looked which is right.",
        ),
        "vanished" => (
            "entries are gone from the server that nobody deleted here",
            "They are archived; ask who else deletes there.",
        ),
        "deletions_open" => (
            "a run was broken off while it deleted",
            "Nothing to do: the table was looked at again, and the ledger says what became of each entry.",
        ),
        "benchmark_recomputed" => {
            ("benchMark.json was missing and is computed again", "Ask what removed it; the raw files hold all it said.")
        }
        "strange_table" => ("the listing has a table whose name cannot be used", "Ask who added it to the site."),
        "raw_damaged" => {
            ("a raw file is damaged", "Restore it from a backup; its entries do not count as archived until then.")
        }
        "raw_missing" => {
            ("raw files are gone", "Restore them from a backup; their entries do not count as archived until then.")
        }
        "entries_gone" => (
            "a table would lose entries",
            "The table as it was is kept beside it; compare the two, and restore the raw file.",
        ),
        "undecryptable" => (
            "values that no key opens",
            "Add the key of that time to `keys` in servers.toml; the values wait in quarantine.",
        ),
        "schema_drift" => (
            "a table has other columns than before, or other values in them",
            "Ask who changed the server; then see whether the scale's definition still fits.",
        ),
        "raw_salvaged" => ("a damaged raw file was salvaged", "Restore it from a backup; what could be read is used."),
        "internal" => ("a mistake in mtdata", "Keep the run's log and report it."),
        _ => ("something needs a person's eye", "Read the message and the log of the run."),
    };
    Advice { headline, first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind as Kind;

    const ALL: [Kind; 17] = [
        Kind::Unreachable,
        Kind::Tls,
        Kind::Refused,
        Kind::NotJson,
        Kind::WrongShape,
        Kind::Truncated,
        Kind::ServerError,
        Kind::Timeout,
        Kind::Deletion,
        Kind::ShouldBeGone,
        Kind::Key,
        Kind::Read,
        Kind::Write,
        Kind::Data,
        Kind::Command,
        Kind::Interrupted,
        Kind::Internal,
    ];

    #[test]
    fn every_kind_has_words_of_its_own_and_a_section_of_the_runbook() {
        let runbook = include_str!("../../docs/runbook.md");
        for kind in ALL {
            let word = serde_json::to_value(kind).unwrap();
            let word = word.as_str().unwrap();
            assert_ne!(of(word), of("anything else"), "{word}");
            assert!(runbook.lines().any(|line| line == format!("## {word}")), "docs/runbook.md has no section {word}");
        }
    }

    /// Every word that a warning or an alarm of its own bears somewhere in the source.
    fn words_in(folder: &std::path::Path, words: &mut std::collections::BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                words_in(&path, words);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for mark in ["code: ", ".warn(", "add("] {
                let after = code.split(mark).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
                let word = after.filter_map(|rest| rest.split_once('"')).map(|(word, _)| word);
                let sound = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                words.extend(word.filter(sound).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_word_of_the_source_is_in_the_runbook() {
        let mut words = std::collections::BTreeSet::new();
        words_in(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut words);
        assert!(words.len() > 15 && words.contains("still_there") && words.contains("raw_missing"), "{words:?}");
        let runbook = include_str!("../../docs/runbook.md");
        let told = |word: &String| {
            runbook.lines().any(|line| *line == format!("## {word}") || line.starts_with(&format!("| `{word}` |")))
        };
        let untold: Vec<_> = words.iter().filter(|word| !told(word)).collect();
        assert!(untold.is_empty(), "docs/runbook.md has nothing on {untold:?}");
    }

    #[test]
    fn every_exit_code_is_in_the_runbook() {
        use crate::cli::Exit;
        let runbook = include_str!("../../docs/runbook.md");
        let codes = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Warnings, Exit::Locked];
        for (exit, number) in codes.into_iter().zip([0, 1, 2, 3, 75]) {
            assert_eq!(std::process::ExitCode::from(exit), std::process::ExitCode::from(number));
            assert!(runbook.contains(&format!("\n| {number} |")), "{number}");
        }
        assert!(runbook.contains("\n| 130, 143 |"));
    }
}

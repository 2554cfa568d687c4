//! Every rule by name: what it finds, what that means, what to do, how grave it is, and which numbers decide.

use super::severity::Severity;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct CheckRule {
    /// `R10`.
    pub name: &'static str,
    /// `session-order`.
    pub word: &'static str,
    /// What it finds, in a line.
    pub finds: &'static str,
    /// What that means and where it comes from.
    pub means: &'static str,
    /// What a researcher does about it.
    pub advice: &'static str,
    pub severity: Severity,
    /// Name, usual value and meaning of each number that decides.
    pub thresholds: &'static [(&'static str, f64, &'static str)],
    /// True when the row's own table decides it, so that it stands in the row's `_flags`.
    pub in_flags: bool,
}

/// The rule of this name, whatever its case.
pub fn rule(name: &str) -> Option<&'static CheckRule> {
    RULES.iter().find(|rule| rule.name.eq_ignore_ascii_case(name) || rule.word.eq_ignore_ascii_case(name))
}

/// A word of `_flags` and checks.csv that no rule of the study's definition stands behind: it cannot be set or turned off.
#[derive(Debug, Clone, Copy)]
pub struct FlagWord {
    pub name: &'static str,
    pub finds: &'static str,
    pub means: &'static str,
    pub advice: &'static str,
    pub severity: Severity,
}

/// The mark of this name, whatever its case.
pub fn mark(name: &str) -> Option<&'static FlagWord> {
    MARKS.iter().find(|mark| mark.name.eq_ignore_ascii_case(name))
}

/// All marks.
pub const MARKS: &[FlagWord] = &[
    FlagWord {
        name: "no_raw_file",
        finds: "a day whose table has no raw file",
        means: "The table stood in active_data/ before there was an archive, or its raw file is gone. Its rows are used as \
                they are: whether they are what the server sent cannot be proven.",
        advice: "Look for the raw file in old backups and put it into raw_data/: the next build decodes it and uses it instead.",
        severity: Severity::Notice,
    },
    FlagWord {
        name: "repeated_id",
        finds: "an id that came with different contents",
        means: "The server changed the entry, or gave one id to two. All versions are kept, the newest has `_current` true; \
                checks.csv tells of it under S8.",
        advice: "Compare the versions: equal but for one column is a change, equal in nothing is an id given twice.",
        severity: Severity::Notice,
    },
    FlagWord {
        name: "corrected",
        finds: "a value that the corrections file mended",
        means: "The cell in combined/ has the new value; the raw file and the day's table keep the old one.",
        advice: "Nothing. The corrections file says who decided it, when and why.",
        severity: Severity::Notice,
    },
    FlagWord {
        name: "correction_refused",
        finds: "a correction that expects another old value",
        means: "The entry does not have the value that the correction was written for, so it was left as it is.",
        advice: "Look at the entry and mend the correction's `old`, or take the correction out.",
        severity: Severity::Error,
    },
];

/// A rule in one line of source.
macro_rules! rules {
    ($($name:literal $word:literal $severity:ident $flags:literal [$($threshold:expr),*]
        finds $finds:literal means $means:literal advice $advice:literal;)*) => {
        /// All rules, in the order they are told.
        pub const RULES: &[CheckRule] = &[$(CheckRule {
            name: $name, word: $word, finds: $finds, means: $means, advice: $advice,
            severity: Severity::$severity, thresholds: &[$($threshold),*], in_flags: $flags,
        }),*];
    };
}

rules! {
    "R1" "undecrypted" Error true []
        finds "an encrypted value that no key opened, or that never was there"
        means "The entry has no readable participant. `blank`: nothing was sent. `ciphertext`: 344 characters of base64, what \
               the first generation wrote into the id column when a decryption failed. `garbage`: anything else that is no id. \
               A value that no key opens stands in quarantine/ with its entry id."
        advice "Add the key of that period to `keys` in servers.toml (mtdata keys list shows what is there): the next build \
                tries the quarantined values again. If the key is lost, R2 and R8 may know the participant otherwise.";
    "R2" "repair-hint" Notice true []
        finds "an entry without readable participantRSA that has a plain participant id beside it, or two that differ"
        means "Sites of two eras wrote the id into different columns. A single plain id is what the participant must be, and is \
               proposed; two readable ids that differ are an error of the server."
        advice "A proposal is used as the participant already. For two different ids look at both participants' dates, and \
                write the right one into the corrections file.";
    "R3" "orphan" Error false []
        finds "a participant that the participants' table does not have"
        means "Either ParticipantExport is older than the table, or the account was deleted on the server, or the id was \
               damaged. Rows of TaskLog are followed through `study`."
        advice "Build once more after the static tables were asked again. What stays: ask who removed the account, and when.";
    "R4" "repeat" Warning false []
        finds "entries that are the same in every column but `id`"
        means "A page was sent twice. One study's TaskLog had 570 of them. The last by id is the canonical one."
        advice "Nothing has to be done: the duplicates policy keeps one for scores. Count each group once in your own analyses.";
    "R5" "second-entry" Warning false []
        finds "more entries for one participant, session (and tag) than the definition allows"
        means "Somebody answered a questionnaire again, or two sessions carry one label. The message says how many entries and \
               how many different sets of answers there are, and the mean time on the page."
        advice "One set of answers: harmless. Several: look at the dates. If they are a session apart the label is wrong (R10), \
                else the study's duplicates policy decides.";
    "R6" "not-checkable" Notice false []
        finds "a table of which only the ids are checked"
        means "Trials, trainings and list tables have no key that says which rows belong together, so repeats and gaps in them \
               cannot be told from data."
        advice "Nothing; it is here so that silence about this table is not taken for soundness.";
    "R7" "screening" Warning false [("most_answer_sets", 2.0, "different sets of answers that one visitor may give")]
        finds "a visitor who answered the screening in more different ways than allowed"
        means "Somebody tried answers until the study took them in. Entries of the screening sessions are held together by the \
               screening's key column, since there is no participant yet."
        advice "Exclude these visitors from the analysis, as the study's papers did, and say so in the paper.";
    "R8" "screening-link" Notice false []
        finds "one screening key with an empty and one participant id, or with several ids"
        means "A visitor screened without an account and enrolled later: the key says who it was, and the id is proposed. \
               Several ids under one key are an error: one browser, two accounts."
        advice "Use the proposed id to find the baseline. For several ids decide who it was before you use either.";
    "R9" "session-name" Warning true []
        finds "a session that the study's schedule does not have, or none"
        means "The server wrote a label of another study, of a test, or nothing. Such an entry counts in no session."
        advice "If the study has this session, add it to the schedule in config/scales; if it is a mark and no session, to \
                `special_sessions`; else correct the entry in the corrections file.";
    "R10" "session-order" Warning false [("slack_days", 0.34, "days by which a gap may fall short (the server grants 8 hours)")]
        finds "a participant whose sessions have a gap, go back in time, or follow each other too soon"
        means "Session labels were wrong for 111 people in one study's OASIS, and every change score with them. A session is \
               missing between two others, its entries are older than those of the session before, or the schedule's least \
               days between two sessions were not kept."
        advice "Order the participant's entries by date and compare with TaskLog. If the labels slipped by one, write the right \
                ones into the corrections file, with the reason.";
    "R11" "test-account" Notice true []
        finds "an account of the team, not of a participant"
        means "`testAccount` or `admin` is true (older sites wrote the byte 1), or the participants file says so. A listed \
               account can also be cleared there."
        advice "Nothing: test accounts are left out of all percentages. Wrong? Put the id into the participants file with \
                `test = false`, a reason and a date.";
    "R12" "missing-code" Notice true []
        finds "a declared code for \"no answer\""
        means "555, -1, 999... as this study, scale and column use them on that day. It never enters a score."
        advice "Nothing. If the code means something else here, mend the definition's `missing`.";
    "R13" "range" Warning true []
        finds "a value outside the item's range, or none of its values"
        means "Either the definition is of another study (RR is 0 to 3 in one and 1 to 4 in another), or it is a code that \
               nobody declared, or the data are damaged. It never enters a score."
        advice "Many rows of one column: mend the definition. One row: look at the entry; a known error goes into the \
                corrections file.";
    "R14" "birth-year" Warning true [
            ("least_year", 1900.0, "earliest year of birth"),
            ("least_age", 18.0, "years between birth and entry")]
        finds "a year of birth that is not four digits, too early, or too late for the study's least age"
        means "The field takes any text. 195100 is most likely 1951; such proposals are never applied."
        advice "Accept a proposal by writing it into the corrections file.";
    "R15" "server-blank" Warning true []
        finds "nothing, question marks or broken characters where a choice is required"
        means "The form did not let anybody pass without a choice: the server lost the answer. It is \"missing: server\", \
               not \"declined\"."
        advice "Report it to the server's maintainers with the date: other columns of that time may be hit, too.";
    "R16" "date" Warning true []
        finds "an entry without a date that can be read"
        means "None of RFC 2822, ISO 8601, epoch milliseconds. The raw text is kept; the entry sorts after all others."
        advice "Look at the raw file. A new form of date is a change of the server that mtdata should be told of.";
    "R17" "clock-offset" Warning false [
            ("minutes", 60.0, "the offset that gives a wrong zone away"),
            ("tolerance", 5.0, "minutes around it")]
        finds "an act that TaskLog and the table date an hour apart"
        means "One of the two was written in another zone, or without daylight saving."
        advice "Many from one day on: a change on the server. Use the order within one table, never across the two.";
    "R18" "bots" Warning false [
            ("times_median", 20.0, "screening entries of a day, in medians of all days"),
            ("share", 0.5, "part of them with one and the same time on the page")]
        finds "a day with far more screening entries than usual, most without participant and alike in time"
        means "A program filled in the form: 162,171 entries in a day, once."
        advice "Leave that day's screening out of recruitment numbers, and tell the server's maintainers.";
    "S1" "log-agreement" Notice false []
        finds "an entry that TaskLog does not have, or a task in TaskLog without its entry"
        means "Each misses some of the other. TaskLog itself loses rows, so neither is the truth."
        advice "A few: live with it and say how many. A cluster in time (S7): something was lost there; look at raw_data of \
                those days.";
    "S2" "condition" Error false []
        finds "a participant whose condition changed late, moved between control and treatment, or differs between tables"
        means "Randomisation was overwritten, by hand or by a fault."
        advice "Ask who changed it and when. Analyse by the first assignment, and say so.";
    "S3" "active-flag" Notice false [("idle_days", 21.0, "days without any entry")]
        finds "an account that is active but idle before the end of the study, or inactive though busy"
        means "The server's mail reminders follow this flag."
        advice "Tell the study's coordinators: reminders may go out to nobody, or not go out.";
    "S4" "enrolment-window" Notice false []
        finds "a participant who joined outside the study's dates, or below the soft launch"
        means "Pilots, later extensions and accounts of the team share the tables with the study."
        advice "Leave them out of the study's sample, or widen `enrolment` in the definition if they belong to it.";
    "S5" "impossible-task" Warning true []
        finds "a questionnaire in a session where the schedule does not place it"
        means "The label is wrong, or the schedule changed while people were in it."
        advice "If the study did place it there, add it to the schedule; else treat the session label as wrong (R10).";
    "S6" "blank-column" Notice false []
        finds "a column that is empty, or has one and the same value, in every entry"
        means "Redacted, no longer used, or broken: a form field whose name the server does not know is lost without a word."
        advice "Compare with the questionnaire's form. If it is meant to be so, say so in the definition.";
    "S7" "gap" Warning false [
            ("share", 0.5, "part of all gaps of a scale that fall together"),
            ("least", 5.0, "gaps below which nothing is said")]
        finds "missing or second entries that cluster on a day or in a session"
        means "People forget one by one; servers forget by the day."
        advice "Look at that day's raw files, the run log and the server's release notes.";
    "S8" "drift" Warning false []
        finds "a column that is new, gone or of another kind since earlier days, or an id that came with other content"
        means "The server was changed. A repeated id also stops deletion of that table until somebody has looked."
        advice "Add the new column to the definition. For a repeated id compare the versions in combined/ (`_n_same_id`).";
    "S9" "identifying" Warning true []
        finds "an e-mail address, a telephone number or an order number inside any text; free text is named as such"
        means "Participants write their names and addresses into free text, and tables travel."
        advice "Do not share these columns; redact them before publication.";
    "L1" "ledger" Error false []
        finds "counts of listed, received, stored, decoded, combined and scored that do not add up"
        means "Entries were lost on the way, or came from nowhere, quarantine and repeats being accounted for."
        advice "Run mtdata recover, which names what is lost, and restore raw files from a backup: they are the truth, everything else is made again by mtdata build.";
}

//! A mail about one run: plain text and HTML, everything in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, html};
use serde::{Deserialize, Serialize};

use crate::alert::Round;
use crate::alert::digest::{Digest, Remembered};
use crate::code::{Advice, Code, UNKNOWN};

/// A mail that is composed and waits to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Stays the same when it is sent again, so that mail readers show it once.
    pub id: String,
    pub date: DateTime<Utc>,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Who has not got it yet.
    pub to: Vec<String>,
    /// How often it was refused for good.
    #[serde(default)]
    pub refused: u32,
}

/// The same trouble of many targets, told once.
struct Story<'d> {
    one: &'d Remembered,
    targets: Vec<&'d str>,
}

const MOST_TARGETS: usize = 8;
const MOST_LINES: usize = 20;

impl Letter {
    /// Writes down a digest. `dropped`: earlier letters that were given up.
    pub fn compose(digest: &Digest, round: &Round<'_>, prefix: &str, dropped: u32, now: DateTime<Utc>) -> Self {
        let sections = [
            ("New", stories(&digest.new)),
            ("Still there", stories(&digest.again)),
            ("Told before and not over", stories(&digest.going_on)),
            ("Over", stories(&digest.over)),
        ];
        let subject = format!("{prefix} {}", headline(&sections));
        let project = round.project.display();
        let mut notes = vec![format!("Project {project}, run {}, {}.", round.run, moment(now))];
        if dropped > 0 {
            let them =
                if dropped == 1 { "1 earlier mail was".to_owned() } else { format!("{dropped} earlier mails were") };
            notes.push(format!("{them} given up because too many waited for the mail server."));
        }
        let last = format!("`mtdata status` shows the whole, `mtdata runs {}` what this run did.", round.run);
        let text = as_text(&sections, &notes, &last);
        let html = as_html(&sections, &notes, &last);
        let hash = blake3::hash(format!("{now} {} {subject} {text}", round.run).as_bytes());
        Self { id: letter_id(&hash), date: now, subject, text, html, to: Vec::new(), refused: 0 }
    }

    /// The mail of `mtdata alert test`.
    pub fn test(prefix: &str, to: &[String], now: DateTime<Utc>) -> Self {
        let text = "This is a test: alerts of mtdata arrive here.\n".to_owned();
        let hash = blake3::hash(format!("{now} {}", std::process::id()).as_bytes());
        let html = html! { (DOCTYPE) html { body { p { (text.trim()) } } } }.into_string();
        Self {
            id: letter_id(&hash),
            date: now,
            subject: format!("{prefix} test"),
            text,
            html,
            to: to.to_vec(),
            refused: 0,
        }
    }
}

fn letter_id(hash: &blake3::Hash) -> String {
    format!("<{}@mtdata.invalid>", &hash.to_hex()[..24])
}

fn moment(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn stories(all: &[Remembered]) -> Vec<Story<'_>> {
    let mut stories: BTreeMap<_, Story<'_>> = BTreeMap::new();
    for one in all {
        let key = (&one.server, &one.code, &one.message);
        stories.entry(key).or_insert_with(|| Story { one, targets: Vec::new() }).targets.push(&one.target);
    }
    stories.into_values().collect()
}

fn headline(sections: &[(&str, Vec<Story<'_>>)]) -> String {
    let words = |story: &Story<'_>| {
        let server = story.one.server.as_ref().map(|server| format!("{server}: ")).unwrap_or_default();
        format!("{server}{}", advice_of(&story.one.code).headline)
    };
    let open: Vec<String> = sections[..2].iter().flat_map(|(_, stories)| stories.iter().map(words)).collect();
    let over = &sections[3].1;
    match (open.as_slice(), over.as_slice()) {
        ([], [one]) => format!("over: {}", words(one)),
        ([], all) => format!("over: {} troubles", all.len()),
        ([one], _) => one.clone(),
        ([first, rest @ ..], _) => format!("{first}, and {} more", rest.len()),
    }
}

fn targets(story: &Story<'_>) -> String {
    let mut text = story.targets.iter().take(MOST_TARGETS).copied().collect::<Vec<_>>().join(", ");
    if story.targets.len() > MOST_TARGETS {
        let _ = write!(text, " and {} more", story.targets.len() - MOST_TARGETS);
    }
    text
}

/// What an alert's word means; old ones may bear the word of another version.
fn advice_of(word: &str) -> Advice {
    Code::of(word).map_or(UNKNOWN, Code::advice)
}

fn history(one: &Remembered) -> String {
    let times = if one.times == 1 { "once".to_owned() } else { format!("in {} runs", one.times) };
    match one.over {
        Some(over) => format!("from {} to {}, {times}", moment(one.since), moment(over)),
        None => format!("since {}, {times}", moment(one.since)),
    }
}

fn tail(one: &Remembered) -> impl Iterator<Item = String> + '_ {
    let lines = &one.tail[one.tail.len().saturating_sub(MOST_LINES)..];
    lines.iter().map(|line| line.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect())
}

fn title(one: &Remembered) -> String {
    let server = one.server.as_ref().map(|server| format!("{server}: ")).unwrap_or_default();
    format!("{server}{}", advice_of(&one.code).headline)
}

fn help(one: &Remembered) -> (String, String) {
    let first = one.advice.clone().unwrap_or_else(|| advice_of(&one.code).first.to_owned());
    let section = Code::of(&one.code).map_or(one.code.as_str(), |code| code.section());
    (first, format!("docs/runbook.md, section `{section}`"))
}

fn as_text(sections: &[(&str, Vec<Story<'_>>)], notes: &[String], last: &str) -> String {
    let mut text = String::new();
    for (name, stories) in sections.iter().filter(|(_, stories)| !stories.is_empty()) {
        let _ = writeln!(text, "{}\n{}", name, "=".repeat(name.len()));
        for story in stories {
            let one = story.one;
            let _ = writeln!(text, "* {}\n  {}\n  {}\n  {}", title(one), targets(story), one.message, history(one));
            for line in tail(one) {
                let _ = writeln!(text, "  | {line}");
            }
            if one.over.is_none() {
                let (first, more) = help(one);
                let _ = writeln!(text, "  What to do: {first}\n  More: {more}");
            }
        }
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "{note}");
    }
    let _ = writeln!(text, "{last}");
    text
}

fn as_html(sections: &[(&str, Vec<Story<'_>>)], notes: &[String], last: &str) -> String {
    html! {
        (DOCTYPE)
        html { body style="font-family: sans-serif; max-width: 44em" {
            @for (name, stories) in sections.iter().filter(|(_, stories)| !stories.is_empty()) {
                h2 { (name) }
                @for story in stories {
                    @let one = story.one;
                    h3 { (title(one)) }
                    p { code { (targets(story)) } br; (one.message) br; small { (history(one)) } }
                    @if !one.tail.is_empty() { pre { @for line in tail(one) { (line) "\n" } } }
                    @if one.over.is_none() {
                        @let (first, more) = help(one);
                        p { b { "What to do: " } (first) br; small { (more) } }
                    }
                }
            }
            hr;
            @for note in notes { p { small { (note) } } }
            p { small { (last) } }
        } }
    }
    .into_string()
}

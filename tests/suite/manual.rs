//! The README as a reader tries it: each `console` block is run on a demo project, and has to say what it shows.
//!
//! A line `$ ...` is given to a shell; the lines below it are its output, `...` standing for any lines and words in
//! brackets for what differs from day to day. What a block needs beforehand stands behind the word `console`.

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use mtdata::parts::{Arguments, Options, ServerFault, open};
use snapbox::{Assert, Redactions};

use crate::rig::lab::Lab;
use crate::rig::office::Office;
use crate::rig::smtp::Manner;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

struct Block<'t> {
    before: Vec<&'t str>,
    steps: Vec<Step<'t>>,
}

struct Step<'t> {
    line: usize,
    command: &'t str,
    output: String,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut all = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            None => {
                let words = line.strip_prefix("```console");
                open = words.map(|words| Block { before: words.split_whitespace().collect(), steps: Vec::new() });
            }
            Some(_) if line == "```" => all.extend(open.take()),
            Some(block) => match line.strip_prefix("$ ") {
                Some(command) => block.steps.push(Step { line: number + 1, command, output: String::new() }),
                None => block.steps.last_mut().unwrap().output.extend([line, "\n"]),
            },
        }
    }
    assert!(open.is_none(), "a block is not closed");
    all
}

fn assert() -> Assert {
    let mut changing = Redactions::new();
    for (name, pattern) in [
        ("[RUN]", r"\d{8}T\d{9}Z-[0-9a-f]+-[0-9a-f]+"),
        ("[TIME]", r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?"),
        ("[DATE]", r"\d{4}-\d\d-\d\d"),
        ("[FINGERPRINT]", r"SHA256:[A-Za-z0-9+/]{43}"),
        ("[HASH]", r"\b[0-9a-f]{64}\b|\b[0-9a-f]{8}\b"),
        ("[PORT]", r"(?:localhost|127\.0\.0\.1):(?<redacted>\d+)"),
        ("[TOOK]", r"\b\d+\.\d s\b"),
        ("[FREE]", r"\b\d+ [MGT]iB"),
    ] {
        changing.insert(name, regex::Regex::new(pattern).unwrap()).unwrap();
    }
    Assert::new().redact_with(changing)
}

/// What a block says it needs.
fn prepare(lab: &Lab, word: &str) {
    match word.split_once('=') {
        Some(("new", what)) => {
            let password = fs::read_to_string(lab.root().join("keys/password")).unwrap();
            let url = format!("{}demo/new/{what}", lab.demo.server.url());
            let asked =
                reqwest::blocking::Client::new().post(url).basic_auth("admin@example.edu", Some(password.trim()));
            assert!(asked.send().unwrap().status().is_success());
        }
        Some(("refused", times)) => {
            lab.demo.server.plan("GET", "export", ServerFault::Status(401), times.parse().unwrap());
        }
        _ => panic!("nobody knows what `{word}` is"),
    }
}

#[test]
fn every_command_does_what_the_readme_shows() {
    let folder = tempfile::tempdir().unwrap();
    let demo = open(&folder.path().join("mtdata-demo"), Options { participants: 60, days: 120, seed: 1 }).unwrap();
    let office = Office::of(Lab::around(folder, demo), Manner::Good);
    let lab = &office.lab;
    lab.build();
    fs::create_dir(lab.root().with_file_name("old")).unwrap();
    fs::write(lab.root().with_file_name("old").join("server.config"), crate::imported::SAMPLE).unwrap();
    let binary = assert_cmd::cargo::cargo_bin!("mtdata").parent().unwrap().to_owned();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let assert = assert();
    let mut shown = String::new();
    let text = fs::read_to_string(README).unwrap();
    for block in blocks(&text) {
        for word in &block.before {
            prepare(lab, word);
        }
        for step in &block.steps {
            let said = run(lab.root(), step.command, &path, &office.post.authority);
            let place = format!("README.md:{}: {}", step.line, step.command);
            if let Err(difference) = assert.try_eq(Some(&place), said.into(), step.output.as_str().into()) {
                panic!("{place}\n{difference}");
            }
            shown.push_str(step.command);
            shown.push('\n');
        }
    }
    for command in Arguments::command().get_subcommands() {
        let words = format!("mtdata {}", command.get_name());
        let is_shown =
            shown.split(&words).skip(1).any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'));
        assert!(is_shown, "README.md shows no run of `{words}`");
    }
}

fn run(folder: &Path, command: &str, path: &str, authority: &Path) -> String {
    // One stream, as at a terminal.
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 2>&1\n{command}")]).current_dir(folder);
    shell.env("PATH", path).env("NO_COLOR", "1").env("SSL_CERT_FILE", authority).env("TZ", "America/New_York");
    let output = shell.output().unwrap();
    let mut said = String::from_utf8(output.stdout).unwrap();
    if let Some(code) = output.status.code().filter(|code| *code != 0) {
        said = format!("{said}exit code {code}\n");
    }
    said
}

//! What a rule of checks.csv means, and what to do about its findings.

use std::fmt::Write;

use crate::cli::arguments::{ExplainCheckArguments, ProjectArguments};
use crate::cli::{Exit, Fault};
use crate::config::Project;
use crate::config::section::nearest;
use crate::output;
use crate::study::checks::catalogue::{CheckRule, FlagWord, MARKS, RULES, mark, rule};
use crate::study::scale::Studies;

pub fn run(project: &ProjectArguments, arguments: &ExplainCheckArguments) -> Result<Exit, Fault> {
    let Some(name) = &arguments.rule else {
        let mut text = String::new();
        for rule in RULES {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{:4} {:16} {:8} {}", rule.name, rule.word, rule.severity.word(), rule.finds);
        }
        for mark in MARKS {
            let _ = writeln!(text, "{:21} {:8} {}", mark.name, mark.severity.word(), mark.finds);
        }
        output::text(&text);
        return Ok(Exit::Done);
    };
    let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0)).clamp(40, 120);
    if let Some(mark) = mark(name) {
        output::text(&explain_mark(mark, width));
        return Ok(Exit::Done);
    }
    let Some(rule) = rule(name) else {
        let names = RULES.iter().flat_map(|rule| [rule.name, rule.word]).chain(MARKS.iter().map(|mark| mark.name));
        let near = nearest(name, names);
        let hint = near
            .map_or_else(|| "`mtdata explain-check` lists them".to_owned(), |near| format!("did you mean `{near}`?"));
        return Err(Fault::usage(format!("there is no rule `{name}`\n  help: {hint}")));
    };
    let here = std::env::current_dir().map_err(|error| Fault::usage(error.to_string()))?;
    let start = project.folder.as_ref().map_or_else(|| here.clone(), |folder| here.join(folder));
    // A rule means the same without a project; with one, its studies may set other numbers.
    let studies = Project::load(project.file.as_deref(), &start).map(|project| project.studies).unwrap_or_default();
    output::text(&explain(rule, &studies, width));
    Ok(Exit::Done)
}

fn explain(rule: &CheckRule, studies: &Studies, width: usize) -> String {
    let mut text = format!("{} {} ({})\n", rule.name, rule.word, rule.severity.word());
    for (head, body) in [("finds", rule.finds), ("means", rule.means), ("do", rule.advice)] {
        text.push_str(&wrapped(head, body, width));
    }
    for (name, usual, meaning) in rule.thresholds {
        text.push_str(&wrapped("number", &format!("{name} = {usual}: {meaning}"), width));
        for study in studies
            .values()
            .filter(|study| study.rules.get(rule.name).is_some_and(|r| r.thresholds.contains_key(*name)))
        {
            text.push_str(&wrapped("", &format!("in {}: {}", study.name, study.threshold(rule.name, name)), width));
        }
    }
    let place = if rule.in_flags { "checks.csv, and the row's _flags in combined/" } else { "checks.csv" };
    text.push_str(&wrapped("where", place, width));
    let settings = format!("[rule.{}] in the study's file of config/scales: off, severity", rule.name);
    text.push_str(&wrapped("set", &settings, width));
    text
}

fn explain_mark(mark: &FlagWord, width: usize) -> String {
    let mut text = format!("{} ({})\n", mark.name, mark.severity.word());
    for (head, body) in [("finds", mark.finds), ("means", mark.means), ("do", mark.advice)] {
        text.push_str(&wrapped(head, body, width));
    }
    text
}

/// A word in the margin, and text beside it.
fn wrapped(head: &str, body: &str, width: usize) -> String {
    let mut text = String::new();
    let mut line = format!("  {head:8}");
    let margin = line.len();
    for word in body.split_whitespace() {
        if line.len() > margin && line.chars().count() + word.chars().count() > width {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(margin);
        }
        line.push_str(word);
        line.push(' ');
    }
    text.push_str(line.trim_end());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_says_what_it_finds_means_and_asks_for() {
        assert_eq!(RULES.len(), 18 + 9 + 1);
        for (index, rule) in RULES.iter().enumerate() {
            let text = explain(rule, &Studies::new(), 80);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(!RULES[..index].iter().any(|other| other.name == rule.name || other.word == rule.word));
        }
        for mark in MARKS {
            let text = explain_mark(mark, 80);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(rule(mark.name).is_none(), "{text}");
        }
        let text = explain_mark(mark("no_raw_file").unwrap(), 100);
        assert!(text.starts_with("no_raw_file (notice)\n  finds   a day whose table"), "{text}");
        let text = explain(rule("session-order").unwrap(), &Studies::new(), 100);
        assert!(text.starts_with("R10 session-order (warning)\n  finds   a participant whose sessions"), "{text}");
    }
}

//! Targets as people write them, and which instances they select.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use glob::Pattern;

use crate::config::pipeline::{Action, Pipeline};
use crate::plan::expand::{Key, keys_of};
use crate::study::name::{ScaleName, ServerName};
use crate::task::Facts;

/// `TASK[/SERVER[/SCALE[/DATE]]]`, each segment a name or a pattern with `*` and `?`.
#[derive(Debug, Clone)]
pub struct Target {
    pub text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone)]
struct Segment {
    text: String,
    /// `None` for a plain name, which is compared whole.
    pattern: Option<Pattern>,
}

impl Segment {
    fn new(text: &str) -> Option<Self> {
        let pattern = if text.contains(['*', '?']) {
            // Brackets are no patterns in targets, and two stars are no more than one.
            let mut plain = text.replace('[', "[[]");
            while plain.contains("**") {
                plain = plain.replace("**", "*");
            }
            Some(Pattern::new(&plain).ok()?)
        } else {
            None
        };
        Some(Self { text: text.to_owned(), pattern })
    }

    fn matches(&self, name: &str) -> bool {
        self.pattern.as_ref().map_or_else(|| self.text == name, |pattern| pattern.matches(name))
    }
}

impl Target {
    /// `None` when the text has no segment or too many.
    pub fn parse(text: &str) -> Option<Self> {
        let segments: Vec<Segment> = text.trim_end_matches('/').split('/').map(Segment::new).collect::<Option<_>>()?;
        let sound = (1..=4).contains(&segments.len()) && segments.iter().all(|s| !s.text.is_empty());
        sound.then(|| Self { text: text.to_owned(), segments })
    }

    fn matches_task(&self, task: &str) -> bool {
        self.segments[0].matches(task)
    }

    /// Whether the instances of a key are selected, all of them or those of some dates.
    pub fn matches(&self, pipeline: &Pipeline, key: &Key) -> bool {
        self.matches_task(&pipeline.tasks[key.task].name) && self.matches_below(key)
    }

    fn matches_below(&self, key: &Key) -> bool {
        let names =
            key.server.as_ref().map(ServerName::as_str).into_iter().chain(key.scale.as_ref().map(ScaleName::as_str));
        let mut wanted = self.segments[1..].iter();
        for name in names {
            match wanted.next() {
                None => return true,
                Some(segment) if segment.matches(name) => {}
                Some(_) => return false,
            }
        }
        // What is left can only be a date.
        wanted.count() <= 1
    }

    /// Whether an instance's full name lies at or below this target.
    pub fn covers(&self, name: &str) -> bool {
        let mut parts = name.split('/');
        self.segments.iter().all(|segment| parts.next().is_some_and(|part| segment.matches(part)))
    }

    /// Says what is wrong with a target that can select nothing, whatever the servers answer.
    ///
    /// # Errors
    /// The sentence.
    pub fn check(&self, pipeline: &Pipeline, servers: &[&str]) -> Result<(), String> {
        let tasks: Vec<_> = pipeline.tasks.iter().filter(|task| self.matches_task(&task.name)).collect();
        if tasks.is_empty() {
            let near = nearest(&self.segments[0].text, pipeline.tasks.iter().map(|task| task.name.as_str()));
            return Err(self.unknown(&near.iter().map(|task| self.with_segment(0, task)).collect::<Vec<_>>()));
        }
        let Some(server) = self.segments.get(1) else { return Ok(()) };
        let fits = |task: &&&crate::config::pipeline::TaskSpec| {
            let each = task.each;
            self.segments.len() <= 1 + usize::from(each.server) + usize::from(each.scale) + usize::from(each.date)
        };
        if !tasks.iter().any(|task| fits(&task)) {
            return Err(format!("unknown target `{}`: `{}` has no instances that deep", self.text, tasks[0].name));
        }
        if !servers.iter().any(|name| server.matches(name)) {
            let near = nearest(&server.text, servers.iter().copied());
            return Err(self.unknown(&near.iter().map(|name| self.with_segment(1, name)).collect::<Vec<_>>()));
        }
        Ok(())
    }

    fn with_segment(&self, at: usize, name: &str) -> String {
        let parts =
            self.segments.iter().enumerate().map(|(index, segment)| if index == at { name } else { &segment.text });
        parts.collect::<Vec<_>>().join("/")
    }

    /// The message of a target that selects nothing.
    pub fn unknown(&self, near: &[String]) -> String {
        let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
        if near.is_empty() {
            format!("unknown target `{}`; `mtdata list` shows all there are", self.text)
        } else {
            format!("unknown target `{}`; did you mean {}?", self.text, near.join(" or "))
        }
    }

    /// Ready servers whose exports stand before what this target selects, known or not yet.
    fn asks(&self, pipeline: &Pipeline, facts: &Facts) -> BTreeSet<ServerName> {
        let mut asked = BTreeSet::new();
        for (index, task) in pipeline.tasks.iter().enumerate().filter(|(_, task)| self.matches_task(&task.name)) {
            let exports: Vec<usize> = ancestors(pipeline, index)
                .into_iter()
                .filter(|&t| pipeline.tasks[t].action == Action::Export)
                .collect();
            for (server, _) in facts.servers.iter().filter(|(_, seen)| seen.ready) {
                let matched = !task.each.server || self.segments.get(1).is_none_or(|s| s.matches(server.as_str()));
                let within = |t: usize| pipeline.tasks[t].servers.as_ref().is_none_or(|only| only.contains(server));
                if matched && within(index) && exports.iter().any(|&export| within(export)) {
                    asked.insert(server.clone());
                }
            }
        }
        asked
    }

    /// True when the target names a single day or some.
    pub fn is_dated(&self) -> bool {
        self.segments.len() == 4
    }

    /// True when the target names a scale, a day or some.
    pub fn is_narrow(&self) -> bool {
        self.segments.len() > 2
    }

    fn date(&self, key: &Key) -> Option<&Segment> {
        let above = 1 + usize::from(key.server.is_some()) + usize::from(key.scale.is_some());
        self.segments.get(above)
    }

    /// True when the server is written out, not merely matched.
    pub fn names_server(&self, server: &ServerName) -> bool {
        self.segments.get(1).is_some_and(|segment| segment.pattern.is_none() && segment.text == server.as_str())
    }
}

/// Which dates of a key are wanted.
#[derive(Debug, Clone, Default)]
struct Dates {
    all: bool,
    patterns: Vec<Segment>,
}

/// The wanted instances, by key: those the targets name, and all that these need.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    wanted: BTreeMap<Key, Dates>,
    /// Keys that a target names itself: asked even when not due.
    named: BTreeSet<Key>,
    /// For each target, whether it selected anything.
    matched: Vec<bool>,
}

impl Selection {
    /// Selects from what is known now. `targets` written by a person; `explicit` is false for Pipeline.toml's `default`.
    pub fn new(pipeline: &Pipeline, facts: &Facts, targets: &[Target], explicit: bool) -> Self {
        let mut selection = Self { matched: vec![false; targets.len()], ..Self::default() };
        let servers: BTreeSet<&ServerName> = facts
            .servers
            .iter()
            .filter(|(name, seen)| seen.ready || targets.iter().any(|target| target.names_server(name)))
            .map(|(name, _)| name)
            .collect();
        for task in 0..pipeline.tasks.len() {
            for key in keys_of(pipeline, task, facts, &servers) {
                for (index, target) in targets.iter().enumerate() {
                    if target.matches(pipeline, &key) && visible(facts, target, &key) {
                        let date = target.date(&key);
                        if date.is_some() && !pipeline.tasks[task].each.date {
                            continue;
                        }
                        selection.matched[index] = true;
                        if explicit {
                            selection.named.insert(key.clone());
                        }
                        selection.want(key.clone(), date);
                    }
                }
            }
        }
        selection.close(pipeline, facts, &servers);
        selection
    }

    fn want(&mut self, key: Key, date: Option<&Segment>) {
        let dates = self.wanted.entry(key).or_default();
        match date {
            None => dates.all = true,
            Some(segment) => dates.patterns.push(segment.clone()),
        }
    }

    /// Adds what the wanted keys need and come after, until nothing is added.
    fn close(&mut self, pipeline: &Pipeline, facts: &Facts, servers: &BTreeSet<&ServerName>) {
        let mut all: Vec<Option<Vec<Key>>> = vec![None; pipeline.tasks.len()];
        let mut open: Vec<Key> = self.wanted.keys().cloned().collect();
        while let Some(key) = open.pop() {
            let task = &pipeline.tasks[key.task];
            for &other in task.needs.iter().chain(&task.after) {
                let keys = all[other].get_or_insert_with(|| keys_of(pipeline, other, facts, servers));
                for found in keys.iter().filter(|found| key.joins(found)) {
                    let dates = self.wanted.entry(found.clone()).or_default();
                    if !dates.all {
                        dates.all = true;
                        open.push(found.clone());
                    }
                }
            }
        }
    }

    pub fn contains(&self, key: &Key) -> bool {
        self.wanted.contains_key(key)
    }

    pub fn contains_date(&self, key: &Key, date: NaiveDate) -> bool {
        self.wanted.get(key).is_some_and(|dates| {
            dates.all || dates.patterns.iter().any(|pattern| pattern.matches(&date.format("%Y-%m-%d").to_string()))
        })
    }

    pub fn is_named(&self, key: &Key) -> bool {
        self.named.contains(key)
    }

    /// Indexes of targets that selected nothing.
    pub fn unmatched(&self) -> impl Iterator<Item = usize> + '_ {
        self.matched.iter().enumerate().filter(|(_, matched)| !**matched).map(|(index, _)| index)
    }
}

/// Servers that have to be asked for their listing before these targets can be known as a whole.
pub fn servers_to_ask(pipeline: &Pipeline, facts: &Facts, targets: &[Target]) -> BTreeSet<ServerName> {
    targets.iter().flat_map(|target| target.asks(pipeline, facts)).collect()
}

/// A task and all that stands before it.
fn ancestors(pipeline: &Pipeline, task: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([task]);
    let mut open = vec![task];
    while let Some(task) = open.pop() {
        let spec = &pipeline.tasks[task];
        open.extend(spec.needs.iter().chain(&spec.after).copied().filter(|&other| found.insert(other)));
    }
    found
}

/// A server that is not ready belongs to no target unless its name is written out.
fn visible(facts: &Facts, target: &Target, key: &Key) -> bool {
    let Some(server) = &key.server else { return true };
    facts.servers.get(server).is_some_and(|seen| seen.ready) || target.names_server(server)
}

/// The nearest of `known` to a text that is none of them; at most three.
pub fn nearest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    let lower = text.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        .filter(|(score, _)| *score > 0.75)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_one_to_four_segments() {
        assert!(Target::parse("").is_none());
        assert!(Target::parse("a//b").is_none());
        assert!(Target::parse("a/b/c/d/e").is_none());
        assert!(Target::parse("decode/*/OA?/2026-11-*").is_some());
    }

    #[test]
    fn brackets_are_plain_characters() {
        let segment = Segment::new("a[b]*").unwrap();
        assert!(segment.matches("a[b]c") && !segment.matches("ab"));
    }

    #[test]
    fn near_names_are_suggested() {
        assert_eq!(nearest("reprots/mindtrail", ["reports/mindtrails", "decode/x"]), ["reports/mindtrails"]);
    }
}

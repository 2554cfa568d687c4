//! The numbers of a report, computed from the pool alone: the same tables give the same numbers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use chrono::{DateTime, FixedOffset};
use rayon::prelude::*;

use crate::report::attrition::{Arm, arms};
use crate::report::checked;
use crate::report::findings::{Findings, SHOWN, ShownFinding};
use crate::report::journey::{Following, Journeys, Presence};
use crate::report::participation::Participation;
use crate::report::reading::{self, Everyone, TablesRead};
use crate::report::reconciliation::{self, Reconciliation};
use crate::report::sources::{Sources, Unreadable, scale_name, unreadable};
use crate::report::tally::Tally;
use crate::report::trajectory::{self, ScoredTable};
use crate::study::disclosure_control::{DisclosureControl, Pseudonyms};
use crate::study::roster::Roster;
use crate::study::schedule::Slots;

/// All numbers of one server.
#[derive(Debug)]
pub struct Model {
    pub server: String,
    pub study: String,
    pub study_title: String,
    pub study_digest: String,
    /// Name and display name, in the schedule's order.
    pub sessions: Vec<(String, String)>,
    pub slots: Slots,
    /// By scale.
    pub tables: Vec<Tally>,
    /// Questionnaires of the schedule that have a table, sorted.
    pub scheduled: Vec<String>,
    /// Questionnaires of the schedule that have none, and how many rows of TaskLog speak of them.
    pub absent: BTreeMap<String, u64>,
    pub journeys: Journeys,
    pub arms: Vec<Arm>,
    pub scored: Vec<ScoredTable>,
    pub reconciliation: Reconciliation,
    /// By scale of the schedule: places that TaskLog has.
    pub log_places: BTreeMap<String, LogPlaces>,
    /// What the rules found, by table, last of several tables together.
    pub findings: Vec<Findings>,
    /// Of each rule, all findings.
    pub counts: BTreeMap<String, u64>,
    pub disclosure: DisclosureControl,
    /// By pseudonym, if there are any: the id.
    pub pseudonyms: BTreeMap<String, String>,
    /// The newest date of any entry: the report's "now".
    pub now: Option<DateTime<FixedOffset>>,
}

/// How TaskLog and a table agree, place by place (participant, session, tag).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogPlaces {
    pub logged: u64,
    /// TaskLog has it, the table has not.
    pub only_log: u64,
    /// The table has it, TaskLog has not.
    pub only_table: u64,
}

/// Computes everything. Tables are read in parallel, each once, row by row.
pub fn compute(sources: &Sources<'_>) -> Result<Model, Unreadable> {
    let Sources { server, study, folder, .. } = *sources;
    let slots = Slots::new(study);
    let everyone = Everyone::read(sources)?;
    let roster = &everyone.roster;
    let TablesRead { tables, participation, seen, mut findings } = reading::read(sources, &slots, &everyone)?;
    let now = tables.iter().filter_map(|table| table.last).max();
    let names: HashSet<&str> = tables.iter().map(|table| table.scale.as_str()).collect();
    let present: Vec<bool> =
        slots.all.iter().map(|slot| slot.scale.as_deref().is_some_and(|scale| names.contains(scale))).collect();
    let mut scheduled: Vec<String> = slots.all.iter().filter_map(|slot| slot.scale.clone()).collect();
    scheduled.sort_unstable();
    scheduled.dedup();
    let (scheduled, absent): (Vec<String>, Vec<String>) =
        scheduled.into_iter().partition(|scale| names.contains(scale.as_str()));
    let mut journeys = Following {
        slots: &slots,
        roster,
        participation: &participation,
        present: &present,
        scales: &scheduled,
        now: now.map(|now| now.timestamp_millis()).unwrap_or_default(),
    }
    .all();
    let log_places = log_places(&slots, &participation, roster);
    let absent = absent.into_iter().map(|scale| (log_places.get(&scale).map_or(0, |places| places.logged), scale));
    let reconciliation = reconciliation::read(folder, &tables).map_err(unreadable(folder.path()))?;
    let test: BTreeSet<&str> =
        journeys.people.iter().filter(|person| person.test_account).map(|person| person.id.as_str()).collect();
    let read = |path: &PathBuf| trajectory::read(path, &scale_name(path), &slots, &test).map_err(unreadable(path));
    let mut scored = sources.scored.par_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    scored.sort_by(|a, b| a.scale.cmp(&b.scale));
    findings.push(checked::conclude(sources, &everyone, &seen, &reconciliation, &tables, &scored)?);
    let pseudonyms = everyone.pseudonyms.as_ref().map(|names| rename(&mut journeys, names)).unwrap_or_default();
    let mut model = Model {
        server: server.to_owned(),
        study: study.name.clone(),
        study_title: study.title.clone(),
        study_digest: study.digest.clone(),
        sessions: study.sessions.iter().map(|session| (session.name.clone(), session.display.clone())).collect(),
        arms: arms(&slots, &journeys.people),
        findings,
        absent: absent.map(|(logged, scale)| (scale, logged)).collect(),
        counts: BTreeMap::new(),
        slots,
        tables,
        scheduled,
        journeys,
        scored,
        reconciliation,
        log_places,
        disclosure: sources.disclosure,
        pseudonyms,
        now,
    };
    for (rule, count) in model.findings.iter().flat_map(|findings| &findings.counts) {
        *model.counts.entry(rule.clone()).or_default() += count;
    }
    Ok(model)
}

/// Puts everyone under a pseudonym, in an order that does not tell the old one; returns who is who.
fn rename(journeys: &mut Journeys, names: &Pseudonyms) -> BTreeMap<String, String> {
    let key = names.key_for(journeys.people.iter().map(|person| person.id.as_str()));
    for person in &mut journeys.people {
        person.id = names.name(&person.id);
    }
    journeys.people.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    key
}

fn log_places(slots: &Slots, participation: &Participation, roster: &Roster) -> BTreeMap<String, LogPlaces> {
    let mut all: BTreeMap<String, LogPlaces> = BTreeMap::new();
    for (slot, defined) in slots.all.iter().enumerate() {
        let Some(scale) = &defined.scale else { continue };
        let places = all.entry(scale.clone()).or_default();
        for person in participation.numbers(roster) {
            let (given, logged) = (participation.given(slot, person) > 0, participation.logged(slot, person) > 0);
            places.logged += u64::from(logged);
            places.only_log += u64::from(logged && !given);
            places.only_table += u64::from(given && !logged);
        }
    }
    all
}

impl Model {
    pub fn table(&self, scale: &str) -> Option<&Tally> {
        self.tables.binary_search_by(|table| table.scale.as_str().cmp(scale)).ok().map(|place| &self.tables[place])
    }

    /// Of the schedule's slots with this scale, optionally of one session.
    pub fn presence(&self, scale: &str, session: Option<usize>) -> Presence {
        let slots = self.slots.all.iter().zip(&self.journeys.by_slot);
        slots
            .filter(|(slot, _)| slot.scale.as_deref() == Some(scale) && session.is_none_or(|s| s == slot.session))
            .fold(Presence::default(), |sum, (_, one)| Presence {
                due: sum.due + one.due,
                done: sum.done + one.done,
                lost: sum.lost + one.lost,
            })
    }

    /// The first findings of a rule, in the order of checks.csv.
    pub fn shown<'m>(&'m self, rule: &'m str) -> impl Iterator<Item = &'m ShownFinding> {
        let limit = usize::try_from(SHOWN).unwrap_or(usize::MAX);
        self.findings
            .iter()
            .flat_map(|findings| &findings.shown)
            .filter(move |finding| finding.rule == rule)
            .take(limit)
    }

    /// Findings other than declared codes for "no answer".
    pub fn total(&self) -> u64 {
        self.counts.iter().filter(|(rule, _)| *rule != "R12").map(|(_, count)| count).sum()
    }
}

/// `part` of `whole` in percent with one digit; empty when there is no whole.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { String::new() } else { format!("{:.1}", part as f64 * 100.0 / whole as f64) }
}

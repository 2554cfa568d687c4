//! The occasions that a wide table has columns for: those of the schedule, so that a script finds the same columns on the
//! first day and the last, and whatever else was answered.

use std::collections::HashMap;

use crate::study::name::ScaleName;
use crate::study::scale::{ScheduledTask, Study};
use crate::table::selection::{Policy, SelectedRows, encode, parts};

/// Occasions in the order of their columns.
pub struct Occasions {
    pub all: Vec<Occasion>,
    ranks: HashMap<Vec<u8>, u32>,
}

/// A session, with the tag where the key has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occasion {
    /// `firstSession`, `firstSession_pre`; `none` where the entry names no session.
    pub name: String,
    /// How many entries of it one participant has at most.
    pub most: usize,
}

impl Occasions {
    pub fn new(study: Option<&Study>, scale: &ScaleName, policy: &Policy, selected: &SelectedRows) -> Self {
        let mut most = selected.occasion_keys.clone();
        for (occasion, count) in scheduled(study, scale, policy, selected) {
            let known = most.entry(occasion).or_default();
            *known = count.max(*known);
        }
        let mut sorted: Vec<(Vec<u8>, usize)> = most.into_iter().collect();
        sorted.sort_by_cached_key(|(occasion, _)| order(study, scale, occasion));
        let ranks = sorted.iter().zip(0..).map(|((occasion, _), rank)| (occasion.clone(), rank)).collect();
        let all = sorted.into_iter().map(|(occasion, most)| Occasion { name: name(&occasion), most }).collect();
        Self { all, ranks }
    }

    /// Where an occasion's columns stand.
    pub fn rank(&self, occasion: &[u8]) -> Option<u32> {
        self.ranks.get(occasion).copied()
    }
}

/// What the schedule has of this scale, and how often.
fn scheduled(
    study: Option<&Study>,
    scale: &ScaleName,
    policy: &Policy,
    selected: &SelectedRows,
) -> HashMap<Vec<u8>, usize> {
    let mut all = HashMap::new();
    for session in study.into_iter().flat_map(|study| &study.sessions) {
        for task in session.tasks.iter().filter(|task| task.scale.as_ref() == Some(scale)) {
            let Some(occasion) = occasion_key(policy, &session.name, task) else { continue };
            // A place in the schedule without tag takes entries of every tag: those have columns already.
            let open = task.tag.is_none() && policy.key.len() > 1;
            let answered = |known: &Vec<u8>| parts(known).first() == Some(&session.name.as_bytes());
            if !open || !selected.occasion_keys.keys().any(answered) {
                let count: &mut usize = all.entry(occasion).or_default();
                *count = policy.times.min(*count + 1);
            }
        }
    }
    all
}

fn occasion_key(policy: &Policy, session: &str, task: &ScheduledTask) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    for column in &policy.key {
        match column.as_str() {
            "session" | "sessionName" => encode(&mut text, session.as_bytes()),
            "tag" => encode(&mut text, task.tag.as_deref().unwrap_or_default().as_bytes()),
            _ => return None,
        }
    }
    Some(text)
}

/// By the schedule; sessions it does not have follow by name, entries without session come last.
fn order(study: Option<&Study>, scale: &ScaleName, occasion: &[u8]) -> (usize, bool, Vec<u8>, usize, Vec<u8>) {
    let cells = parts(occasion);
    let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
    let place = study.and_then(|study| study.sessions.iter().position(|session| session.name.as_bytes() == cell(0)));
    let tasks = study.zip(place).into_iter().flat_map(|(study, place)| &study.sessions[place].tasks);
    let mut tags = tasks.filter(|task| task.scale.as_ref() == Some(scale)).map(|task| task.tag.as_deref());
    let tag = tags.position(|tag| tag.is_some_and(|tag| tag.as_bytes() == cell(1)));
    let rest = cells.get(1..).unwrap_or_default().concat();
    (place.unwrap_or(usize::MAX), cell(0).is_empty(), cell(0).to_vec(), tag.unwrap_or(usize::MAX), rest)
}

fn name(occasion: &[u8]) -> String {
    let cells: Vec<_> = parts(occasion).into_iter().map(String::from_utf8_lossy).collect();
    let session = cells.first().filter(|session| !session.is_empty()).map_or("none", |session| session);
    let rest = cells.iter().skip(1).filter(|cell| !cell.is_empty());
    rest.fold(session.to_owned(), |name, cell| name + "_" + cell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::scale::{Duplicates, Scale, Session};

    #[test]
    fn the_schedule_orders_the_columns_and_the_rest_follows_by_name() {
        let scale = ScaleName::new("Affect").unwrap();
        let task = |tag: Option<&str>| ScheduledTask {
            name: "Affect".to_owned(),
            scale: Some(scale.clone()),
            tag: tag.map(str::to_owned),
        };
        let session = |name: &str, tags: &[Option<&str>]| Session {
            name: name.to_owned(),
            tasks: tags.iter().map(|tag| task(*tag)).collect(),
            ..Session::default()
        };
        let sessions = vec![
            session("second", &[Some("pre"), Some("post")]),
            session("first", &[None]),
            session("third", &[None]),
            session("fourth", &[]),
        ];
        let study = Study { sessions, ..Study::default() };
        let defined = Scale { key: vec!["session".into(), "tag".into()], times: 2, ..Scale::default() };
        let policy = Policy::new(Some(&defined), Duplicates::First);
        let mut selected = SelectedRows::default();
        for (session, tag, most) in
            [("zeta", "", 1), ("", "", 1), ("alpha", "x", 2), ("second", "other", 1), ("third", "pre", 2)]
        {
            let mut text = Vec::new();
            encode(&mut text, session.as_bytes());
            encode(&mut text, tag.as_bytes());
            selected.occasion_keys.insert(text, most);
        }
        let occasions = Occasions::new(Some(&study), &scale, &policy, &selected);
        let names: Vec<(&str, usize)> = occasions.all.iter().map(|one| (one.name.as_str(), one.most)).collect();
        assert_eq!(
            names,
            [
                ("second_pre", 1),
                ("second_post", 1),
                ("second_other", 1),
                ("first", 1),
                ("third_pre", 2),
                ("alpha_x", 2),
                ("zeta", 1),
                ("none", 1)
            ]
        );
    }
}

//! The schedule as one line of places: which questionnaire is due where, in the order a participant meets them.

use crate::study::scale::Study;

/// One task of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Index into the study's sessions.
    pub session: usize,
    pub task: String,
    /// The questionnaire behind it, if any.
    pub scale: Option<String>,
    pub tag: Option<String>,
}

/// All slots, in the schedule's order.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    pub all: Vec<Slot>,
    pub sessions: Vec<String>,
    /// Least days between a session and the one before.
    pub gaps: Vec<f64>,
}

impl Slots {
    pub fn new(study: &Study) -> Self {
        let mut all = Vec::new();
        for (session, defined) in study.sessions.iter().enumerate() {
            for task in &defined.tasks {
                let slot = Slot {
                    session,
                    task: task.name.clone(),
                    scale: task.scale.as_ref().map(ToString::to_string),
                    tag: task.tag.clone(),
                };
                // A task that comes twice without a tag has one place, and several entries.
                if !all.contains(&slot) {
                    all.push(slot);
                }
            }
        }
        Self {
            all,
            sessions: study.sessions.iter().map(|session| session.name.clone()).collect(),
            gaps: study.sessions.iter().map(|session| session.gap_days.unwrap_or_default()).collect(),
        }
    }

    pub fn session(&self, name: &str) -> Option<usize> {
        self.sessions.iter().position(|session| session == name)
    }

    /// Where an entry of a scale belongs.
    pub fn of_entry(&self, scale: &str, session: &str, tag: &str) -> Option<usize> {
        let session = self.session(session)?;
        self.all.iter().position(|slot| {
            slot.session == session && slot.scale.as_deref() == Some(scale) && tagged(slot.tag.as_deref(), tag)
        })
    }

    /// Where a row of TaskLog belongs.
    pub fn of_log(&self, session: usize, task: &str, tag: &str) -> Option<usize> {
        self.all
            .iter()
            .position(|slot| slot.session == session && slot.task == task && tagged(slot.tag.as_deref(), tag))
    }

    /// True when the schedule has this scale anywhere.
    pub fn has(&self, scale: &str) -> bool {
        self.all.iter().any(|slot| slot.scale.as_deref() == Some(scale))
    }
}

/// A slot without tag takes every tag.
fn tagged(slot: Option<&str>, tag: &str) -> bool {
    slot.is_none_or(|slot| slot == tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::name::ScaleName;
    use crate::study::scale::{ScheduledTask, Session};

    #[test]
    fn a_task_that_comes_twice_without_a_tag_has_one_place() {
        let task = |tag: Option<&str>| ScheduledTask {
            name: "SUDS".to_owned(),
            scale: Some(ScaleName::new("SUDS").unwrap()),
            tag: tag.map(str::to_owned),
        };
        let session = |name: &str, tasks| Session { name: name.to_owned(), tasks, ..Session::default() };
        let sessions = vec![session("one", vec![task(None), task(None)]), session("two", vec![task(Some("post"))])];
        let slots = Slots::new(&Study { sessions, ..Study::default() });
        assert_eq!(slots.all.len(), 2);
        assert_eq!((slots.of_entry("SUDS", "one", "pre"), slots.of_log(0, "SUDS", "post")), (Some(0), Some(0)));
        assert_eq!((slots.of_entry("SUDS", "two", "pre"), slots.of_entry("SUDS", "two", "post")), (None, Some(1)));
    }
}

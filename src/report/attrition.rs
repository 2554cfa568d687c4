//! Where people drop out: session by session and condition by condition, with numbers that close.

use std::collections::BTreeSet;

use crate::report::journey::{Journey, ParticipantStanding};
use crate::study::disclosure_control::DisclosureControl;
use crate::study::schedule::Slots;

/// One session in one condition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stage {
    /// Index into the schedule.
    pub session: usize,
    /// Did anything in it or in a later one.
    pub reached: u64,
    /// Completed it, or went on to a later one.
    pub completed: u64,
    /// Reached it as their last, and were not seen for too long.
    pub dropped: u64,
    /// Reached it as their last, and may still go on.
    pub ongoing: u64,
    /// Completed it, and it is the last there is.
    pub finished: u64,
    /// From enrolment to its first act.
    pub median_days: Option<f64>,
}

impl Stage {
    /// False when one of its numbers is too small to be told; the others would tell it.
    pub fn is_told(&self, disclosure: DisclosureControl) -> bool {
        let counts = [self.reached, self.completed, self.dropped, self.ongoing, self.finished];
        !counts.into_iter().any(|count| disclosure.hides(count))
    }
}

/// One condition, or everyone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arm {
    /// Empty: everyone.
    pub condition: Option<String>,
    pub enrolled: u64,
    pub not_started: u64,
    pub stages: Vec<Stage>,
}

impl Arm {}

/// Everyone first, then each condition by name; only those who count are in them.
pub fn arms(slots: &Slots, people: &[Journey]) -> Vec<Arm> {
    let people: Vec<&Journey> = people.iter().filter(|person| person.counts).collect();
    let conditions: BTreeSet<&str> = people.iter().map(|person| person.condition.as_str()).collect();
    let mut arms = vec![arm(slots, None, people.iter().copied())];
    // A single condition would say everything twice.
    for condition in conditions.iter().filter(|_| conditions.len() > 1) {
        let members = people.iter().copied().filter(|person| person.condition == **condition);
        arms.push(arm(slots, Some((*condition).to_owned()), members));
    }
    arms
}

fn arm<'j>(slots: &Slots, condition: Option<String>, members: impl Iterator<Item = &'j Journey>) -> Arm {
    let members: Vec<&Journey> = members.collect();
    let stage = |session: usize| {
        let mut stage = Stage { session, ..Stage::default() };
        let mut days = Vec::new();
        for person in &members {
            let Some(furthest) = person.session else { continue };
            stage.reached += u64::from(furthest >= session);
            stage.completed += u64::from(furthest > session || person.completed[session]);
            days.extend(person.days_to[session].filter(|days| *days >= 0.0));
            if furthest == session {
                match person.standing {
                    ParticipantStanding::Finished => stage.finished += 1,
                    ParticipantStanding::DroppedOut => stage.dropped += 1,
                    ParticipantStanding::Active | ParticipantStanding::NotStarted => stage.ongoing += 1,
                }
            }
        }
        stage.median_days = median(&mut days);
        stage
    };
    Arm {
        condition,
        enrolled: members.len() as u64,
        not_started: members.iter().filter(|person| person.session.is_none()).count() as u64,
        stages: (0..slots.sessions.len()).map(stage).collect(),
    }
}

/// The middle of the numbers, or between the two in the middle.
pub fn median(numbers: &mut [f64]) -> Option<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = numbers.get(middle)?;
    if numbers.len() % 2 == 1 { Some(*upper) } else { Some(f64::midpoint(numbers[middle - 1], *upper)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    impl Arm {
        fn closes(&self) -> bool {
            let first = self.stages.first().map_or(0, |stage| stage.reached);
            let onward = |place: usize| self.stages.get(place + 1).map_or(0, |next| next.reached);
            self.enrolled == self.not_started + first
                && self.stages.iter().enumerate().all(|(place, stage)| {
                    stage.reached == onward(place) + stage.dropped + stage.ongoing + stage.finished
                })
        }
    }

    use super::*;

    proptest! {
        #[test]
        fn the_flow_closes(people in prop::collection::vec((prop::option::of(0_usize..5), any::<[bool; 5]>(), 0_u8..4, any::<bool>(), 0_u8..3), 0..40)) {
            let slots = Slots { sessions: (0..5).map(|n| n.to_string()).collect(), ..Slots::default() };
            let people: Vec<Journey> = people.into_iter().map(|(session, completed, condition, counts, standing)| Journey {
                session,
                completed: completed.to_vec(),
                days_to: vec![None; 5],
                condition: condition.to_string(),
                counts,
                standing: [ParticipantStanding::Active, ParticipantStanding::DroppedOut, ParticipantStanding::Finished][usize::from(standing)],
                ..Journey::default()
            }).collect();
            let arms = arms(&slots, &people);
            prop_assert!(arms.iter().all(Arm::closes));
            let parts: u64 = arms[1..].iter().map(|arm| arm.enrolled).sum();
            prop_assert!(arms.len() == 1 || parts == arms[0].enrolled);
        }
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0, 10.0]), Some(2.5));
        assert_eq!(median(&mut []), None);
    }
}

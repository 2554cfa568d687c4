//! Each participant's way through the schedule: what was due, what is there, what is missing and why.

use crate::report::participation::Participation;
use crate::study::roster::Roster;
use crate::study::schedule::Slots;

/// Longer idle than this, beyond the least time to the next session, is taken as dropped out (rule S3).
pub const IDLE_DAYS: f64 = 21.0;

const DAY: f64 = 86_400_000.0;

/// Where someone stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParticipantStanding {
    /// Enrolled, and not one session begun.
    #[default]
    NotStarted,
    Active,
    /// Idle longer than the schedule and [`IDLE_DAYS`] explain.
    DroppedOut,
    Finished,
}

impl ParticipantStanding {
    pub fn word(self) -> &'static str {
        match self {
            Self::NotStarted => "not started",
            Self::Active => "active",
            Self::DroppedOut => "dropped out",
            Self::Finished => "finished",
        }
    }
}

/// One participant.
#[derive(Debug, Clone, Default)]
pub struct Journey {
    pub id: String,
    pub test_account: bool,
    /// False for ids that only answers have.
    pub enrolled_known: bool,
    /// Milliseconds since 1970.
    pub enrolled: Option<i64>,
    pub condition: String,
    pub server_session: String,
    /// Index of the furthest session that anything was done in.
    pub session: Option<usize>,
    /// The newest task in TaskLog.
    pub task: String,
    pub completed: Vec<bool>,
    /// By session: days from enrolment to its first act.
    pub days_to: Vec<Option<f64>>,
    pub standing: ParticipantStanding,
    pub due: u64,
    pub done: u64,
    /// Of the missing: TaskLog has them, the tables have not.
    pub lost: u64,
    /// What the schedule still holds for them.
    pub ahead: u64,
    pub extra: u64,
    pub repeated: u64,
    pub entries: u64,
    pub last: Option<i64>,
    pub idle_days: Option<f64>,
    /// By questionnaire of the schedule, in the order of their names: due and done.
    pub by_scale: Vec<Presence>,
    /// True when percentages rest on them: no test account, and the participants' table, if there is one, has them.
    pub counts: bool,
}

impl Journey {
    pub fn missing(&self) -> u64 {
        self.due - self.done
    }

    /// Of the missing: neither logged nor there.
    pub fn skipped(&self) -> u64 {
        self.missing() - self.lost
    }
}

/// How often a questionnaire was due, how often it is there, how often only TaskLog has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Presence {
    pub due: u64,
    pub done: u64,
    pub lost: u64,
}

impl Presence {
    pub fn missing(self) -> u64 {
        self.due - self.done
    }
}

/// All ways, and what they sum up to.
#[derive(Debug, Default)]
pub struct Journeys {
    /// Sorted by id, numbers by their value.
    pub people: Vec<Journey>,
    /// By slot, of those who count.
    pub by_slot: Vec<Presence>,
}

/// What the ways are followed with.
pub struct Following<'f> {
    pub slots: &'f Slots,
    pub roster: &'f Roster,
    pub participation: &'f Participation,
    /// By slot: true when its questionnaire has a table.
    pub present: &'f [bool],
    /// Questionnaires of the schedule that have a table, sorted.
    pub scales: &'f [String],
    /// Milliseconds since 1970.
    pub now: i64,
}

impl Following<'_> {
    /// Follows everyone.
    pub fn all(&self) -> Journeys {
        let mut order: Vec<(u64, String, u32)> = self
            .participation
            .numbers(self.roster)
            .map(|number| {
                let known = self.roster.people.get(number as usize).map(|person| person.id.as_str());
                let id = known.or_else(|| self.participation.stranger(self.roster, number)).unwrap_or_default();
                (id.parse().unwrap_or(u64::MAX), id.to_owned(), number)
            })
            .collect();
        order.sort_unstable();
        // Of each slot the place of its questionnaire among the scales; none without a table.
        let places: Vec<Option<usize>> = self
            .slots
            .all
            .iter()
            .zip(self.present)
            .map(|(slot, present)| self.scales.binary_search(slot.scale.as_ref().filter(|_| *present)?).ok())
            .collect();
        let mut all = Journeys { by_slot: vec![Presence::default(); self.slots.all.len()], ..Journeys::default() };
        for (_, id, number) in order {
            let journey = self.one(id, number, &places, &mut all);
            all.people.push(journey);
        }
        all
    }

    fn one(&self, id: String, number: u32, places: &[Option<usize>], all: &mut Journeys) -> Journey {
        let person = self.roster.people.get(number as usize).cloned();
        let life = self.participation.life.get(number);
        let sessions = self.slots.sessions.len();
        let mut journey = Journey {
            id,
            enrolled_known: person.is_some(),
            task: life.task.map(|(_, task)| task.as_ref().to_owned()).unwrap_or_default(),
            extra: life.extra.into(),
            repeated: life.repeated.into(),
            entries: life.entries.into(),
            completed: (0..sessions).map(|session| self.participation.completed(session, number)).collect(),
            by_scale: vec![Presence::default(); self.scales.len()],
            ..Journey::default()
        };
        if let Some(person) = person {
            journey.test_account = person.is_test();
            journey.enrolled = person.created;
            journey.condition = person.condition;
            journey.server_session = person.session;
        }
        journey.counts = !journey.test_account && (journey.enrolled_known || !self.roster.found);
        journey.last = life.last.max(journey.enrolled);
        journey.idle_days = journey.last.map(|last| (self.now - last).max(0) as f64 / DAY);
        let reached = |session: usize| self.participation.reached_at(session, number);
        let days = |moment: i64| journey.enrolled.map(|enrolled| (moment - enrolled) as f64 / DAY);
        journey.days_to = (0..sessions).map(|session| reached(session).and_then(days)).collect();
        self.walk(&mut journey, number, places, all);
        journey.standing = self.standing(&journey);
        journey
    }

    /// What is due is what lies at or before the furthest place, and all of a session that is complete.
    fn walk(&self, journey: &mut Journey, number: u32, places: &[Option<usize>], all: &mut Journeys) {
        let position = self.participation.position(self.slots, number);
        journey.session = position.map(|(session, _)| session);
        for (slot, defined) in self.slots.all.iter().enumerate() {
            let Some(place) = places[slot] else { continue };
            let (given, logged) =
                (self.participation.given(slot, number) > 0, self.participation.logged(slot, number) > 0);
            let due = position.is_some_and(|(session, last)| {
                defined.session < session
                    || defined.session == session
                        && (journey.completed[session] || last.is_some_and(|last| slot <= last))
            });
            if !due {
                journey.ahead += 1;
                continue;
            }
            let lost = logged && !given;
            let sum = |presence: &mut Presence| {
                presence.due += 1;
                presence.done += u64::from(given);
                presence.lost += u64::from(lost);
            };
            journey.due += 1;
            journey.done += u64::from(given);
            journey.lost += u64::from(lost);
            sum(&mut journey.by_scale[place]);
            if journey.counts {
                sum(&mut all.by_slot[slot]);
            }
        }
    }

    fn standing(&self, journey: &Journey) -> ParticipantStanding {
        let Some(session) = journey.session else { return ParticipantStanding::NotStarted };
        let last = session + 1 == self.slots.sessions.len();
        if last && journey.completed[session] {
            return ParticipantStanding::Finished;
        }
        let wait = if journey.completed[session] { self.slots.gaps.get(session + 1).copied() } else { None };
        if journey.idle_days.unwrap_or(f64::INFINITY) > IDLE_DAYS + wait.unwrap_or_default() {
            ParticipantStanding::DroppedOut
        } else {
            ParticipantStanding::Active
        }
    }
}

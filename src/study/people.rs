//! What the team says of participants and entries: test accounts, and corrections of what the server has wrong.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::study::name::{ScaleName, ServerName};

/// One line of the participants file: an account that is, or is not, of the team, whatever the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub server: Option<ServerName>,
    pub participant: String,
    pub test: bool,
    pub who: String,
    pub when: NaiveDate,
    pub why: String,
}

/// One line of the corrections file. It is applied only where the old value is what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    pub server: Option<ServerName>,
    pub scale: ScaleName,
    pub id: i64,
    pub column: String,
    pub old: String,
    pub new: String,
    pub who: String,
    pub when: NaiveDate,
    pub why: String,
}

/// All overrides, in the order of the file.
pub type Overrides = Vec<Override>;

/// All corrections, in the order of the file.
pub type Corrections = Vec<Correction>;

/// Who of a server is of the team by the participants file; the last word counts.
pub fn accounts<'o>(overrides: &'o [Override], server: &str) -> BTreeMap<&'o str, &'o Override> {
    let holds = |one: &&Override| one.server.as_ref().is_none_or(|known| known.as_str() == server);
    overrides.iter().filter(holds).map(|one| (one.participant.as_str(), one)).collect()
}

/// The corrections of one table, by entry.
pub fn corrections<'c>(
    all: &'c [Correction],
    server: &ServerName,
    scale: &ScaleName,
) -> BTreeMap<i64, Vec<&'c Correction>> {
    let mut found: BTreeMap<i64, Vec<&Correction>> = BTreeMap::new();
    let holds = |one: &&Correction| one.scale == *scale && one.server.as_ref().is_none_or(|known| known == server);
    for correction in all.iter().filter(holds) {
        found.entry(correction.id).or_default().push(correction);
    }
    found
}

//! Reading who takes part, and in which condition, from the study's own tables.

use std::path::Path;

use csv::StringRecord;

use crate::report::people::{Person, Roster};
use crate::report::tally::{Places, STUDY_TABLE, columns};
use crate::study::moment;
use crate::tasks::score::filled;

/// What older sites write into a participant's `study`.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OldStudy {
    id: serde_json::Value,
    conditioning: String,
    current_session: OldSession,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct OldSession {
    name: String,
}

/// Adds the rows of a participants' table.
///
/// # Errors
/// Whatever the file system or the CSV says.
pub fn participants(path: &Path, roster: &mut Roster) -> Result<(), csv::Error> {
    roster.found = true;
    each(path, |header, record, at| {
        let of = |names: &[&str]| filled(record, &columns(header, names)).to_owned();
        let test = columns(header, &["testAccount", "admin"]);
        let study = filled(record, &at.study);
        let old: OldStudy =
            if study.starts_with('{') { serde_json::from_str(study).unwrap_or_default() } else { OldStudy::default() };
        let person = Person {
            id: filled(record, &at.id).to_owned(),
            // The server once wrote the bare byte 1.
            test_account: test.iter().any(|&column| matches!(record.get(column), Some("true" | "1" | "\u{1}"))),
            enrolled: moment::parse(&of(&["dateCreated", "date"])).map(|moment| moment.timestamp_millis()),
            condition: Some(of(&["conditioning"])).filter(|text| !text.is_empty()).unwrap_or(old.conditioning),
            server_session: Some(of(&["currentSession"]))
                .filter(|text| !text.is_empty())
                .unwrap_or(old.current_session.name),
        };
        let number = if study.starts_with('{') { old.id.to_string() } else { study.to_owned() };
        if !person.id.is_empty() {
            roster.add(person, &number);
        }
    })
}

/// Adds what the study's table says, if this is one.
///
/// # Errors
/// Whatever the file system or the CSV says.
pub fn conditions(path: &Path, roster: &mut Roster) -> Result<(), csv::Error> {
    each(path, |header, record, at| {
        if columns(header, STUDY_TABLE).len() < STUDY_TABLE.len() {
            return;
        }
        let Some(person) = roster.of_study(filled(record, &at.id)) else { return };
        let of = |name: &str| filled(record, &columns(header, &[name])).to_owned();
        person.condition = of("conditioning");
        person.server_session = of("currentSession");
    })
}

fn each(path: &Path, mut use_row: impl FnMut(&StringRecord, &StringRecord, &Places)) -> Result<(), csv::Error> {
    let mut reader = csv::Reader::from_path(path)?;
    let header = reader.headers()?.clone();
    let at = Places::new(&header);
    let mut record = StringRecord::new();
    while reader.read_record(&mut record)? {
        if filled(&record, &at.current) != "false" {
            use_row(&header, &record, &at);
        }
    }
    Ok(())
}

/// True when the table's header is that of the study's table.
///
/// # Errors
/// Whatever the file system or the CSV says.
pub fn is_study_table(path: &Path) -> Result<bool, csv::Error> {
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 12).from_path(path)?;
    Ok(columns(reader.headers()?, STUDY_TABLE).len() == STUDY_TABLE.len())
}

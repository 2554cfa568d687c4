//! The tables that say who takes part, read into the study's roster.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::study::roster::Roster;
use crate::study::scale::Study;
use crate::table::records::Records;

/// Reads a participants' table.
///
/// # Errors
/// What the file or its rows refuse.
pub fn read_participants(roster: &mut Roster, path: &Path) -> io::Result<()> {
    let mut table = Records::new(File::open(path)?)?;
    let mut rows = roster.participants(table.header());
    while let Some(record) = table.read()? {
        rows.add(&record);
    }
    Ok(())
}

/// Reads the study's own table.
///
/// # Errors
/// What the file or its rows refuse.
pub fn read_conditions(roster: &mut Roster, study: &Study, path: &Path) -> io::Result<()> {
    let mut table = Records::new(File::open(path)?)?;
    let mut rows = roster.conditions(study, table.header());
    while let Some(record) = table.read()? {
        rows.add(&record);
    }
    Ok(())
}

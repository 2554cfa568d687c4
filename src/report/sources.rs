//! What a report is made of: a server's tables, by their files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::pool::paths::ServerFolder;
use crate::study::disclosure_control::DisclosureControl;
use crate::study::name::ScaleName;
use crate::study::people::Override;
use crate::study::scale::{Scale, Study};

/// What a report is made of.
pub struct Sources<'s> {
    pub server: &'s str,
    pub study: &'s Study,
    pub folder: &'s ServerFolder,
    pub combined: Vec<PathBuf>,
    pub scored: Vec<PathBuf>,
    /// What the participants file says of accounts here.
    pub accounts: BTreeMap<&'s str, &'s Override>,
    pub disclosure: DisclosureControl,
}

/// Which file could not be read, and why.
pub type Unreadable = (PathBuf, io::Error);

pub(crate) fn unreadable(path: &Path) -> impl Fn(io::Error) -> Unreadable + '_ {
    move |error| (path.to_owned(), error)
}

/// The scale that a table is of.
pub fn scale_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

pub(crate) fn definition<'s>(study: &'s Study, path: &Path) -> Option<&'s Scale> {
    study.scales.get(&ScaleName::new(&scale_name(path)).ok()?)
}

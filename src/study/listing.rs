//! What a server's own listing says of its tables.

use crate::study::name::ScaleName;

/// One table of `GET export`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: ScaleName,
    /// Entries, some of which the server may never send.
    pub size: u64,
    pub deleteable: bool,
}

/// `GET export`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pub tables: Vec<Listed>,
    /// What was left out, and why: one table with an impossible name must not stop the others.
    pub strange: Vec<String>,
}

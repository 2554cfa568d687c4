//! Whose an entry is, and when it was made.

use crate::study::moment::Moment;

/// Whose an entry is, of those that the roster has, where it belongs, and when it was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryStamp {
    pub person: Option<u32>,
    /// Numbers from 0: the same for entries of this table whose session, tag and task are the same.
    pub label: u32,
    pub moment: Option<Moment>,
}

//! The domain: entries, questionnaires, scoring, checks. It knows nothing of tasks, graphs or file formats of
//! the project's configuration.

pub mod cell;
pub mod checks;
pub mod disclosure_control;
pub mod each;
pub mod entry;
pub mod fast_scan;
pub mod labels;
pub mod listing;
pub mod moment;
pub mod name;
pub mod people;
pub mod read_buffer;
pub mod record;
pub mod roster;
pub mod scale;
pub mod schedule;
pub mod scoring;

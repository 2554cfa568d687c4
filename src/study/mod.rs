//! The domain: entries, keys, questionnaires, scoring, checks. It knows nothing of tasks, graphs or file formats of
//! the project's configuration.

pub mod cell;
pub mod checks;
pub mod discretion;
pub mod each;
pub mod entry;
pub mod glance;
pub mod keyring;
pub mod labels;
pub mod listing;
pub mod mishap;
pub mod moment;
pub mod name;
pub mod people;
pub mod record;
pub mod roster;

pub mod salvage;
pub mod scale;
pub mod schedule;
pub mod scoring;
pub mod server;
pub mod window;

//! The domain: entries, keys, questionnaires, scoring, checks. It knows nothing of tasks, graphs or file formats of
//! the project's configuration.

pub mod listing;
pub mod name;
pub mod scale;

//! The plan carried out: servers asked, instances run in parallel, everything recorded and told.

pub mod alarm;
pub mod build;
pub mod contents;
pub mod events;
pub mod explanation;
pub mod facts;
pub mod folders;
pub mod growth;
pub mod health;
pub mod health_page;
pub mod history;
pub mod home;
pub mod lock;
pub mod logs;
pub mod preview;
pub mod progress;
pub mod prune;
pub mod queue;
pub mod request;
pub mod schedule;
pub mod server_progress;
pub mod sharing;
pub mod signals;
pub mod summary;
pub mod teller;
pub mod trace;
pub mod verdict;
pub mod verification;
pub mod worker;

#[cfg(test)]
mod tests;

pub use build::build;

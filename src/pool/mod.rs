//! The data pool on disk: names old and new, the raw archive and the records of it.

pub mod answers;
pub mod arrivals;
pub mod audit;
pub mod benchmark;
pub mod history;
pub mod identity;
pub mod incoming;
pub mod index;
pub mod ledger;
pub mod notes;
pub mod paths;
pub mod raw;
pub mod raw_file;
pub mod raw_reader;
pub mod receipts;
pub mod received;
mod segments;

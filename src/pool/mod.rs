//! The data pool on disk: names old and new, files that appear whole or not at all, the raw archive, tables.

pub mod answers;
pub mod arrivals;
pub mod atomic;
pub mod audit;
pub mod batches;
pub mod benchmark;
pub mod history;
pub mod identity;
pub mod incoming;
pub mod index;
pub mod joined;
mod lanes;
pub mod ledger;
pub mod lines;
pub mod notes;
pub mod paths;
pub mod periods;
pub mod place;
pub mod plain;
pub mod raw;
pub mod raw_file;
pub mod receipts;
pub mod received;
pub mod rows;
mod segments;
pub mod sorting;
pub mod table;

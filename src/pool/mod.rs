//! The data pool on disk: names old and new, files that appear whole or not at all, the raw archive, tables.

pub mod answers;
pub mod atomic;
pub mod benchmark;
pub mod index;
pub mod ledger;
pub mod paths;
pub mod plain;
pub mod raw;
pub mod table;

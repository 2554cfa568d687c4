//! Everything about CSV tables: own and foreign ones are read here, in batches or row by row, and written.

pub mod batches;
pub mod file;
pub mod records;
pub mod rows;
pub mod selection;

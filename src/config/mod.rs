//! The files people write: Pipeline.toml and what it names. Read strictly; every mistake says file, line and column.

pub mod alerts;
pub mod error;
pub mod pipeline;
pub mod servers;

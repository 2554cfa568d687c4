//! What was true after the last run: every target's manifest and every file's hash, in one checksummed log.
//!
//! The state can always be rebuilt from the pool: losing it costs time, never data.

pub mod manifest;
pub mod names;
pub mod record;
pub mod store;

pub use crate::disk::content::Content;
pub use manifest::{Manifest, Setback};
pub use names::{Fork, Name, Names};
pub use store::Store;

//! The private keys of a study, and what they have opened already.

pub mod file;
pub mod periods;
pub mod remembered;
pub mod ring;

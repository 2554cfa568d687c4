//! The plan carried out.

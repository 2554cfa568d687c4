//! A synthetic study and the server it stands on, for trying everything without a real one.

pub mod project;
pub mod server;
pub mod study;
pub mod trouble;

//! The study's server over HTTP: what is asked of it, and what can go wrong with an answer.

pub mod request_error;
pub mod server;

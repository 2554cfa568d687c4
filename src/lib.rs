//! mtdata keeps a psychology study's data complete, decrypted, checked and provable.
//!
//! The folders follow one questionnaire entry: it is asked of a [`client::server`], kept in the raw archive of the
//! [`pool`], decoded into tables, combined, scored and reported by the [`tasks`]. What has to run is decided by the
//! [`plan`], carried out by the [`run`], remembered in the [`state`]. [`task`] is the joint where these floors meet.
#![forbid(unsafe_code)]
// All output goes through `output`, where a closed pipe is no panic.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod alert;
pub mod cancel;
pub mod cli;
pub mod client;
pub mod config;
pub mod counts;
pub mod demo;
pub mod disk;
pub mod failure;
pub mod fault;
pub mod keys;
pub mod output;
pub mod pages;
pub mod plan;
pub mod pool;
pub mod recovery;
pub mod report;
pub mod retry;
pub mod run;
pub mod state;
pub mod study;
pub mod style;
pub mod table;
pub mod task;
pub mod tasks;

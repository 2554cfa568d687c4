//! Everything that drives the real binary, in one crate so that it is linked once.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

mod alerts;
mod chain;
mod commands;
mod decoding;
mod discreet;
mod exporting;
mod firstgen;
mod fuzzed;
mod gate;
mod hostile;
mod imported;
mod kills;
mod lossless;
mod manual;
mod monitor;
mod ops;
mod own_commands;
mod planted;
mod recovery;
#[path = "../rig/mod.rs"]
mod rig;
mod secrets;
mod soak;
mod tables;

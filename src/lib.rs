//! mtdata keeps a psychology study's data complete, decrypted, checked and provable.
//!
//! The folders follow one questionnaire entry: it is asked of a server by `client`, kept in the raw archive of `pool`,
//! decoded into tables, combined, scored and reported by `tasks`. What has to run is decided by `plan`, carried out by
//! `run`, remembered in `state`. `task` is the joint where these floors meet.
#![forbid(unsafe_code)]
// All output goes through `output`, where a closed pipe is no panic.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod alert;
mod cancel;
mod cli;
mod client;
mod code;
mod config;
mod counts;
mod demo;
mod disk;
mod failure;
mod fault;
mod keys;
mod output;
mod pages;
mod plan;
mod pool;
mod recovery;
mod report;
mod retry;
mod run;
mod state;
mod study;
mod style;
mod table;
mod task;
mod tasks;

pub use cli::main;
pub use pages::small as take_small_pages;

/// What the benches, the fuzz targets and the tests of this package look at; nobody else is promised any of it.
pub mod parts {
    pub use crate::cli::arguments::Arguments;
    pub use crate::config::Project;
    pub use crate::config::error::Problems;
    pub use crate::config::scales::load as load_scales;
    pub use crate::demo::project::{Demo, open, open_with};
    pub use crate::demo::server::{DemoServer, ResetMoment, ServerFault};
    pub use crate::demo::study::{DemoTable, Options, Synthetic, generate_faultless};
    pub use crate::disk::content::Content;
    pub use crate::disk::stamp::{Seen, Stamp};
    pub use crate::keys::ring::{Keyring, RingKey, generate};
    pub use crate::pool::identity::{Identities, Identity};
    pub use crate::pool::paths::ServerFolder;
    pub use crate::pool::raw_reader::{Care, Piece, Pieces};
    pub use crate::report::accounts::read_participants;
    pub use crate::report::files::{SHEETS, checks as write_checks};
    pub use crate::report::model::compute;
    pub use crate::report::page::render;
    pub use crate::report::sources::Sources;
    pub use crate::state::{Manifest, Store};
    pub use crate::study::checks::cells::{CheckedRow, RowRules};
    pub use crate::study::checks::log::{Log, TaskLogReader};
    pub use crate::study::checks::table::{Context, Examination, Examined};
    pub use crate::study::checks::{Finding, LastSeen, accounts};
    pub use crate::study::disclosure_control::DisclosureControl;
    pub use crate::study::entry::Head;
    pub use crate::study::moment::{COLUMNS as DATE_COLUMNS, parse as parse_moment};
    pub use crate::study::name::ScaleName;
    pub use crate::study::roster::Roster;
    pub use crate::study::scale::Study;
    pub use crate::study::schedule::Slots;
    pub use crate::table::records::Records;
    pub use crate::tasks::decode::rows::{DayColumns, EntryRows, Parser};
}

//! `mtdata list`: every target, its state, the reason.

use crate::cli::arguments::{ListArguments, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &ListArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

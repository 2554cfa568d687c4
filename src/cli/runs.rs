//! `mtdata runs`: what past runs did.

use crate::cli::arguments::{ProjectArguments, RunsArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &RunsArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

//! `mtdata init`: a commented project to start from.

use crate::cli::arguments::{InitArguments, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &InitArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

//! `mtdata status`: how the exports of each server are doing.

use crate::cli::arguments::{JsonArguments, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &JsonArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

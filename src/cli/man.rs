//! `mtdata man`: the manual pages.

use crate::cli::arguments::{ManArguments, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &ManArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

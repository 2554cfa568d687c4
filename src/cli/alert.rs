//! `mtdata alert test`: does a mail arrive?

use crate::cli::arguments::{AlertCommand, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &AlertCommand) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

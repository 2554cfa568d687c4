//! `mtdata check`: everything that setting up can get wrong, found before cron does.

use crate::cli::arguments::{CheckArguments, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &CheckArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

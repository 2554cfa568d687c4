//! `mtdata demo`: a whole project on a synthetic study, in one command.

use crate::cli::arguments::{DemoArguments, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &DemoArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

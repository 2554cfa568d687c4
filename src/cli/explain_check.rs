//! `mtdata explain-check`: what a rule of the data checks means.

use crate::cli::arguments::{ExplainCheckArguments, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &ExplainCheckArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

//! `mtdata explain`: why a target would run, or ran.

use crate::cli::arguments::{ExplainArguments, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &ExplainArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

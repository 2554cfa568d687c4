//! `mtdata completions`: a shell's completion script.

use crate::cli::arguments::{CompletionsArguments, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &CompletionsArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

//! Build, and the short forms of the first generation: the words that make things happen.

use crate::cli::arguments::{BuildArguments, ProjectArguments, VerbArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &BuildArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

/// `action` is the verb: it selects the instances of every task with that action.
pub fn verb(_project: &ProjectArguments, _action: &str, _arguments: &VerbArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

//! `mtdata recover`: audits the raw archive and rebuilds what was lost.

use crate::cli::arguments::{ProjectArguments, RecoverArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &RecoverArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

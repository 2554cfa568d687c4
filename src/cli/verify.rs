//! `mtdata verify`: recomputes the hashes of outputs and their ancestry.

use crate::cli::arguments::{ProjectArguments, VerifyArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &VerifyArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

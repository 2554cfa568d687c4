//! `mtdata keys`: makes key pairs and shows fingerprints.

use crate::cli::arguments::{KeysCommand, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &KeysCommand) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

//! `mtdata import-config`: from the first generation's YAML to servers.toml.

use crate::cli::arguments::{ImportArguments, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &ImportArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

//! `mtdata schema`: the JSON Schemas that editors complete and validate with.

use crate::cli::arguments::{ProjectArguments, SchemaArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &SchemaArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

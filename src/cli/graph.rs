//! `mtdata graph`: the dependency graph as dot, mermaid or SVG.

use crate::cli::arguments::{GraphArguments, ProjectArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &GraphArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

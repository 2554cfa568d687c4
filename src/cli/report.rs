//! `mtdata report`: builds a server's report and prints one table of it.

use crate::cli::arguments::{ProjectArguments, ReportArguments};
use crate::cli::{Exit, Fault};

pub fn run(_project: &ProjectArguments, _arguments: &ReportArguments) -> Result<Exit, Fault> {
    Err(Fault::failed("this command is still being written"))
}

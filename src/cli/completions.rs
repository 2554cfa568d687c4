//! A completion script for a shell.

use clap::CommandFactory;

use crate::cli::arguments::{Arguments, CompletionsArguments, ProjectArguments};
use crate::cli::{Exit, Fault};
use crate::output;

pub fn run(_: &ProjectArguments, arguments: &CompletionsArguments) -> Result<Exit, Fault> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "mtdata", &mut script);
    output::text(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}

//! A completion script for a shell.

use clap::CommandFactory;

use crate::cli::Exit;
use crate::cli::arguments::{Arguments, CompletionsArguments};
use crate::output;

pub fn run(arguments: &CompletionsArguments) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "mtdata", &mut script);
    output::text(&String::from_utf8_lossy(&script));
    Exit::Done
}

//! The words people type: parsed here, each command in a small file of its own.

pub mod alert;
pub mod arguments;
pub mod build;
pub mod check;
pub mod completions;
pub mod demo;
pub mod explain;
pub mod explain_check;
pub mod fitted;
pub mod graph;
pub mod import_config;
pub mod init;
pub mod keys;
pub mod list;
pub mod man;
pub mod recover;
pub mod report;
pub mod runs;
pub mod schema;
pub mod status;
pub mod verify;

use std::fmt;

use clap::Parser;

use arguments::{Arguments, Command};

use crate::output::{self, remark};

/// How a call ends (contract, 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// A task failed; check, verify or recover found a difference.
    Failed,
    /// Usage or configuration; nothing was run.
    Usage,
    /// Done, but `--strict` and data warnings.
    Warnings,
    /// Another run holds the lock.
    Locked,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Warnings => 3,
            Exit::Locked => 75,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        })
    }
}

/// A command that could not do what was asked: the sentence printed after `error: `, and how the call ends.
#[derive(Debug, Clone)]
pub struct Fault {
    pub exit: Exit,
    pub message: String,
    /// The message is laid out already: `error: ...` stands before each part of it.
    rendered: bool,
}

impl Fault {
    /// A mistake of the caller: exit 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), rendered: false }
    }

    /// Something that did not work: exit 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), rendered: false }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<crate::config::error::Problems> for Fault {
    fn from(problems: crate::config::error::Problems) -> Self {
        Self { exit: Exit::Usage, message: problems.render(crate::config::error::colour()), rendered: true }
    }
}

/// Parses the command line and carries it out.
pub fn main() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done about a closed stdout or stderr.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let exit = carry_out(&arguments);
    if let Some(error) = output::finish() {
        remark!("error: the output is not complete: {error}");
        return if exit == Exit::Done { Exit::Failed } else { exit };
    }
    exit
}

fn carry_out(arguments: &Arguments) -> Exit {
    match run(arguments) {
        Ok(exit) => exit,
        Err(fault) => {
            let message = fault.message.trim_end();
            if fault.rendered {
                remark!("{message}");
            } else if !message.is_empty() {
                remark!("error: {message}");
            }
            fault.exit
        }
    }
}

fn run(arguments: &Arguments) -> Result<Exit, Fault> {
    let project = &arguments.project;
    match &arguments.command {
        Command::Build(a) => build::run(project, a),
        Command::Export(a) => build::verb(project, "export", a),
        Command::Decode(a) => build::verb(project, "decode", a),
        Command::Combine(a) => build::verb(project, "combine", a),
        Command::Score(a) => build::verb(project, "score", a),
        Command::Wide(a) => build::verb(project, "wide", a),
        Command::Report(a) => report::run(project, a),
        Command::List(a) => list::run(project, a),
        Command::Explain(a) => explain::run(project, a),
        Command::ExplainCheck(a) => explain_check::run(project, a),
        Command::Graph(a) => graph::run(project, a),
        Command::Status(a) => status::run(project, a),
        Command::Check(a) => check::run(project, a),
        Command::Recover(a) => recover::run(project, a),
        Command::Verify(a) => verify::run(project, a),
        Command::Runs(a) => runs::run(project, a),
        Command::Demo(a) => demo::run(project, a),
        Command::Init(a) => init::run(project, a),
        Command::ImportConfig(a) => import_config::run(project, a),
        Command::Keys(a) => keys::run(project, a),
        Command::Alert(a) => self::alert::run(project, *a),
        Command::Schema(a) => schema::run(a),
        Command::Completions(a) => Ok(completions::run(a)),
        Command::Man(a) => man::run(project, a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_the_runbook() {
        let runbook = include_str!("../../docs/runbook.md");
        let codes = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Warnings, Exit::Locked];
        for (exit, number) in codes.into_iter().zip([0, 1, 2, 3, 75]) {
            assert_eq!(std::process::ExitCode::from(exit), std::process::ExitCode::from(number));
            assert!(runbook.contains(&format!("\n| {number} |")), "{number}");
        }
        assert!(runbook.contains("\n| 130, 143 |"));
    }
}

//! The thin door: everything lives in the library, so that tests and benchmarks reach it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    mtdata::cli::main().into()
}

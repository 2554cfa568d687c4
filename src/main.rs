//! The thin door: everything lives in the library, so that tests and benchmarks reach it too.

use std::process::ExitCode;

/// A call with nothing to do is mostly small pieces of memory on two cores: `benches/nothing-to-do` shows the gain.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mtdata::take_small_pages();
    mtdata::main().into()
}

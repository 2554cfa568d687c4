//! The manual page, from the same words that parse the command line.

use clap::CommandFactory;

use crate::cli::arguments::{Arguments, ManArguments, ProjectArguments};
use crate::cli::{Exit, Fault};
use crate::output;

pub fn run(_: &ProjectArguments, arguments: &ManArguments) -> Result<Exit, Fault> {
    let failed = |error: std::io::Error| Fault::failed(format!("the manual cannot be written: {error}"));
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder).map_err(failed)?;
        clap_mangen::generate_to(Arguments::command(), folder).map_err(failed)?;
        return Ok(Exit::Done);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut page).map_err(failed)?;
    output::text(&String::from_utf8_lossy(&page));
    Ok(Exit::Done)
}

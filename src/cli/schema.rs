//! The JSON Schemas of the files people write, for their editors.

use std::fmt::Write;

use crate::cli::arguments::SchemaArguments;
use crate::cli::{Exit, Fault};
use crate::config::{schema, section::nearest};
use crate::output;

pub fn run(arguments: &SchemaArguments) -> Result<Exit, Fault> {
    let all = schema::all();
    let Some(name) = &arguments.name else {
        let mut text = String::new();
        for known in &all {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{:10} {}", known.name, known.file);
        }
        output::text(&text);
        return Ok(Exit::Done);
    };
    let Some(found) = all.iter().find(|known| known.name == name) else {
        let near = nearest(name, all.iter().map(|known| known.name));
        let hint =
            near.map_or_else(|| "`mtdata schema` lists them".to_owned(), |near| format!("did you mean `{near}`?"));
        return Err(Fault::usage(format!("there is no schema `{name}`\n  help: {hint}")));
    };
    output::text(&found.text());
    Ok(Exit::Done)
}

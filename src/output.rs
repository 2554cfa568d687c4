//! What is said to people and programs on stdout and stderr: a reader that left ends nothing and is no error.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::sync::Mutex;

/// Why stdout takes nothing more, if not because its reader left.
static TROUBLE: Mutex<Option<io::Error>> = Mutex::new(None);

/// A line of what a command was asked to show, on stdout.
macro_rules! answer {
    ($($words:tt)*) => { $crate::output::show(format_args!("{}\n", format_args!($($words)*))) };
}

/// A line beside it, on stderr.
macro_rules! remark {
    ($($words:tt)*) => { $crate::output::say(format_args!("{}\n", format_args!($($words)*))) };
}

pub(crate) use {answer, remark};

/// Writes to stdout. After `mtdata list | head` has seen enough, nobody is left to be told.
pub fn show(words: Arguments<'_>) {
    if let Err(error) = io::stdout().lock().write_fmt(words) {
        remember(error);
    }
}

/// A whole text to stdout, as it is.
pub fn text(text: &str) {
    show(format_args!("{text}"));
}

/// Writes to stderr; that it cannot be written can be told to nobody.
pub fn say(words: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(words);
}

/// The end of all output: why some of it is missing, though somebody reads.
pub fn finish() -> Option<io::Error> {
    if let Err(error) = io::stdout().lock().flush() {
        remember(error);
    }
    TROUBLE.lock().ok().and_then(|mut trouble| trouble.take())
}

fn remember(error: io::Error) {
    if error.kind() != io::ErrorKind::BrokenPipe
        && let Ok(mut trouble) = TROUBLE.lock()
    {
        trouble.get_or_insert(error);
    }
}

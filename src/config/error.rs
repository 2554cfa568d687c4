//! Mistakes in configuration files, shown where they are: file:line:column, the line, a caret, a suggestion.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A configuration file's text, kept to point into.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

/// One mistake.
#[derive(Debug, Clone)]
pub struct Problem {
    pub path: PathBuf,
    /// Bytes of the file's text; `None` when the mistake is the whole file (missing, not UTF-8).
    pub span: Option<Range<usize>>,
    pub message: String,
    pub hint: Option<String>,
}

/// All mistakes found, in reading order. Nothing runs while there is one.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    pub sources: Vec<Source>,
    pub problems: Vec<Problem>,
}

impl Problems {
    /// # Errors
    /// Itself, when it holds any problem.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.problems.is_empty() { Ok(value) } else { Err(self) }
    }

    pub fn add(&mut self, path: &Path, span: Option<Range<usize>>, message: impl Into<String>, hint: Option<String>) {
        self.problems.push(Problem { path: path.to_owned(), span, message: message.into(), hint });
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}: {}", problem.path.display(), problem.message)?;
        }
        Ok(())
    }
}

//! Mistakes in configuration files, shown where they are: file:line:column, the line, a caret, a suggestion.

use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

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
    pub fn into_result<T>(mut self, value: T) -> Result<T, Self> {
        if self.problems.is_empty() {
            return Ok(value);
        }
        let order: Vec<PathBuf> = self.sources.iter().map(|source| source.path.clone()).collect();
        let place = |problem: &Problem| {
            let file = order.iter().position(|path| *path == problem.path).unwrap_or(order.len());
            (file, problem.span.as_ref().map_or(0, |span| span.start))
        };
        self.problems.sort_by_key(place);
        Err(self)
    }

    pub fn add(&mut self, path: &Path, span: Option<Range<usize>>, message: impl Into<String>, hint: Option<String>) {
        self.problems.push(Problem { path: path.to_owned(), span, message: message.into(), hint });
    }

    /// Reads a file and keeps its text; a file that cannot be read is a problem.
    pub fn read(&mut self, path: &Path) -> Option<Source> {
        match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => {
                let source = Source { path: path.to_owned(), text };
                self.sources.push(source.clone());
                Some(source)
            }
            Ok(Err(error)) => {
                let at = error.utf8_error().valid_up_to();
                self.add(path, None, format!("is not UTF-8 (byte {at})"), Some("save it as UTF-8".to_owned()));
                None
            }
            Err(error) => {
                self.add(path, None, format!("cannot be read: {error}"), None);
                None
            }
        }
    }

    fn render(&self, problem: &Problem) -> String {
        let shown = shown(&problem.path);
        let source = self.sources.iter().find(|source| source.path == problem.path);
        let (Some(source), Some(span)) = (source, &problem.span) else {
            let hint = problem.hint.as_ref().map(|hint| format!("\n  help: {hint}")).unwrap_or_default();
            return format!("error: {shown}: {}{hint}", problem.message);
        };
        let snippet = Snippet::source(source.text.as_str())
            .path(shown.as_str())
            .annotation(AnnotationKind::Primary.span(within(span, &source.text)));
        let mut group = Level::ERROR.primary_title(problem.message.as_str()).element(snippet);
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        Renderer::plain().render(&[group])
    }
}

/// A table's span is the whole table: its first line says enough. Spans never leave the text.
fn within(span: &Range<usize>, text: &str) -> Range<usize> {
    let start = floor(text, span.start.min(text.len()));
    let line = text[start..].find('\n').map_or(text.len(), |end| start + end);
    start..floor(text, span.end.min(line)).max(start)
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "{}", self.render(problem))?;
        }
        Ok(())
    }
}

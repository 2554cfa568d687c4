//! Mistakes in configuration files, shown where they are: file:line:column, the line, a caret, a suggestion.

use std::io::IsTerminal;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};

use crate::config::mask::Masked;

/// A configuration file's text, kept to point into.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Paths below this folder are shown relative to it.
    pub root: PathBuf,
    pub sources: Vec<Source>,
    pub problems: Vec<Problem>,
    /// Every file that was asked for, in the order of asking.
    asked: Vec<PathBuf>,
}

impl Problems {
    /// None yet, of files below `root`.
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), ..Self::default() }
    }

    /// # Errors
    /// Itself, when it holds any problem.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.ordered()) }
    }

    /// Problems in the order of files and lines, each once.
    pub fn ordered(mut self) -> Self {
        let order: Vec<PathBuf> =
            self.asked.iter().chain(self.sources.iter().map(|source| &source.path)).cloned().collect();
        let place = |problem: &Problem| {
            let file = order.iter().position(|path| *path == problem.path).unwrap_or(order.len());
            (file, problem.span.as_ref().map_or(0, |span| span.start))
        };
        self.problems.sort_by_key(place);
        self.problems.dedup();
        self
    }

    pub fn add(&mut self, path: &Path, span: Option<Range<usize>>, message: impl Into<String>, hint: Option<String>) {
        self.problems.push(Problem { path: path.to_owned(), span, message: message.into(), hint });
    }

    /// Reads a file and keeps its text; a file that cannot be read is a problem.
    pub fn read(&mut self, path: &Path) -> Option<Source> {
        self.asked.push(path.to_owned());
        match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => {
                let source = Source { path: path.to_owned(), text };
                self.sources.push(source.clone());
                Some(source)
            }
            Ok(Err(error)) => {
                let at = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
                self.add(path, None, format!("is not UTF-8 in line {line}"), Some("save it as UTF-8".to_owned()));
                None
            }
            Err(error) => {
                self.add(path, None, format!("cannot be read: {}", plain(&error)), None);
                None
            }
        }
    }

    /// All problems as text; `colour` for terminals.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let shown: Vec<String> = self.problems.iter().map(|problem| self.one(problem, &renderer)).collect();
        shown.join("\n\n") + "\n"
    }

    fn one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let path = self.shown(&problem.path);
        let source = self.sources.iter().find(|source| source.path == problem.path);
        let hint = problem.hint.as_deref().map(normalize_untrusted_str);
        let help = |group: Group<'_>| match hint {
            Some(hint) => renderer.render(&[group.element(Level::HELP.message(hint))]),
            None => renderer.render(&[group]),
        };
        let (Some(source), Some(span)) = (source, &problem.span) else {
            let title = format!("{path}: {}", problem.message);
            return help(Group::with_title(Level::ERROR.primary_title(title.as_str())));
        };
        let masked = Masked::new(&source.text);
        let span = masked.place(&within(span, &source.text));
        let snippet =
            Snippet::source(masked.text.as_str()).path(path.as_str()).annotation(AnnotationKind::Primary.span(span));
        help(Level::ERROR.primary_title(problem.message.as_str()).element(snippet))
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// Whether people look at stderr and want colour.
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && wants_colour()
}

/// Whether who looks at a terminal wants colour on it.
pub fn wants_colour() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// What the system says, without its number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// A table's span is the whole table: its first line says enough. Spans never leave the text.
fn within(span: &Range<usize>, text: &str) -> Range<usize> {
    let start = floor(text, span.start.min(text.len()));
    let line = text[start..].find('\n').map_or(text.len(), |end| start + end);
    let end = floor(text, span.end.min(line)).max(start);
    start..start + text[start..end].trim_end().len()
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

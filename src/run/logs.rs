//! What a run tells the log files: one line an event, to read at 3 a.m. or by a machine.

pub mod files;

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use chrono::{DateTime, Local};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::config::pipeline::LogSettings;
use files::{Book, WallClock};

/// Where the lines of this process go. The subscriber of a process is set once and for all; what it writes to is not.
static JOURNAL: RwLock<Option<Arc<Journal>>> = RwLock::new(None);

/// The log files are written while this lives.
#[must_use = "the log is closed when the guard goes"]
pub struct Guard {
    journal: Arc<Journal>,
}

impl Guard {
    /// The first line that could not be written, and why: for a warning, since a log never stops the work.
    pub fn trouble(&self) -> Option<&str> {
        self.journal.book.trouble()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut current = JOURNAL.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|journal| Arc::ptr_eq(journal, &self.journal)) {
            *current = None;
        }
    }
}

/// Starts writing `<pool>/logs/`. Lines carry the fields of their event and of the spans around it; `run` and `target`
/// stand in columns of their own. Only mtdata's own events are written: other crates might log what is secret.
///
/// # Errors
/// The folder or a file cannot be made; the caller warns and goes on.
pub fn start(pool: &Path, settings: &LogSettings, json: Option<bool>) -> io::Result<Guard> {
    let wall: WallClock = Box::new(|moment| DateTime::<Local>::from(moment).fixed_offset());
    let book = Book::open(&pool.join("logs"), settings, wall, SystemTime::now())?;
    let journal = Arc::new(Journal { book, json: json.unwrap_or(settings.json), now: Box::new(SystemTime::now) });
    *JOURNAL.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&journal));
    // The second call in one process (tests) finds the subscriber in place.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Lines { journal: None }));
    Ok(Guard { journal })
}

struct Journal {
    book: Book,
    json: bool,
    now: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

/// The layer between tracing and the files.
struct Lines {
    /// `None`: that of the process.
    journal: Option<Arc<Journal>>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static tracing::Metadata<'static>) -> tracing::subscriber::Interest {
        if ours(metadata) { tracing::subscriber::Interest::always() } else { tracing::subscriber::Interest::never() }
    }

    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        ours(metadata)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let journal = match &self.journal {
            Some(journal) => Arc::clone(journal),
            None => match JOURNAL.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
                Some(journal) => Arc::clone(journal),
                None => return,
            },
        };
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.0.extend(outer.0.clone());
            }
        }
        event.record(&mut fields);
        journal.write(*event.metadata().level(), fields);
    }
}

fn ours(metadata: &tracing::Metadata<'_>) -> bool {
    metadata.target().split("::").next() == Some("mtdata")
}

impl Journal {
    fn write(&self, level: Level, fields: Fields) {
        let critical = fields.0.get("critical").is_some_and(|value| value != &Value::Bool(false));
        let files = match level {
            Level::ERROR if critical => 4,
            Level::ERROR | Level::WARN => 3,
            Level::INFO => 2,
            Level::DEBUG | Level::TRACE => 1,
        };
        let now = self.book.wall((self.now)());
        let line = if self.json { json_line(&now, level, fields) } else { text_line(&now, level, fields) };
        self.book.write(files, &line, now.date_naive());
    }
}

type Moment = DateTime<chrono::FixedOffset>;

fn json_line(now: &Moment, level: Level, fields: Fields) -> String {
    let mut object = Map::new();
    object.insert("ts".into(), now.to_rfc3339_opts(chrono::SecondsFormat::Millis, false).into());
    object.insert("level".into(), level.as_str().into());
    object.extend(fields.0);
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

/// `2026-11-24T08:54:35.123-05:00 ERROR 20261124T135435Z-1 export/mindtrails/OA: what happened kind=unreachable`
fn text_line(now: &Moment, level: Level, mut fields: Fields) -> String {
    let mut line = now.to_rfc3339_opts(chrono::SecondsFormat::Millis, false);
    let _ = write!(line, " {:<5} ", level.as_str());
    match fields.0.remove("run") {
        Some(run) => push_value(&mut line, &run, false),
        None => line.push('-'),
    }
    line.push(' ');
    if let Some(target) = fields.0.remove("target") {
        push_value(&mut line, &target, false);
        line.push_str(": ");
    }
    if let Some(message) = fields.0.remove("message") {
        push_value(&mut line, &message, false);
    }
    for (name, value) in &fields.0 {
        let _ = write!(line, " {name}=");
        push_value(&mut line, value, true);
    }
    line.push('\n');
    line
}

/// What others wrote (a server's answer, a file name) must not begin a line of its own.
fn push_value(line: &mut String, value: &Value, quoted: bool) {
    let text = match value {
        Value::String(text) => text.as_str(),
        other => {
            let _ = write!(line, "{other}");
            return;
        }
    };
    if quoted && (text.is_empty() || text.contains([' ', '"', '='])) {
        let _ = write!(line, "{text:?}");
        return;
    }
    for c in text.chars() {
        match c {
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
}

/// The fields of an event or a span, by name.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    fn journal(folder: &Path, json: bool) -> Lines {
        let wall: WallClock = Box::new(|moment| DateTime::<chrono::Utc>::from(moment).fixed_offset());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let book = Book::open(folder, &LogSettings::default(), wall, now).unwrap();
        Lines { journal: Some(Arc::new(Journal { book, json, now: Box::new(move || now) })) }
    }

    fn speak(folder: &Path, json: bool) {
        let subscriber = tracing_subscriber::registry().with(journal(folder, json));
        tracing::subscriber::with_default(subscriber, || {
            let _run = tracing::info_span!("run", run = "R1").entered();
            let _task = tracing::info_span!("task", target = "export/a/OA").entered();
            tracing::debug!("detail");
            tracing::info!(stored = 5, "archived");
            tracing::warn!("odd\nERROR forged line");
            tracing::error!(kind = "data", "failed");
            tracing::error!(critical = true, kind = "unreachable", "no route to \u{1b}[31mhost");
            tracing::error!(target: "hyper::client", "Authorization: Basic c2VjcmV0");
        });
    }

    fn lines(folder: &Path, name: &str) -> Vec<String> {
        fs::read_to_string(folder.join(name)).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_file_holds_its_levels_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        speak(folder.path(), false);
        let counts = files::NAMES.map(|name| lines(folder.path(), name).len());
        assert_eq!(counts, [5, 4, 3, 1]);
        let critical = &lines(folder.path(), "Break_down.log")[0];
        let expected = "ERROR R1 export/a/OA: no route to \\u{1b}[31mhost critical=true kind=unreachable";
        assert_eq!(critical.split_once(' ').unwrap().1, expected);
        assert!(lines(folder.path(), "Error.log")[0].contains("odd\\nERROR forged line"));
        assert!(lines(folder.path(), "Debug.log")[1].ends_with("archived stored=5"));
    }

    #[test]
    fn json_lines_are_objects() {
        let folder = tempfile::tempdir().unwrap();
        speak(folder.path(), true);
        let all: Vec<Value> =
            lines(folder.path(), "Debug.log").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(all.len(), 5);
        assert_eq!(all[1]["message"], "archived");
        assert_eq!((&all[1]["stored"], &all[1]["run"]), (&Value::from(5), &Value::from("R1")));
    }
}

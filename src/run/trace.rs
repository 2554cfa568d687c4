//! A run as a Chrome trace, which Perfetto and chrome://tracing open: one row per thread that worked.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::disk::atomic;

/// The spans of a run.
#[derive(Debug)]
pub struct Trace {
    start: Instant,
    events: Vec<serde_json::Value>,
    /// Until when each row is taken.
    rows: Vec<Duration>,
}

impl Trace {
    pub fn new(start: Instant) -> Self {
        Self { start, events: Vec::new(), rows: Vec::new() }
    }

    /// Adds a span; spans that overlap get different rows.
    pub fn add(&mut self, name: &str, category: &str, began: Instant, took: Duration, outcome: &str) {
        let from = began.duration_since(self.start);
        let row = self.rows.iter().position(|until| *until <= from).unwrap_or(self.rows.len());
        if row == self.rows.len() {
            self.rows.push(Duration::ZERO);
        }
        self.rows[row] = from + took;
        let (ts, dur) = (from.as_secs_f64() * 1e6, took.as_secs_f64() * 1e6);
        let args = json!({ "outcome": outcome });
        self.events.push(
            json!({"name": name, "cat": category, "ph": "X", "ts": ts, "dur": dur, "pid": 1, "tid": row + 1, "args": args}),
        );
    }

    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = atomic::AtomicFile::create(path, atomic::SHARED)?;
        serde_json::to_writer(&mut file, &json!({"displayTimeUnit": "ms", "traceEvents": self.events}))?;
        file.write_all(b"\n")?;
        file.commit().map(|_| ())
    }
}

//! What a person at a terminal sees while a build goes on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use petgraph::graph::NodeIndex;

use crate::output::remark;

/// One bar: how many instances are done, what is running and for how long.
pub struct Progress {
    bar: Option<ProgressBar>,
    running: BTreeMap<NodeIndex, Running>,
    /// Waiting for servers' listings.
    asking: usize,
}

struct Running {
    target: String,
    since: Instant,
    part: Option<(u64, u64)>,
}

impl Progress {
    pub fn new(shown: bool) -> Self {
        let bar = shown.then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {rate} {wide_msg}")
                .expect("the template is constant");
            let rate = |state: &ProgressState, line: &mut dyn std::fmt::Write| {
                // Writing to a line in memory cannot fail.
                let _ = write!(line, "{:.1}/s", state.per_sec());
            };
            bar.set_style(style.with_key("rate", rate).progress_chars("=> "));
            bar
        });
        Self { bar, running: BTreeMap::new(), asking: 0 }
    }

    pub fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// A line above the bar.
    pub fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| remark!("{line}")),
            None => remark!("{line}"),
        }
    }

    pub fn asking(&mut self, servers: usize) {
        self.asking = servers;
        self.draw();
    }

    pub fn expect(&mut self, more: usize) {
        if let Some(bar) = &self.bar {
            bar.inc_length(more as u64);
        }
    }

    pub fn start(&mut self, node: NodeIndex, target: &str) {
        if self.bar.is_some() {
            self.running.insert(node, Running { target: target.to_owned(), since: Instant::now(), part: None });
            self.draw();
        }
    }

    pub fn part(&mut self, node: NodeIndex, done: u64, total: u64) {
        if let Some(running) = self.running.get_mut(&node) {
            running.part = Some((done, total));
        }
    }

    pub fn finish(&mut self, node: NodeIndex) {
        if let Some(bar) = &self.bar {
            self.running.remove(&node);
            bar.inc(1);
        }
    }

    /// The longest running first.
    pub fn draw(&self) {
        let Some(bar) = &self.bar else { return };
        let mut running: Vec<&Running> = self.running.values().collect();
        running.sort_by_key(|running| running.since);
        let mut words: Vec<String> = running.iter().take(3).map(|running| running.words()).collect();
        if running.len() > 3 {
            words.push(format!("{} more", running.len() - 3));
        }
        if self.asking > 0 {
            words.insert(0, format!("asking {} server(s)", self.asking));
        }
        let left = bar.length().unwrap_or_default().saturating_sub(bar.position());
        if left > 0 && bar.position() > 0 && bar.elapsed() > Duration::from_secs(5) {
            words.push(format!("about {} left", humantime::format_duration(Duration::from_secs(bar.eta().as_secs()))));
        }
        bar.set_message(words.join(", "));
    }

    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Running {
    fn words(&self) -> String {
        let seconds = self.since.elapsed().as_secs();
        // Writing to a String cannot fail.
        let mut words = self.target.clone();
        if let Some((done, total)) = self.part.filter(|(_, total)| *total > 0) {
            let _ = write!(words, " {}%", done.saturating_mul(100) / total);
        }
        if seconds >= 2 {
            let _ = write!(words, " ({seconds} s)");
        }
        words
    }
}

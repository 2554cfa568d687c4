//! One running instance: its thread, its voice, and what comes back.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::Scope;
use std::time::{Duration, Instant};

use petgraph::graph::NodeIndex;

use crate::study::listing::Listed;
use crate::study::name::ServerName;
use crate::task::{
    Axes, Cancel, Done, Facts, Failure, FailureKind, Output, Patience, ProjectPath, Task, Voice, Warning, Work,
};

/// What the threads tell the scheduler.
#[derive(Debug)]
pub enum Message {
    Listed { server: ServerName, result: Result<Vec<Listed>, Failure>, warnings: Vec<Warning> },
    Warned { node: NodeIndex, warning: Warning },
    Progress { node: NodeIndex, done: u64, total: u64 },
    Finished { node: NodeIndex, result: Result<Done, Failure>, began: Instant, took: Duration },
}

/// Everything one instance needs, owned by its thread.
pub struct Job<'r> {
    pub node: NodeIndex,
    pub task: &'r dyn Task,
    pub target: Arc<str>,
    pub axes: Axes,
    pub root: &'r Path,
    pub inputs: Vec<ProjectPath>,
    pub outputs: Vec<Output>,
    pub facts: Arc<Facts>,
    pub patience: Patience,
    pub cancel: Cancel,
}

struct Speaker {
    node: NodeIndex,
    sender: Sender<Message>,
}

impl Voice for Speaker {
    fn warn(&self, warning: Warning) {
        // The receiver lives as long as any thread.
        let _ = self.sender.send(Message::Warned { node: self.node, warning });
    }

    fn progress(&self, done: u64, total: u64) {
        let _ = self.sender.send(Message::Progress { node: self.node, done, total });
    }
}

/// Starts an instance on a thread of its own; `pool` carries its computing when it is not of a waiting group.
pub fn start<'scope, 'r: 'scope>(
    scope: &'scope Scope<'scope, '_>,
    job: Job<'r>,
    pool: Option<Arc<rayon::ThreadPool>>,
    sender: Sender<Message>,
) {
    scope.spawn(move || {
        let began = Instant::now();
        let speaker = Speaker { node: job.node, sender: sender.clone() };
        let carry = || job.task.run(&job.work(&speaker));
        let run = || match &pool {
            Some(pool) => pool.install(carry),
            None => carry(),
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let text =
                panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Failure::new(FailureKind::Internal, format!("a mistake in mtdata: {}", text.unwrap_or("unknown")))
                .advise("nothing was lost; please report it with this run's log"))
        });
        let _ = sender.send(Message::Finished { node: job.node, result, began, took: began.elapsed() });
    });
}

impl Job<'_> {
    fn work<'w>(&'w self, voice: &'w Speaker) -> Work<'w> {
        Work {
            target: &self.target,
            axes: &self.axes,
            root: self.root,
            inputs: &self.inputs,
            outputs: &self.outputs,
            facts: &self.facts,
            patience: self.patience,
            cancel: &self.cancel,
            voice,
        }
    }
}

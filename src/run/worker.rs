//! Running instances: their threads, their voices, and what comes back.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use petgraph::graph::NodeIndex;

use crate::cancel::Cancel;
use crate::code::Code;
use crate::failure::Failure;
use crate::pages;
use crate::retry::RetryPolicy;
use crate::study::listing::Listed;
use crate::study::name::ServerName;
use crate::task::{Axes, Done, Facts, Output, ProjectPath, Task, Voice, Warning, Work};

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
    pub policy: RetryPolicy,
    pub cancel: Cancel,
}

struct Speaker {
    node: NodeIndex,
    sender: Sender<Message>,
    began: Instant,
    /// When progress was last told, in milliseconds from the beginning.
    told: AtomicU64,
}

/// As often as a bar is drawn, in milliseconds: each message wakes the scheduler, which has other things to do.
const DRAWN_EVERY: u64 = 100;

impl Voice for Speaker {
    fn warn(&self, warning: Warning) {
        // The receiver lives as long as any thread.
        let _ = self.sender.send(Message::Warned { node: self.node, warning });
    }

    fn progress(&self, done: u64, total: u64) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let told = self.told.load(Ordering::Relaxed);
        // Of several threads one is enough.
        let due = now >= told.saturating_add(DRAWN_EVERY);
        if !due || self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let _ = self.sender.send(Message::Progress { node: self.node, done, total });
    }
}

/// A job, how it computes, and the way to the thread that has it.
struct Order<'r> {
    job: Job<'r>,
    pool: Option<Arc<rayon::ThreadPool>>,
    hand: Sender<Order<'r>>,
}

/// The threads of a run, each used again: the memory that a new thread touches first is made by the system, which takes
/// a small table longer than its parsing.
pub struct Hands<'r> {
    /// `None` when there will be no more work.
    idle: Arc<Mutex<Option<Vec<Sender<Order<'r>>>>>>,
}

impl Default for Hands<'_> {
    fn default() -> Self {
        Self { idle: Arc::new(Mutex::new(Some(Vec::new()))) }
    }
}

impl<'r> Hands<'r> {
    /// Starts an instance on a thread that has nothing else to do; `pool` carries its computing when it is not of a
    /// waiting group.
    pub fn start<'scope>(
        &self,
        scope: &'scope Scope<'scope, '_>,
        job: Job<'r>,
        pool: Option<Arc<rayon::ThreadPool>>,
        sender: &Sender<Message>,
    ) where
        'r: 'scope,
    {
        let idle = locked(&self.idle).as_mut().and_then(Vec::pop);
        if let Some(hand) = idle {
            // An idle thread waits as long as there are hands, so it hears this.
            let _ = hand.send(Order { job, pool, hand: hand.clone() });
            return;
        }
        pages::small();
        let (hand, orders) = channel();
        let (idle, sender) = (Arc::clone(&self.idle), sender.clone());
        scope.spawn(move || {
            let mut next = Ok(Order { job, pool, hand });
            while let Ok(Order { job, pool, hand }) = next {
                let message = carry_out(&job, pool.as_deref(), &sender);
                drop(job);
                // Idle before it is told, so that what is started next finds it.
                match locked(&idle).as_mut() {
                    Some(idle) => idle.push(hand),
                    None => drop(hand),
                }
                let _ = sender.send(message);
                next = orders.recv();
            }
        });
    }
}

/// Lets all threads end, each after what it is doing; also when the scheduler ends by a mistake of its own.
impl Drop for Hands<'_> {
    fn drop(&mut self) {
        *locked(&self.idle) = None;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn carry_out(job: &Job<'_>, pool: Option<&rayon::ThreadPool>, sender: &Sender<Message>) -> Message {
    let began = Instant::now();
    let speaker = Speaker { node: job.node, sender: sender.clone(), began, told: AtomicU64::new(0) };
    let carry = || job.task.run(&job.work(&speaker));
    let run = || match pool {
        Some(pool) => pool.install(carry),
        None => carry(),
    };
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Failure::new(Code::Internal, format!("a mistake in mtdata: {}", text.unwrap_or("unknown")))
            .advise("nothing was lost; please report it with this run's log"))
    });
    Message::Finished { node: job.node, result, began, took: began.elapsed() }
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
            policy: self.policy,
            cancel: &self.cancel,
            voice,
        }
    }
}

//! A lab's own command as a task: no shell unless it names one, its output kept, its whole process group ended with it.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::code::Code;
use crate::config::Project;
use crate::config::pipeline::CommandSpec;
use crate::disk::atomic::{SHARED, TEMPORARY_PREFIX, create_folder};
use crate::failure::Failure;
use crate::pages;
use crate::retry::{AttemptError, retry};
use crate::task::{Axes, Declaration, Done, Facts, Output, Task, Work};

/// How many of its last lines are shown when it fails.
const TAIL_LINES: usize = 20;
/// How much of its output the run's log keeps.
const KEPT_LINES: usize = 200;
/// How much of its output is looked at, from the end, in bytes.
const KEPT_BYTES: u64 = 64 << 10;
/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// One `command = [...]`.
pub struct CommandTask {
    spec: CommandSpec,
    /// The pool as `{pool}` writes it.
    pool: String,
}

impl CommandTask {
    pub fn new(project: &Project, spec: CommandSpec) -> Self {
        let root = &project.pipeline.root;
        let pool = project.pool();
        let pool = pool.strip_prefix(root).unwrap_or(&pool).to_string_lossy().into_owned();
        Self { spec, pool }
    }

    fn fill(&self, template: &str, axes: &Axes) -> String {
        let mut text = template.replace("{pool}", &self.pool);
        if let Some(server) = &axes.server {
            text = text.replace("{server}", server.as_str());
        }
        if let Some(scale) = &axes.scale {
            text = text.replace("{scale}", scale.as_str());
        }
        if let Some(date) = axes.date {
            text = text.replace("{date}", &date.to_string());
        }
        text
    }

    fn arguments(&self, work: &Work<'_>, out: Option<&Path>) -> Vec<String> {
        let there = work.inputs.iter().filter(|path| work.locate(path).exists());
        let inputs: Vec<String> = there.map(ToString::to_string).collect();
        let outputs: Vec<String> = work.outputs.iter().map(|output| output.path.to_string()).collect();
        let mut arguments = Vec::new();
        for template in &self.spec.command {
            match template.as_str() {
                "{inputs}" => arguments.extend(inputs.iter().cloned()),
                "{outputs}" => arguments.extend(outputs.iter().cloned()),
                _ => {
                    let mut text = self.fill(template, work.axes);
                    if let Some(out) = out {
                        text = text.replace("{out}", &out.to_string_lossy());
                    }
                    arguments
                        .push(text.replace("{inputs}", &inputs.join(" ")).replace("{outputs}", &outputs.join(" ")));
                }
            }
        }
        arguments
    }

    /// What it printed. How a command failed says nothing of whether that passes: only its author knows, and says so
    /// by `retries`. What cannot be started or does not make its output is not tried again.
    fn attempt(&self, work: &Work<'_>) -> Result<Vec<String>, AttemptError> {
        for output in work.outputs {
            let path = work.locate(&output.path);
            let folder = path.parent().unwrap_or(work.root);
            create_folder(folder, SHARED).map_err(|error| AttemptError::lasting(Failure::write(folder, error)))?;
        }
        let out = self.spec.command.iter().any(|part| part.contains("{out}")).then(|| Temporary::of(work)).flatten();
        let arguments = self.arguments(work, out.as_ref().map(|out| out.path.as_path()));
        let (mut child, log) = self.spawn(work, &arguments).map_err(AttemptError::lasting)?;
        let status = wait(&mut child, work, &arguments[0], &log)?;
        let said = last_lines(log);
        if !status.success() {
            return Err(AttemptError::may_pass(failure(&arguments[0], status, said)));
        }
        if let Some(out) = out {
            out.keep().map_err(AttemptError::lasting)?;
        }
        Ok(said)
    }

    /// The process, leader of a group of its own, and where it prints.
    fn spawn(&self, work: &Work<'_>, arguments: &[String]) -> Result<(Child, File), Failure> {
        let temporary = |error| Failure::write(Path::new("a temporary file"), error);
        let log = tempfile::tempfile().map_err(temporary)?;
        let copy = || log.try_clone().map_err(temporary);
        let mut command = std::process::Command::new(&arguments[0]);
        command.args(&arguments[1..]).current_dir(work.root).envs(&self.spec.env).process_group(0);
        command.stdin(Stdio::null()).stdout(copy()?).stderr(copy()?);
        let child = pages::usual_for(|| command.spawn()).map_err(|error| {
            Failure::new(Code::Command, format!("cannot start `{}`: {error}", arguments[0]))
                .advise("install it, or write its full path in `command`")
        })?;
        Ok((child, log))
    }
}

fn wait(child: &mut Child, work: &Work<'_>, name: &str, log: &File) -> Result<ExitStatus, AttemptError> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => {}
            Err(error) => {
                let failure = Failure::new(Code::Command, format!("cannot wait for `{name}`: {error}"));
                return Err(AttemptError::lasting(failure));
            }
        }
        if work.cancel.is_cancelled() {
            end(child);
            let message = format!("`{name}` was ended; the next run starts it again");
            return Err(AttemptError::lasting(Failure::new(Code::Interrupted, message)));
        }
        if start.elapsed() > work.policy.timeout {
            end(child);
            let limit = humantime::format_duration(work.policy.timeout);
            let mut failure = Failure::new(Code::Command, format!("`{name}` did not end within {limit}"))
                .advise("raise the task's `timeout`, or find out what it waits for");
            failure.tail = log.try_clone().map(last_lines).unwrap_or_default();
            return Err(AttemptError::may_pass(failure));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The whole group: a shell's children, too.
fn end(child: &mut Child) {
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
    // Processes that are gone already need no signal.
    let _ = kill_process_group(group, Signal::TERM);
    let start = Instant::now();
    while start.elapsed() < GRACE {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

fn failure(name: &str, status: ExitStatus, mut said: Vec<String>) -> Failure {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "did not succeed".to_owned(),
    };
    let mut failure = Failure::new(Code::Command, format!("`{name}` {how}"));
    failure.tail = said.split_off(said.len().saturating_sub(TAIL_LINES));
    failure
}

fn last_lines(mut log: File) -> Vec<String> {
    let mut bytes = Vec::new();
    let length = log.metadata().map(|found| found.len()).unwrap_or_default();
    let from = length.saturating_sub(KEPT_BYTES);
    if log.seek(std::io::SeekFrom::Start(from)).and_then(|_| log.read_to_end(&mut bytes)).is_err() {
        return vec!["(its output cannot be read)".to_owned()];
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.split_off(lines.len().saturating_sub(KEPT_LINES))
}

/// `{out}`: beside the output, renamed when the command succeeded.
struct Temporary {
    path: PathBuf,
    target: PathBuf,
}

impl Temporary {
    fn of(work: &Work<'_>) -> Option<Self> {
        let target = work.locate(&work.outputs.first()?.path);
        // The ending stays: programs choose the format by it.
        let name = target.file_name()?.to_string_lossy();
        let path = target.with_file_name(format!("{TEMPORARY_PREFIX}{}-{name}", std::process::id()));
        Some(Self { path, target })
    }

    fn keep(self) -> Result<(), Failure> {
        if !self.path.exists() {
            let message = format!("the command ended well but did not write {{out}} for {}", self.target.display());
            return Err(Failure::new(Code::Command, message).advise("write the result to the path given as {out}"));
        }
        let made = File::open(&self.path).and_then(|file| file.sync_all());
        let made = made.and_then(|()| std::fs::rename(&self.path, &self.target));
        let made = made.and_then(|()| crate::disk::atomic::sync_folder(self.target.parent().unwrap_or(Path::new("."))));
        made.map_err(|error| Failure::write(&self.target, error))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already when it was renamed.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Task for CommandTask {
    fn revision(&self) -> u32 {
        1
    }

    fn declare(&self, axes: &Axes, _: &Facts) -> Declaration {
        let environment: Vec<String> = self.spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let command: Vec<String> = self.spec.command.iter().map(|part| self.fill(part, axes)).collect();
        let mut parameters = vec![("command", command.join(" "))];
        if !environment.is_empty() {
            // Only whether it changed is shown: a value may be a secret.
            let digest = blake3::hash(environment.join("\0").as_bytes()).to_hex();
            parameters.push(("environment", digest[..16].to_owned()));
        }
        Declaration {
            inputs: self.spec.inputs.iter().map(|path| self.fill(path, axes).into()).collect(),
            outputs: self.spec.outputs.iter().map(|path| Output::required(self.fill(path, axes))).collect(),
            parameters,
        }
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        let printed = retry(work.policy, work.cancel, || self.attempt(work))?;
        Ok(Done { printed, ..Done::default() })
    }
}

//! Build, and the short forms of the first generation: the words that make things happen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::arguments::{BuildArguments, LogFormat, ProjectArguments, RunOptions, VerbArguments};
use crate::cli::{Exit, Fault};
use crate::config::Project;
use crate::config::pipeline::{Action, ScaleChoice};
use crate::output::{answer, remark};
use crate::plan::{Standing, Target};
use crate::run::events::RunOutcome;
use crate::run::facts::project_path;
use crate::run::preview::{Preview, all_targets, preview};
use crate::run::request::{Loudness, Request};
use crate::run::signals::Stop;
use crate::run::summary::{Refusal, Summary};
use crate::task::TaskSet;

pub fn run(project: &ProjectArguments, arguments: &BuildArguments) -> Result<Exit, Fault> {
    let log_json = log_json(project);
    let (project, tasks) = open(project)?;
    let (targets, explicit) = chosen(&project, &tasks, &arguments.targets)?;
    let request = Request { targets, explicit, prune: arguments.prune, log_json, ..Request::default() };
    carry_out(&project, &tasks, request, &arguments.run)
}

/// `action` is the verb: it selects the instances of every task with that action.
pub fn verb(project: &ProjectArguments, action: &str, arguments: &VerbArguments) -> Result<Exit, Fault> {
    let log_json = log_json(project);
    let (project, tasks) = open(project)?;
    let texts = verb_targets(&project, action, arguments.server.as_deref(), arguments.scale.as_deref())?;
    let (targets, explicit) = chosen(&project, &tasks, &texts)?;
    let request = Request { targets, explicit, any: true, log_json, ..Request::default() };
    carry_out(&project, &tasks, request, &arguments.run)
}

fn log_json(arguments: &ProjectArguments) -> Option<bool> {
    arguments.log_format.map(|format| format == LogFormat::Json)
}

/// Reads the project that the arguments name.
pub fn load(arguments: &ProjectArguments) -> Result<Project, Fault> {
    let here =
        std::env::current_dir().map_err(|error| Fault::usage(format!("cannot tell the current folder: {error}")))?;
    let start = arguments.folder.as_ref().map_or_else(|| here.clone(), |folder| here.join(folder));
    Ok(Project::load(arguments.file.as_deref(), &start)?)
}

/// The project and its tasks.
pub fn open(arguments: &ProjectArguments) -> Result<(Project, TaskSet), Fault> {
    let project = load(arguments)?;
    let tasks = crate::tasks::of(&project);
    Ok((project, tasks))
}

/// Targets as written, or the pipeline's default; files become the instance that makes them.
///
/// # Errors
/// A target that can select nothing, with the nearest that exist.
pub fn chosen(project: &Project, tasks: &TaskSet, texts: &[String]) -> Result<(Vec<Target>, bool), Fault> {
    let explicit = !texts.is_empty();
    let default = &project.pipeline.default;
    let texts = if explicit { texts } else { default };
    if texts.is_empty() {
        return Err(Fault::usage("no target given, and Pipeline.toml has no `default`"));
    }
    let servers: Vec<&str> = project.servers.keys().map(crate::study::name::ServerName::as_str).collect();
    let mut targets = Vec::new();
    let mut wrong = Vec::new();
    for text in texts {
        let parsed = Target::parse(text).ok_or_else(|| format!("`{text}` is not a target: TASK/SERVER/SCALE/DATE"));
        match parsed.and_then(|target| target.check(&project.pipeline, &servers).map(|()| target)) {
            Ok(target) => targets.push(target),
            Err(message) => match made(project, tasks, text)? {
                Some(target) => targets.push(target),
                None => wrong.push(message),
            },
        }
    }
    if wrong.is_empty() { Ok((targets, explicit)) } else { Err(Fault::usage(wrong.join("\nerror: "))) }
}

/// The instance that makes a file.
fn made(project: &Project, tasks: &TaskSet, text: &str) -> Result<Option<Target>, Fault> {
    if !text.contains('/') {
        return Ok(None);
    }
    let found =
        preview(project, tasks, &all_targets(project), true, false).map_err(|e| Fault::failed(e.to_string()))?;
    let here = std::env::current_dir().unwrap_or_default();
    let paths = [text.to_owned(), project_path(&project.pipeline.root, &here.join(text))];
    let node = paths.iter().find_map(|path| found.maker(path));
    Ok(node.and_then(|node| Target::parse(found.name(node))))
}

/// The targets of a verb with SERVER and SCALE.
///
/// # Errors
/// When no task has this action, or none of that choice.
pub fn verb_targets(
    project: &Project,
    action: &str,
    server: Option<&str>,
    scale: Option<&str>,
) -> Result<Vec<String>, Fault> {
    let tasks: Vec<_> = project.pipeline.tasks.iter().filter(|task| task.action.word() == action).collect();
    if tasks.is_empty() {
        return Err(Fault::usage(format!("Pipeline.toml has no task with action = \"{action}\"")));
    }
    let server = server.filter(|server| *server != ".");
    let export = action == "export";
    let mut targets = Vec::new();
    for task in tasks {
        let choice = match (export, scale) {
            (true, None | Some(".")) if task.scales == Some(ScaleChoice::Static) => continue,
            (true, Some("static")) if !matches!(task.scales, Some(ScaleChoice::Static) | None) => continue,
            (true, Some("all" | "static") | None) | (_, None | Some(".")) => None,
            (_, Some(name)) => Some(name),
        };
        targets.push(match (server, choice) {
            (None, None) => task.name.clone(),
            (Some(server), None) => format!("{}/{server}", task.name),
            (server, Some(scale)) => format!("{}/{}/{scale}", task.name, server.unwrap_or("*")),
        });
    }
    if targets.is_empty() {
        return Err(Fault::usage(format!("no task of Pipeline.toml exports the scales `{}`", scale.unwrap_or("."))));
    }
    Ok(targets)
}

fn carry_out(project: &Project, tasks: &TaskSet, request: Request, options: &RunOptions) -> Result<Exit, Fault> {
    if options.dry_run {
        return dry_run(project, tasks, &request.targets, request.explicit, options);
    }
    let request = Request {
        forced: options.force,
        jobs: options.jobs,
        fail_fast: options.fail_fast,
        loudness: loudness(options),
        explain: options.explain,
        json: options.json,
        trace: options.trace.clone(),
        wait: duration(options.wait.as_deref())?,
        ..request
    };
    end(crate::run::build(project, tasks, &request), options)
}

/// Runs a request and says how the call ends; for commands that build on the way.
pub fn end(result: Result<Summary, Refusal>, options: &RunOptions) -> Result<Exit, Fault> {
    let summary = match result {
        Ok(summary) => summary,
        Err(refusal) => return refused(refusal, options.quiet),
    };
    if !summary.unknown.is_empty() {
        return Err(Fault::usage(summary.unknown.join("\nerror: ")));
    }
    Ok(match exit_of(&summary) {
        Exit::Done if options.strict && summary.warnings > 0 => Exit::Warnings,
        exit => exit,
    })
}

/// How a call ends that could not begin.
///
/// # Errors
/// All but the lock of another run, which is told here.
pub fn refused(refusal: Refusal, quiet: bool) -> Result<Exit, Fault> {
    match refusal {
        Refusal::Locked(holder) => {
            if !quiet {
                let holder = if holder.is_empty() { String::new() } else { format!(" ({holder})") };
                remark!("another run is at work here{holder}; try again when it is done, or wait for it with --wait");
            }
            Ok(Exit::Locked)
        }
        Refusal::Io(path, error) => Err(Fault::failed(format!("{}: {error}", path.display()))),
    }
}

/// How a call ends whose run did.
pub fn exit_of(summary: &Summary) -> Exit {
    match (summary.outcome, summary.stop) {
        (RunOutcome::Interrupted, Some(Stop::Terminate)) => Exit::Terminated,
        (RunOutcome::Interrupted, _) => Exit::Interrupted,
        (RunOutcome::Failed, _) => Exit::Failed,
        (RunOutcome::Ok, _) => Exit::Done,
    }
}

fn loudness(options: &RunOptions) -> Loudness {
    match (options.quiet, options.verbose) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Normal,
    }
}

/// How long to wait for another run's end, as `--wait` says.
pub fn duration(wait: Option<&str>) -> Result<Duration, Fault> {
    match wait {
        None => Ok(Duration::ZERO),
        Some("inf") => Ok(Duration::from_secs(u64::from(u32::MAX))),
        Some(text) => humantime::parse_duration(text)
            .map_err(|error| Fault::usage(format!("--wait={text}: {error}; write 90s or 10m"))),
    }
}

fn dry_run(
    project: &Project,
    tasks: &TaskSet,
    targets: &[Target],
    explicit: bool,
    options: &RunOptions,
) -> Result<Exit, Fault> {
    let found = preview(project, tasks, targets, explicit, options.force).map_err(|e| Fault::failed(e.to_string()))?;
    let asks = found.outlook.all().any(|(_, standing)| matches!(standing, Standing::WouldAsk(_)));
    let exports = project.pipeline.tasks.iter().any(|task| task.action == Action::Export);
    if explicit && !found.unmatched.is_empty() && !exports {
        let texts = found.unmatched.iter().map(|&index| targets[index].unknown(&[]));
        return Err(Fault::usage(texts.collect::<Vec<_>>().join("\nerror: ")));
    }
    let mut shown = 0;
    for &node in &found.outlook.order {
        if let Some(line) = dry_line(&found, node, options) {
            answer!("{line}");
            shown += 1;
        }
    }
    let servers = crate::plan::target::servers_to_ask(&project.pipeline, &found.facts, targets);
    if !options.json {
        for server in servers.iter().filter(|_| !asks) {
            answer!("would ask  {server} for its listing; what that brings is known only then");
            shown += 1;
        }
        if shown == 0 && !options.quiet {
            answer!("nothing to do");
        }
    }
    Ok(Exit::Done)
}

fn dry_line(found: &Preview<'_>, node: petgraph::graph::NodeIndex, options: &RunOptions) -> Option<String> {
    let name = found.name(node);
    let texts = &found.store.names;
    let causes = crate::run::explanation::Causes::default();
    let (word, reason) = match found.outlook.of(node) {
        Standing::UpToDate => return options.verbose.then(|| format!("up to date {name}")),
        Standing::WouldAsk(reasons) => ("would ask", causes.line(reasons, texts)),
        Standing::WouldRun(reasons) => ("would run", causes.line(reasons, texts)),
        Standing::MayRun { because } => {
            ("may run", format!("if {} changes something", found.name(found.outlook.root(*because))))
        }
    };
    if options.json {
        let event = word.replace(' ', "_");
        return Some(serde_json::json!({"v": 1, "event": event, "target": name, "reason": reason}).to_string());
    }
    Some(format!("{word:<10} {name}: {reason}"))
}

/// A path for people: relative to here when it lies below.
pub fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).to_owned()
}

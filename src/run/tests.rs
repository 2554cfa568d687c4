//! Whole runs of command tasks in a folder of their own: what is planned is what runs, and a second run has nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::config::Project;
use crate::config::error::Source;
use crate::config::pipeline::{Action, AlertLevel, CommandSpec, DataPaths, EachAxes, LogSettings, Pipeline, TaskSpec};
use crate::failure::Failure;
use crate::plan::{Standing, Target};
use crate::run::build::build;
use crate::run::events::Outcome;
use crate::run::history;
use crate::run::home::runs_folder;
use crate::run::preview::preview;
use crate::run::request::{Loudness, Request};
use crate::run::summary::Summary;
use crate::task::TaskSet;
use crate::task::{Axes, Declaration, Done, Facts, Task, Work};

mod scales;

/// One step: its output is the text of its inputs and its own word.
#[derive(Debug, Clone)]
struct Step {
    word: u8,
    /// Files of `in/`.
    reads: Vec<usize>,
    /// Earlier steps.
    needs: Vec<usize>,
    /// It writes only the first letters, so that many changes of its inputs change nothing.
    cuts: bool,
    /// Of the code that does it.
    revision: u32,
}

/// A task of another revision of the program.
struct Revised(Box<dyn Task>, u32);

impl Task for Revised {
    fn revision(&self) -> u32 {
        self.0.revision() + self.1
    }

    fn declare(&self, axes: &Axes, facts: &Facts) -> Declaration {
        self.0.declare(axes, facts)
    }

    fn run(&self, work: &Work<'_>) -> Result<Done, Failure> {
        self.0.run(work)
    }
}

fn tasks(project: &Project, steps: &[Step]) -> TaskSet {
    let mut tasks = crate::tasks::of(project);
    let revise = |(task, step): (Box<dyn Task>, &Step)| Box::new(Revised(task, step.revision)) as Box<dyn Task>;
    tasks.all = tasks.all.into_iter().zip(steps).map(revise).collect();
    tasks
}

fn spec(index: usize, step: &Step) -> TaskSpec {
    let cut = if step.cuts { "head -c 2" } else { "cat" };
    let script = format!("echo {} > \"$0.x\"; cat \"$@\" /dev/null | {cut} >> \"$0.x\"; mv \"$0.x\" \"$0\"", step.word);
    let command = ["sh", "-c", &script, "{out}", "{inputs}"].map(str::to_owned).to_vec();
    let inputs = step.reads.iter().map(|file| format!("in/{file}")).collect();
    let outputs = vec![format!("out/{index}")];
    TaskSpec {
        name: format!("t{index}"),
        span: 0..0,
        action: Action::Command(CommandSpec { command, inputs, outputs, env: BTreeMap::new() }),
        each: EachAxes::default(),
        scales: None,
        servers: None,
        needs: step.needs.clone(),
        after: Vec::new(),
        group: None,
        retries: 0,
        timeout: Duration::from_secs(20),
        every: None,
        partial: false,
        alert: AlertLevel::None,
    }
}

fn project(root: &Path, steps: &[Step]) -> Project {
    let pipeline = Pipeline {
        source: Source { path: root.join("Pipeline.toml"), text: String::new() },
        root: root.to_owned(),
        default: Vec::new(),
        data: DataPaths {
            pool: PathBuf::from("data"),
            servers: PathBuf::from("config/servers.toml"),
            scales: PathBuf::from("config/scales"),
            alerts: None,
            corrections: None,
            participants: None,
        },
        logs: LogSettings::default(),
        groups: BTreeMap::new(),
        tasks: steps.iter().enumerate().map(|(index, step)| spec(index, step)).collect(),
    };
    Project {
        pipeline,
        servers: Arc::default(),
        alerts: None,
        studies: Arc::default(),
        accounts: Arc::default(),
        corrections: Arc::default(),
    }
}

fn all(project: &Project) -> Vec<Target> {
    project.pipeline.tasks.iter().map(|task| Target::parse(&task.name).unwrap()).collect()
}

/// For a lock that a command of another test in this process has inherited, until it is really another program.
const LONG_ENOUGH: Duration = Duration::from_secs(20);

fn run(project: &Project) -> Summary {
    run_tasks(project, &crate::tasks::of(project))
}

fn run_tasks(project: &Project, tasks: &TaskSet) -> Summary {
    let request = Request {
        targets: all(project),
        explicit: true,
        loudness: Loudness::Quiet,
        jobs: Some(2),
        wait: LONG_ENOUGH,
        ..Request::default()
    };
    build(project, tasks, &request).unwrap()
}

/// What a dry run says, by target.
#[derive(Debug, Default, PartialEq, Eq)]
struct Planned {
    surely: BTreeSet<String>,
    maybe: BTreeSet<String>,
}

impl Planned {
    /// Whether a run kept to it: what surely runs ran, and nothing else that was not foreseen.
    fn holds(&self, ran: &BTreeSet<String>) -> bool {
        self.surely.is_subset(ran) && ran.iter().all(|name| self.surely.contains(name) || self.maybe.contains(name))
    }
}

fn plan(project: &Project) -> Planned {
    plan_tasks(project, &crate::tasks::of(project), &all(project))
}

fn plan_tasks(project: &Project, tasks: &TaskSet, targets: &[Target]) -> Planned {
    let found = preview(project, tasks, targets, true, false).unwrap();
    let mut planned = Planned::default();
    for (node, standing) in found.outlook.all() {
        let name = found.name(node).to_owned();
        match standing {
            Standing::UpToDate => {}
            Standing::MayRun { .. } => drop(planned.maybe.insert(name)),
            Standing::WouldAsk(_) | Standing::WouldRun(_) => drop(planned.surely.insert(name)),
        }
    }
    planned
}

/// What ran, as the run's own log tells it.
fn ran(project: &Project, summary: &Summary) -> BTreeSet<String> {
    let events = history::events(&runs_folder(project), &summary.run).unwrap();
    let done = |event: &&serde_json::Value| {
        event["event"] == "task_finished" && (event["outcome"] == "built" || event["outcome"] == "unchanged")
    };
    events.iter().filter(done).map(|event| event["target"].as_str().unwrap().to_owned()).collect()
}

fn outputs(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(root.join("out")).into_iter().flatten().flatten();
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

fn write_inputs(root: &Path, inputs: &[u8]) {
    fs::create_dir_all(root.join("in")).unwrap();
    for (index, content) in inputs.iter().enumerate() {
        fs::write(root.join(format!("in/{index}")), [*content]).unwrap();
    }
}

#[derive(Debug, Clone)]
enum Edit {
    Content(usize, u8),
    Touch(usize),
    DeleteOutput(usize),
    SpoilOutput(usize),
    DeleteInput(usize),
    Word(usize, u8),
    AddRead(usize, usize),
    DropRead(usize),
    /// It needs another earlier step, or one less.
    AddNeed(usize, usize),
    DropNeed(usize),
    Cuts(usize),
    Revision(usize),
}

const FILES: usize = 4;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = (
        any::<u8>(),
        prop::collection::vec(0..FILES, 0..3),
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        any::<bool>(),
    );
    prop::collection::vec(one, 1..7).prop_map(|raw| {
        let make = |(index, (word, reads, needs, cuts)): (usize, (u8, Vec<usize>, Vec<prop::sample::Index>, bool))| {
            let mut needs: Vec<usize> =
                if index == 0 { Vec::new() } else { needs.iter().map(|n| n.index(index)).collect() };
            needs.sort_unstable();
            needs.dedup();
            Step { word, reads, needs, cuts, revision: 0 }
        };
        raw.into_iter().enumerate().map(make).collect()
    })
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let file = 0..FILES;
    let step = 0..7usize;
    let edit = prop_oneof![
        (file.clone(), any::<u8>()).prop_map(|(f, c)| Edit::Content(f, c)),
        file.clone().prop_map(Edit::Touch),
        step.clone().prop_map(Edit::DeleteOutput),
        step.clone().prop_map(Edit::SpoilOutput),
        file.clone().prop_map(Edit::DeleteInput),
        (step.clone(), any::<u8>()).prop_map(|(s, w)| Edit::Word(s, w)),
        (step.clone(), file).prop_map(|(s, f)| Edit::AddRead(s, f)),
        step.clone().prop_map(Edit::DropRead),
        (step.clone(), step.clone()).prop_map(|(s, n)| Edit::AddNeed(s, n)),
        step.clone().prop_map(Edit::DropNeed),
        step.clone().prop_map(Edit::Cuts),
        step.prop_map(Edit::Revision),
    ];
    prop::collection::vec(edit, 1..5)
}

fn apply(root: &Path, steps: &mut [Step], edit: &Edit) {
    let count = steps.len();
    let input = |file: usize| root.join(format!("in/{file}"));
    let output = |step: usize| root.join(format!("out/{}", step % count));
    match *edit {
        Edit::Content(file, content) => fs::write(input(file), [content]).unwrap(),
        Edit::Touch(file) => {
            if let Ok(old) = fs::read(input(file)) {
                fs::write(input(file), old).unwrap();
            }
        }
        Edit::DeleteOutput(step) => drop(fs::remove_file(output(step))),
        Edit::SpoilOutput(step) => fs::write(output(step), "spoilt").unwrap(),
        Edit::DeleteInput(file) => drop(fs::remove_file(input(file))),
        Edit::Word(step, word) => steps[step % count].word = word,
        Edit::AddRead(step, file) => steps[step % count].reads.push(file),
        Edit::DropRead(step) => drop(steps[step % count].reads.pop()),
        Edit::AddNeed(step, need) => {
            let step = step % count;
            let need = need % count;
            if need < step && !steps[step].needs.contains(&need) {
                steps[step].needs.push(need);
            }
        }
        Edit::DropNeed(step) => drop(steps[step % count].needs.pop()),
        Edit::Cuts(step) => steps[step % count].cuts ^= true,
        Edit::Revision(step) => steps[step % count].revision += 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// For any graph and any edits: the plan says what then runs, a second run does nothing, and the result is that of
    /// a build from scratch.
    #[test]
    fn what_is_planned_is_what_runs(steps in steps(), rounds in prop::collection::vec(edits(), 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut steps = steps;
        write_inputs(root, &[1, 2, 3, 4]);
        run(&project(root, &steps));
        for edits in rounds {
            for edit in &edits {
                apply(root, &mut steps, edit);
            }
            let project = project(root, &steps);
            let tasks = tasks(&project, &steps);
            let planned = plan_tasks(&project, &tasks, &all(&project));
            let first = ran(&project, &run_tasks(&project, &tasks));
            prop_assert!(planned.holds(&first), "{planned:?} {first:?}");
            prop_assert_eq!(ran(&project, &run_tasks(&project, &tasks)), BTreeSet::new());
            prop_assert_eq!(plan_tasks(&project, &tasks, &all(&project)), Planned::default());
            let scratch = tempfile::tempdir().unwrap();
            fs::create_dir_all(scratch.path().join("in")).unwrap();
            for file in 0..FILES {
                drop(fs::copy(root.join(format!("in/{file}")), scratch.path().join(format!("in/{file}"))));
            }
            run(&self::project(scratch.path(), &steps));
            prop_assert_eq!(outputs(root), outputs(scratch.path()));
        }
    }
}

fn step(word: u8, reads: &[usize], needs: &[usize], cuts: bool) -> Step {
    Step { word, reads: reads.to_vec(), needs: needs.to_vec(), cuts, revision: 0 }
}

#[test]
fn what_changes_nothing_stops_the_way_down() {
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path(), b"abc");
    let project = project(folder.path(), &[step(1, &[0, 1, 2], &[], true), step(2, &[], &[0], false)]);
    assert_eq!(ran(&project, &run(&project)).len(), 2);
    fs::write(folder.path().join("in/2"), "z").unwrap();
    let one = |name: &str| BTreeSet::from([name.to_owned()]);
    assert_eq!(plan(&project), Planned { surely: one("t0"), maybe: one("t1") });
    let summary = run(&project);
    assert_eq!(summary.tasks.get(&Outcome::Unchanged), Some(&1));
    assert_eq!(summary.tasks.get(&Outcome::UpToDate), Some(&1));
}

#[test]
fn a_failure_blocks_what_needs_it_and_nothing_else_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path(), b"abc");
    let steps = [step(1, &[0], &[], false), step(2, &[], &[0], false), step(3, &[1], &[], false)];
    let mut project = project(folder.path(), &steps);
    let good = project.pipeline.tasks[0].action.clone();
    let bad = CommandSpec {
        command: ["sh", "-c", "echo why >&2; exit 3"].map(str::to_owned).to_vec(),
        outputs: vec!["out/0".to_owned()],
        ..CommandSpec::default()
    };
    project.pipeline.tasks[0].action = Action::Command(bad);
    for _ in 0..2 {
        let summary = run(&project);
        assert_eq!(summary.tasks.get(&Outcome::Failed), Some(&1));
        assert_eq!(summary.tasks.get(&Outcome::Blocked), Some(&1));
        assert!(folder.path().join("out/2").exists() && !folder.path().join("out/0").exists());
    }
    project.pipeline.tasks[0].action = good;
    assert_eq!(ran(&project, &run(&project)).len(), 2);
}

#[test]
fn an_input_that_changes_while_its_task_runs_is_stale_next_time() {
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path(), b"abc");
    let mut project = project(folder.path(), &[step(1, &[0], &[], false)]);
    let meddling =
        "cat in/0 > \"$0\"; if [ ! -e meddled ]; then touch meddled; echo x > in/0; echo a | tr -d '\\n' > in/0; fi";
    let Action::Command(command) = &mut project.pipeline.tasks[0].action else { unreachable!("steps are commands") };
    command.command = ["sh", "-c", meddling, "{out}"].map(str::to_owned).to_vec();
    for expected in [1, 1, 0] {
        assert_eq!(ran(&project, &run(&project)).len(), expected);
    }
}

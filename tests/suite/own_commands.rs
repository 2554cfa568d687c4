//! Commands of one's own as they are lived with: what they get, how they fail, and how a run is stopped around them.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use predicates::prelude::*;
use predicates::str::contains;

use crate::rig::lab::{Run, mtdata};

/// A project of command tasks alone, with what is asked for by default.
fn project(tasks: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let head = "default = [\"last\"]\n[data]\npool = \"data\"\nservers = \"servers.toml\"\n";
    fs::write(folder.path().join("Pipeline.toml"), format!("{head}{tasks}")).unwrap();
    fs::write(folder.path().join("servers.toml"), "").unwrap();
    folder
}

fn run(root: &Path, arguments: &[&str], code: i32) -> Run {
    let output = mtdata().current_dir(root).args(arguments).arg("--json").output().unwrap();
    let run = Run::read(&output.stdout, &output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}", run.stderr);
    run
}

fn failure(run: &Run) -> String {
    let failed = run.events.iter().find(|event| event["outcome"] == "failed" && event["event"] == "task_finished");
    failed.unwrap()["failure"]["message"].as_str().unwrap().to_owned()
}

fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < limit, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lives(pid: &str) -> bool {
    // A process that ended and was not waited for yet has no command line any more.
    fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|line| !line.is_empty())
}

fn started(root: &Path) -> Child {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("mtdata"));
    command.current_dir(root).args(["build", "-q"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_command_has_the_memory_it_has_elsewhere() {
    let pages = |status: &str| status.lines().find(|line| line.starts_with("THP_enabled")).map(str::to_owned);
    let own = pages(&fs::read_to_string("/proc/self/status").unwrap());
    let task = "[task.last]\ncommand = [\"cp\", \"/proc/self/status\", \"{out}\"]\noutputs = [\"last.txt\"]\n";
    let folder = project(task);
    run(folder.path(), &["build"], 0);
    assert_eq!(pages(&fs::read_to_string(folder.path().join("last.txt")).unwrap()), own);
}

const SLOW: &str = r#"
[task.first]
command = ["sh", "-c", "cat word > \"$0\"", "{out}"]
inputs = ["word"]
outputs = ["first.txt"]
[task.last]
command = ["sh", "-c", "[ -e quick ] || { sleep 300 & echo $! > child; wait; }; cat first.txt > \"$0\"", "{out}"]
needs = ["first"]
outputs = ["last.txt"]
[task.never]
command = ["cp", "last.txt", "{out}"]
needs = ["last"]
outputs = ["never.txt"]
"#;

/// Both signals end the commands with all their children, keep what was finished and what stood there before.
#[test]
fn a_stopped_run_keeps_what_is_done_and_ends_what_it_started() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = project(SLOW);
        let root = folder.path();
        fs::write(root.join("word"), "old").unwrap();
        fs::write(root.join("quick"), "").unwrap();
        run(root, &["build", "never"], 0);
        fs::write(root.join("word"), "new").unwrap();
        fs::remove_file(root.join("quick")).unwrap();
        let mut child = started(root);
        wait_until("the slow command", || fs::read_to_string(root.join("child")).is_ok_and(|pid| pid.ends_with('\n')));
        let grandchild = fs::read_to_string(root.join("child")).unwrap();
        assert!(lives(&grandchild));
        let kill = std::process::Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        wait_until("the end of the command's child", || !lives(&grandchild));
        assert_eq!(fs::read_to_string(root.join("first.txt")).unwrap(), "new");
        assert_eq!(fs::read_to_string(root.join("last.txt")).unwrap(), "old");
        fs::write(root.join("quick"), "").unwrap();
        let next = run(root, &["build", "never"], 0);
        assert_eq!(next.targets("built"), ["last", "never"], "{signal}");
        assert_eq!(next.tasks("up_to_date"), 1);
        assert_eq!(fs::read_to_string(root.join("never.txt")).unwrap(), "new");
    }
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_its_children() {
    let folder = project(
        "[task.last]\ncommand = [\"sh\", \"-c\", \"echo waiting; sleep 300 & echo $! > child; wait\"]\ntimeout = \"300ms\"\n",
    );
    let failed = run(folder.path(), &["build"], 1);
    assert_eq!(failure(&failed), "`sh` did not end within 300ms");
    assert!(failed.stderr.contains("| waiting") && failed.stderr.contains("help: raise the task's `timeout`"));
    let grandchild = fs::read_to_string(folder.path().join("child")).unwrap();
    wait_until("the end of the command's child", || !lives(&grandchild));
}

#[test]
fn a_command_is_tried_again_as_often_as_it_asks_for() {
    let script = "echo x >> tries; [ $(wc -l < tries) -ge 3 ] && echo done > last.txt";
    let task = |retries: u32| {
        format!(
            "[task.last]\ncommand = [\"sh\", \"-c\", \"{script}\"]\noutputs = [\"last.txt\"]\nretries = {retries}\n"
        )
    };
    let folder = project(&task(2));
    run(folder.path(), &["build"], 0);
    assert_eq!(fs::read_to_string(folder.path().join("tries")).unwrap().lines().count(), 3);
    let folder = project(&task(1));
    let failed = run(folder.path(), &["build"], 1);
    assert_eq!(failure(&failed), "`sh` exited with 1 (tried 2 times)");
}

#[test]
fn what_cannot_be_started_is_not_tried_again() {
    let folder = project("[task.last]\ncommand = [\"no-such-program\"]\nretries = 5\n");
    let failed = run(folder.path(), &["build"], 1);
    assert!(failure(&failed).starts_with("cannot start `no-such-program`: "), "{}", failure(&failed));
    assert!(failed.stderr.contains("help: install it, or write its full path in `command`"), "{}", failed.stderr);
}

#[test]
fn a_signal_is_named_and_an_output_that_is_not_made_too() {
    let folder = project("[task.last]\ncommand = [\"sh\", \"-c\", \"kill -9 $$\"]\n");
    assert_eq!(failure(&run(folder.path(), &["build"], 1)), "`sh` was ended by signal 9");
    let folder = project("[task.last]\ncommand = [\"true\"]\noutputs = [\"out/last.txt\"]\n");
    let failed = run(folder.path(), &["build"], 1);
    assert_eq!(failure(&failed), "the command ended well but did not make out/last.txt");
    let folder = project("[task.last]\ncommand = [\"true\", \"{out}\"]\noutputs = [\"out/last.txt\"]\n");
    let failed = run(folder.path(), &["build"], 1);
    assert!(
        failure(&failed).starts_with("the command ended well but did not write {out} for "),
        "{}",
        failure(&failed)
    );
}

/// No shell in between, nothing to read on stdin, files in their places, and what it prints kept with the run.
#[test]
fn a_command_gets_its_files_and_nothing_on_stdin() {
    let folder = project(
        r#"
[task.first]
command = ["tee", "{outputs}"]
outputs = ["a $HOME; rm -rf x.txt", "b.txt"]
[task.last]
command = ["sh", "-c", "cat; printf '%s|' \"$@\"; echo; echo $WORD >&2; echo made > \"$0\"", "{out}", "{inputs}"]
inputs = ["in.txt", "never-there.txt"]
outputs = ["deep/er/last.csv"]
needs = ["first"]
env = { WORD = "from the environment" }
"#,
    );
    fs::write(folder.path().join("in.txt"), "").unwrap();
    let done = run(folder.path(), &["build"], 0);
    assert!(folder.path().join("a $HOME; rm -rf x.txt").exists());
    assert_eq!(fs::read_to_string(folder.path().join("deep/er/last.csv")).unwrap(), "made\n");
    let last = done.events.iter().find(|event| event["target"] == "last" && event["event"] == "task_finished").unwrap();
    let printed = ["in.txt|a $HOME; rm -rf x.txt|b.txt|", "from the environment"];
    assert_eq!(last["printed"].as_array().unwrap(), &printed);
    let id = done.last()["run"].as_str().unwrap();
    let told = mtdata().current_dir(folder.path()).args(["runs", id]).assert().success();
    told.stdout(contains("built").and(contains("| from the environment")));
}

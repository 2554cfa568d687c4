//! A demo project of its own for each test, with its server in the test's process.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use assert_cmd::Command;
use mtdata::parts::{Demo, Options, open};

/// A demo with its server up until it is dropped.
pub struct Lab {
    _folder: tempfile::TempDir,
    pub demo: Demo,
}

impl Lab {
    pub fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    /// In a folder of the test's choice.
    pub fn within(folder: tempfile::TempDir) -> Self {
        let options = Options { participants: 6, days: 20, seed: 7 };
        let demo = open(&folder.path().join("lab"), options).unwrap();
        Self::around(folder, demo)
    }

    /// With a demo that the test has made in the folder.
    pub fn around(folder: tempfile::TempDir, demo: Demo) -> Self {
        Self { _folder: folder, demo }
    }

    pub fn root(&self) -> &Path {
        &self.demo.folder
    }

    pub fn server_folder(&self) -> PathBuf {
        self.root().join("data/mindtrails")
    }

    pub fn mtdata(&self, arguments: &[&str]) -> Command {
        let mut command = mtdata();
        command.current_dir(self.root()).args(arguments);
        command
    }

    /// Builds everything and expects it to go well.
    pub fn build(&self) -> Run {
        self.run(&["build"], 0)
    }

    /// Calls with `--json` and expects this exit code.
    pub fn run(&self, arguments: &[&str], code: i32) -> Run {
        let output = self.mtdata(arguments).arg("--json").output().unwrap();
        let run = Run::read(&output.stdout, &output.stderr);
        assert_eq!(output.status.code(), Some(code), "{}\n{}", run.stderr, String::from_utf8_lossy(&output.stdout));
        run
    }

    pub fn replace(&self, file: &str, old: &str, new: &str) {
        let path = self.root().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{file} has no {old}");
        fs::write(&path, text.replace(old, new)).unwrap();
    }

    pub fn set_mode(&self, file: &str, mode: u32) {
        fs::set_permissions(self.root().join(file), fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// The binary under test.
pub fn mtdata() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mtdata"));
    command.env("NO_COLOR", "1");
    command
}

/// The events of a run.
pub struct Run {
    pub events: Vec<serde_json::Value>,
    pub stderr: String,
}

impl Run {
    pub fn read(stdout: &[u8], stderr: &[u8]) -> Self {
        let lines = std::str::from_utf8(stdout).unwrap().lines();
        let events = lines.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect();
        Self { events, stderr: String::from_utf8_lossy(stderr).into_owned() }
    }

    /// Targets that ended so, sorted.
    pub fn targets(&self, outcome: &str) -> Vec<String> {
        let finished = self.events.iter().filter(|e| e["event"] == "task_finished" && e["outcome"] == outcome);
        let mut targets: Vec<String> = finished.map(|e| e["target"].as_str().unwrap().to_owned()).collect();
        targets.sort();
        targets
    }

    pub fn count(&self, name: &str) -> u64 {
        self.last()["counts"][name].as_u64().unwrap_or_default()
    }

    pub fn tasks(&self, outcome: &str) -> u64 {
        self.last()["tasks"][outcome].as_u64().unwrap_or_default()
    }

    pub fn last(&self) -> &serde_json::Value {
        let last = self.events.last().unwrap();
        assert_eq!(last["event"], "run_finished");
        last
    }
}

/// Every file and folder below, with the time it was last changed.
pub fn times(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut all = BTreeMap::new();
    walk(folder, &mut |path, found| {
        all.insert(path.to_owned(), found.modified().unwrap());
    });
    all
}

/// Every file and folder below, as it looks.
pub fn metadata(folder: &Path) -> BTreeMap<PathBuf, fs::Metadata> {
    let mut all = BTreeMap::new();
    walk(folder, &mut |path, found| {
        all.insert(path.to_owned(), found.clone());
    });
    all
}

/// Every file below, with its bytes.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    walk(folder, &mut |path, found| {
        if found.is_file() {
            all.insert(path.to_owned(), fs::read(path).unwrap());
        }
    });
    all
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path, &fs::Metadata)) {
    visit(folder, &fs::metadata(folder).unwrap());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path, &fs::metadata(&path).unwrap());
        }
    }
}

/// Small and the same on each machine; the moments of the kills differ anyway.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

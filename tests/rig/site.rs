//! A study server with a few tables of plain entries and a project that exports them: quick to make, easy to count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use mtdata::parts::{DemoServer, DemoTable, Synthetic};

use crate::rig::lab::{Run, mtdata};

/// The server, and a project whose only server it is.
pub struct Site {
    folder: tempfile::TempDir,
    pub server: DemoServer,
}

/// An entry as the server would print it.
pub fn entry(id: i64, text: &str) -> String {
    format!("{{\"id\":{id},\"participant\":100,\"session\":\"firstSession\",\"text\":\"{text}\"}}")
}

impl Site {
    /// `OA`, `RR` and `Affect` can be deleted and have no entries yet; `TaskLog` and `ParticipantExport` stay, and the
    /// latter ignores `after`.
    pub fn new() -> Self {
        Self::with(&["OA", "RR", "Affect"])
    }

    /// With these tables that can be deleted.
    pub fn with(deleteable: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut study =
            Synthetic { schedule: b"[{\"name\":\"calm\",\"sessions\":[]}]".to_vec(), ..Synthetic::default() };
        for name in deleteable {
            let table = DemoTable { deleteable: true, honours_after: true, entries: Vec::new() };
            study.tables.insert((*name).to_owned(), table);
        }
        for name in ["TaskLog", "ParticipantExport"] {
            let table = DemoTable { deleteable: false, honours_after: name == "TaskLog", entries: Vec::new() };
            study.tables.insert(name.to_owned(), table);
        }
        let server = DemoServer::start(study, "admin", "s3cret-word", 0).unwrap();
        let site = Self { folder, server };
        site.write("password", "s3cret-word\n");
        fs::set_permissions(site.root().join("password"), fs::Permissions::from_mode(0o600)).unwrap();
        site.configure("");
        site.pipeline("retries = 1\ntimeout = \"20s\"", "");
        site
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The server's folder in the pool.
    pub fn pool(&self) -> PathBuf {
        self.root().join("data/calm")
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.root().join(file), text).unwrap();
    }

    /// servers.toml, with these further lines; they may say another url.
    pub fn configure(&self, more: &str) {
        let url = if more.contains("url =") { String::new() } else { format!("url = \"{}\"\n", self.server.url()) };
        let deleting = if more.contains("delete_mode") { "" } else { "delete_mode = true\n" };
        self.write(
            "servers.toml",
            &format!(
                "[calm]\nready = true\n{deleting}{url}user = \"admin\"\npassword = {{ file = \"password\" }}\n\
                 timezone = \"America/New_York\"\n{more}"
            ),
        );
    }

    /// Pipeline.toml: both kinds of tables, with these lines in each task, and these in that of the static ones.
    pub fn pipeline(&self, both: &str, fixed: &str) {
        self.write(
            "Pipeline.toml",
            &format!(
                "default = [\"export\", \"export-static\"]\n[data]\npool = \"data\"\nservers = \"servers.toml\"\n\
                 [groups]\nnetwork = 8\n\
                 [task.export]\naction = \"export\"\neach = [\"server\", \"scale\"]\nscales = \".\"\ngroup = \"network\"\n{both}\n\
                 [task.export-static]\naction = \"export\"\neach = [\"server\", \"scale\"]\nscales = \"static\"\n\
                 group = \"network\"\n{both}\n{fixed}\n"
            ),
        );
    }

    pub fn mtdata(&self, arguments: &[&str]) -> Command {
        let mut command = mtdata();
        command.current_dir(self.root()).args(arguments);
        command
    }

    /// A build with `--json` that ends with this exit code.
    pub fn build(&self, code: i32) -> Run {
        self.run(&["build"], code)
    }

    pub fn run(&self, arguments: &[&str], code: i32) -> Run {
        let output = self.mtdata(arguments).arg("--json").output().unwrap();
        let run = Run::read(&output.stdout, &output.stderr);
        assert_eq!(output.status.code(), Some(code), "{}\n{}", run.stderr, String::from_utf8_lossy(&output.stdout));
        run
    }

    /// Names and texts of the raw files.
    pub fn raw(&self) -> BTreeMap<String, String> {
        let all = fs::read_dir(self.pool().join("raw_data")).into_iter().flatten().map(|entry| entry.unwrap());
        all.filter(|entry| {
            let name = entry.file_name().into_string().unwrap();
            !name.starts_with('.') && name != "benchMark.json"
        })
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect()
    }

    /// Table and id of all archived entries; every raw file is whole JSON.
    pub fn archived(&self) -> BTreeSet<(String, i64)> {
        let mut found = BTreeSet::new();
        for (name, text) in self.raw() {
            let entries: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            let table = name.split("_20").next().unwrap().to_owned();
            found.extend(entries.iter().map(|entry| (table.clone(), entry["id"].as_i64().unwrap())));
        }
        found
    }

    /// What deletions.jsonl says, a step and an id a line.
    pub fn ledger(&self) -> Vec<(String, i64)> {
        let text = fs::read_to_string(self.pool().join("deletions.jsonl")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.map(|line| (line["step"].as_str().unwrap().to_owned(), line["id"].as_i64().unwrap())).collect()
    }

    /// Requests since the last look that are not of this method.
    pub fn deletes(&self) -> usize {
        self.server.requests().iter().filter(|request| request.starts_with("DELETE")).count()
    }
}

/// Codes and messages of the run's warnings.
pub fn warnings(run: &Run) -> Vec<(String, String)> {
    let told = run.events.iter().filter(|event| event["event"] == "warning" || event["event"] == "alert");
    told.map(|event| {
        (
            event["code"].as_str().unwrap_or_default().to_owned(),
            event["message"].as_str().unwrap_or_default().to_owned(),
        )
    })
    .collect()
}

/// The reasons of failed tasks, one a line.
pub fn failures(run: &Run) -> String {
    let failed = run.events.iter().filter(|event| event["outcome"] == "failed" && event["event"] == "task_finished");
    failed.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

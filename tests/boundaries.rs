//! The house holds by itself: which room may know which, read from the code's own `use` lines.
//!
//! The arrows stand here once; docs/design.md shows the same table. A room is a folder or a file directly below `src/`.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import beside itself.
const ARROWS: &[(&str, &[&str])] = &[
    // What knows nothing of ours, and may be known by all.
    ("study", &[]),
    ("disk", &[]),
    ("counts", &[]),
    ("code", &[]),
    ("output", &[]),
    ("style", &[]),
    ("pages", &[]),
    ("fault", &[]),
    ("failure", &["code", "counts"]),
    ("cancel", &["code", "failure"]),
    ("retry", &["code", "cancel", "failure"]),
    // The way of an entry.
    ("pool", &["study", "disk", "failure", "fault"]),
    ("client", &["code", "pool", "study", "failure", "cancel", "retry"]),
    ("keys", &["code", "pool", "study", "disk", "failure"]),
    ("table", &["code", "study", "disk", "failure", "cancel"]),
    ("report", &["table", "pool", "study", "disk", "failure", "style"]),
    // What people write, what was true, what has to be done.
    ("config", &["code", "pool", "study", "failure"]),
    ("state", &["disk"]),
    ("task", &["code", "study", "disk", "failure", "counts", "cancel", "retry"]),
    ("plan", &["task", "state", "config", "study", "failure"]),
    ("alert", &["code", "config", "disk", "failure", "pages"]),
    (
        "tasks",
        &[
            "code", "task", "config", "client", "pool", "table", "keys", "report", "study", "disk", "failure",
            "counts", "cancel", "retry", "pages", "fault",
        ],
    ),
    (
        "run",
        &[
            "code", "plan", "task", "state", "config", "alert", "pool", "study", "disk", "failure", "counts", "cancel",
            "retry", "output", "style", "pages",
        ],
    ),
    ("recovery", &["run", "plan", "task", "state", "config", "keys", "table", "pool", "study", "disk", "failure"]),
    ("demo", &["config", "keys", "pool", "study", "disk"]),
];

/// The rooms that may know every other; nothing knows them.
const OUTERMOST: &[&str] = &["cli", "main", "lib"];

#[test]
fn every_arrow_runs_the_right_way() {
    let mut wrong = Vec::new();
    for file in sources() {
        let room = file.room();
        if OUTERMOST.contains(&room) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: the room `{room}` has no arrows in tests/boundaries.rs", file.name));
            continue;
        };
        for (line, path) in &file.imports {
            let to = path.split("::").next().unwrap_or_default();
            if to != room && !allowed.contains(&to) {
                wrong.push(format!("{}:{line}: {room} -> {to} ({path})", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} arrows run the wrong way:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_design_shows_the_same_arrows() {
    let design = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/design.md")).unwrap();
    let row = |(room, to): &(&str, &[&str])| format!("| {room} | {} |\n", to.join(", "));
    let table: String = ARROWS.iter().map(row).collect();
    assert!(design.contains(&table), "docs/design.md should have these rows:\n{table}");
}

#[test]
fn the_arrows_have_no_circle() {
    let arrows: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(room, to)| (*room, to.iter().copied().collect())).collect();
    assert_eq!(circles(&arrows), Vec::<Vec<&str>>::new());
}

#[test]
fn no_two_files_of_a_room_import_each_other() {
    let files = sources();
    let by_module: BTreeMap<String, &str> = files.iter().map(|file| (file.module(), file.name.as_str())).collect();
    let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in &files {
        let to = arrows.entry(&file.name).or_default();
        for (_, path) in &file.imports {
            // The longest part of the path that is a file.
            let parts: Vec<&str> = path.split("::").collect();
            let found = (1..=parts.len()).rev().find_map(|end| by_module.get(&parts[..end].join("::")));
            if let Some(found) = found.filter(|found| **found != file.name) {
                to.insert(found);
            }
        }
    }
    let circles = circles(&arrows);
    let told: Vec<String> = circles.iter().map(|circle| circle.join(" <-> ")).collect();
    assert!(circles.is_empty(), "files that import each other:\n{}", told.join("\n"));
}

#[test]
fn an_arrow_in_the_wrong_direction_is_seen() {
    let text = "use crate::pool::paths;\nuse crate::{cli::Fault, run::events::{self, Event}};\n// use crate::alert;\n";
    let paths: Vec<String> = imports(text, &["study".to_owned()]).into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, ["pool::paths", "cli::Fault", "run::events", "run::events::Event"]);
    let inner =
        imports("use super::moment;\nlet x = crate::task::Axes::default();\n", &["study".into(), "cell".into()]);
    assert_eq!(inner, [(1, "study::moment".to_owned()), (2, "task::Axes::default".to_owned())]);
    let arrows =
        BTreeMap::from([("a", BTreeSet::from(["b"])), ("b", BTreeSet::from(["a"])), ("c", BTreeSet::from(["a"]))]);
    assert_eq!(circles(&arrows), [vec!["a", "b"]]);
}

struct SourceFile {
    /// Below `src/`.
    name: String,
    imports: Vec<(usize, String)>,
}

impl SourceFile {
    fn parts(&self) -> Vec<String> {
        module_of(&self.name)
    }

    fn module(&self) -> String {
        self.parts().join("::")
    }

    fn room(&self) -> &str {
        self.name.split(['/', '.']).next().unwrap_or_default()
    }
}

fn module_of(name: &str) -> Vec<String> {
    let plain = name.trim_end_matches(".rs");
    let plain = plain.strip_suffix("/mod").unwrap_or(plain);
    plain.split('/').map(str::to_owned).collect()
}

/// Every file of the product; files that hold only tests are not of the house.
fn sources() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    below(&root, &mut paths);
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let is_test = name.split('/').any(|part| matches!(part, "tests" | "tests.rs"));
        (!is_test).then(|| {
            let text = fs::read_to_string(path).unwrap();
            // What only tests import stands at the end of a file, in its module of tests.
            let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            SourceFile { imports: imports(product, &module_of(&name)), name }
        })
    };
    let files: Vec<SourceFile> = paths.iter().filter_map(read).collect();
    assert!(files.len() > 100, "only {} files found", files.len());
    files
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Each path of the crate that a text names, with its line; `super` is read from the module it stands in.
fn imports(text: &str, module: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(at) = text[rest..].find("crate::").map(|at| rest + at) {
        rest = at + "crate::".len();
        let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let before = &text[line_start..at];
        let within = before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
        if before.contains("//") || within {
            continue;
        }
        let line = text[..at].matches('\n').count() + 1;
        found.extend(unfold(&text[rest..]).into_iter().map(|path| (line, path)));
    }
    for (number, line) in text.lines().enumerate() {
        let Some(mut path) = line.trim_start().trim_start_matches("pub ").strip_prefix("use ") else { continue };
        let mut up = module.len();
        while let Some(outer) = path.strip_prefix("super::") {
            (path, up) = (outer, up.saturating_sub(1));
        }
        if up < module.len() {
            let base = module[..up].join("::");
            found.extend(unfold(path).into_iter().map(|path| (number + 1, format!("{base}::{path}"))));
        }
    }
    found.sort();
    found
}

/// `a::{b, c::{self, D}}` as `a::b`, `a::c`, `a::c::D`.
fn unfold(text: &str) -> Vec<String> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let head = text[..end].trim_end_matches(':');
    let Some(group) = text[end..].strip_prefix('{') else { return vec![head.to_owned()] };
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                parts.last_mut().unwrap().push(c);
            }
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    let below = parts.flat_map(unfold).map(|part| match (head, part.as_str()) {
        ("", _) => part,
        (_, "self") => head.to_owned(),
        _ => format!("{head}::{part}"),
    });
    below.collect()
}

/// What can be reached from itself, each circle once.
fn circles<'n>(arrows: &BTreeMap<&'n str, BTreeSet<&'n str>>) -> Vec<Vec<&'n str>> {
    let reach = |from: &'n str| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = vec![from];
        while let Some(at) = open.pop() {
            for next in arrows.get(at).into_iter().flatten() {
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = arrows.keys().map(|from| (*from, reach(from))).collect();
    let circle = |from: &&'n str| {
        let own = &reached[from];
        own.contains(from)
            .then(|| own.iter().copied().filter(|to| reached.get(to).is_some_and(|back| back.contains(from))).collect())
    };
    let all: BTreeSet<Vec<&str>> = arrows.keys().filter_map(circle).collect();
    all.into_iter().collect()
}

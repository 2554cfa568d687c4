//! What is sound is read as it is meant; what is not, whatever it is, is told and never panics.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::{PIPELINE, SERVERS, write};
use crate::config::error::{Problems, Source};
use crate::config::servers::Secret;
use crate::config::{Project, alerts_file, pipeline_file, scales, servers_file};
use crate::pool::paths::DateStyle;

#[test]
fn every_folder_shows_the_same_text_and_a_missing_pipeline_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    let told = Project::load(None, &below).unwrap_err().to_string();
    assert_eq!(
        told,
        "error: Pipeline.toml: is neither here nor in a folder above\n |\n = help: `mtdata init` writes one here; \
         `mtdata -f FILE` names another\n"
    );
    write(folder.path(), "Pipeline.toml", PIPELINE);
    let told = Project::load(None, &below).unwrap_err().to_string();
    assert_eq!(told, "error: config/servers.toml: cannot be read: no such file or directory\n");
    write(folder.path(), "config/servers.toml", "a = \"\u{e9}\"");
    fs::write(folder.path().join("config/servers.toml"), b"a = 1\nb = \"\xff\"").unwrap();
    let told = Project::load(Some(Path::new("Pipeline.toml")), folder.path()).unwrap_err().to_string();
    assert_eq!(told, "error: config/servers.toml: is not UTF-8 in line 2\n |\n = help: save it as UTF-8\n");
}

#[test]
fn colours_are_for_terminals_only() {
    let mut problems = Problems::default();
    problems.add(Path::new("x"), None, "bad \u{1b}[31m", Some("\u{1b}[31m".to_owned()));
    assert!(problems.render(true).contains("\u{1b}[1m"));
    assert!(!problems.render(false).contains('\u{1b}'));
}

#[test]
fn what_is_written_is_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "Pipeline.toml", &format!("{PIPELINE}timeout = \"90s\"\n[logs]\nkeep_days = 0x10\n"));
    let servers = format!(
        "{SERVERS}password = {{ file = \"keys/p\" }}\nkeys = [\"keys/a.pem\", \"/b.pem\"]\ndate_format = \"%b_%d_%Y\"\n\
         [old]\nready = false\nurl = \"http://[::1]:9000/api/export\"\nuser = \"u\"\ntimezone = \"America/New_York\"\n\
         path = \"/srv/old\"\npassword = {{ env = \"P\" }}\n"
    );
    write(folder.path(), "config/servers.toml", &servers);
    let project = Project::load(None, folder.path()).unwrap();
    let task = &project.pipeline.tasks[0];
    assert_eq!((task.retries, task.timeout.as_secs(), task.group.as_deref()), (3, 90, None));
    assert_eq!((project.pipeline.logs.keep_days, project.pipeline.groups["network"]), (16, 8));
    let (calm, old) = (&project.servers["calm"], &project.servers["old"]);
    assert_eq!(calm.path, folder.path().join("data/calm"));
    assert_eq!(calm.keys, [folder.path().join("keys/a.pem"), "/b.pem".into()]);
    assert_eq!(calm.password, Some(Secret::File(folder.path().join("keys/p"))));
    assert_eq!(calm.date_style, DateStyle::Pattern("%b_%d_%Y".to_owned()));
    assert!(calm.ready && !calm.delete_mode && !old.ready);
    assert_eq!((old.url.as_str(), old.path.as_path()), ("http://[::1]:9000/api/export/", Path::new("/srv/old")));
    assert_eq!(old.password, Some(Secret::Env("P".to_owned())));
}

#[test]
fn the_files_that_init_writes_are_sound() {
    Project::load(None, Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
}

/// Reads a text as each of the files; every problem lies inside it, and is shown without a panic.
fn read_as_everything(text: &str) {
    let source = Source { path: "/project/x.toml".into(), text: text.to_owned() };
    let root = Path::new("/project");
    for file in ["pipeline", "servers", "alerts", "scales"] {
        let problems = RefCell::new(Problems::below(root));
        problems.borrow_mut().sources.push(source.clone());
        match file {
            "pipeline" => drop(pipeline_file::read(&source, root, &problems)),
            "servers" => drop(servers_file::read(&source, root, root, &problems)),
            "alerts" => drop(alerts_file::read(&source, root, &problems)),
            _ => drop(scales::read("x", &source, &problems)),
        }
        let problems = problems.into_inner().ordered();
        for problem in &problems.problems {
            let span = problem.span.clone().unwrap();
            assert!(text.get(span).is_some(), "{problem:?}");
            assert!(!problem.message.is_empty());
        }
        let told = problems.to_string();
        assert!(told.matches("error: ").count() >= problems.problems.len(), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

/// Lines that mean something to one file or another.
#[rustfmt::skip]
const LINES: &[&str] = &[
    "[data]", "[task.a]", "[task.b]", "[mail]", "[calm]", "[scale.OA]", "[[scale.OA.score]]", "[groups]", "[hook]",
    "action = \"export\"", "action = \"score\"", "command = [\"x\", \"{out}\", \"{scale}\"]", "each = [\"server\", \"scale\"]",
    "needs = [\"b\"]", "after = [\"a\", \"a\"]", "outputs = [\"{pool}/{server}/x\"]", "every = \"1h\"", "timeout = 3",
    "password = \"hunter2\"", "password = { env = \"A\" }", "passphrase = 'hunter2", "url = \"https://u:hunter2@h/\"",
    "keys = [1, \"a\"]", "timezone = \"UTC\"", "date_format = \"%Q\"", "date_format = \"%H:%M\"", "scales = \".\"",
    "smtp = \"[::1]:25\"", "to = [\"a@b.c\", \"é\"]", "max_answer = 99999999999999999999", "retries = -1", "x = 1e400",
    "x = 1979-05-27", "\u{feff}", "é = \"é\"", "items = [\"é\"]", "range = [1, \"b\"]", "x = {", "x = [[[[", "\"\" = \"\"",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,60}|([\\[\\]{}=\"'\\\\.,#a-z0-9 \n\r\t]{0,80})") {
        read_as_everything(&text);
    }

    #[test]
    fn lines_in_any_order_are_read_without_a_panic(lines in prop::collection::vec(prop::sample::select(LINES), 0..14)) {
        read_as_everything(&lines.join("\n"));
    }

    #[test]
    fn the_shipped_files_with_a_byte_changed_are_read_without_a_panic(
        file in 0usize..4, at in any::<prop::sample::Index>(), gone in 0usize..30, put in "\\PC{0,3}|[\\[\\]{}=\"'\n]"
    ) {
        let text = [
            include_str!("../../../Pipeline.toml"), include_str!("../../../config/servers.toml"),
            include_str!("../../../config/alerts.toml"), include_str!("../../../config/scales/calm.toml"),
        ][file];
        let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let start = floor(at.index(text.len()));
        read_as_everything(&format!("{}{put}{}", &text[..start], &text[floor(start + gone)..]));
    }
}

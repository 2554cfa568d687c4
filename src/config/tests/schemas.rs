use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{PIPELINE, SERVERS, told};
use crate::config::schema;

fn schema(name: &str) -> Value {
    schema::all().into_iter().find(|known| known.name == name).unwrap().schema.to_value()
}

/// The keys of one kind of table in a schema; the root's without a name.
fn keys(name: &str, table: Option<&str>) -> BTreeSet<String> {
    let schema = schema(name);
    let place = table.map_or(&schema, |table| &schema["definitions"][table]);
    place["properties"].as_object().unwrap().keys().cloned().collect()
}

/// The keys that the reader knows, as it says itself when it is given one that nobody can have meant.
fn known(told: &str) -> BTreeSet<String> {
    let list = told.split("known here: ").nth(1).unwrap_or_else(|| panic!("{told}")).lines().next().unwrap();
    list.split(", ").map(|key| key.trim().to_owned()).collect()
}

/// What a project with these definitions is told.
fn told_of_scales(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    super::write(folder.path(), "Pipeline.toml", PIPELINE);
    super::write(folder.path(), "config/servers.toml", SERVERS);
    super::write(folder.path(), "config/scales/own.toml", text);
    super::Project::load(None, folder.path()).map_or_else(|problems| problems.to_string(), |_| String::new())
}

const NOBODY: &str = "qqqqqqqqqqqqqqqqqqqqqq = 1\n";

#[test]
fn the_reader_and_the_schemas_know_the_same_keys() {
    let pipeline = |text: &str| known(&told(&format!("{text}{NOBODY}{PIPELINE}"), SERVERS, None));
    assert_eq!(pipeline(""), keys("pipeline", None));
    for (head, table) in [("[data]\n", "Data"), ("[logs]\n", "Logs")] {
        let text = format!("{PIPELINE}{head}{NOBODY}");
        assert_eq!(known(&told(&text, SERVERS, None)), keys("pipeline", Some(table)), "{table}");
    }
    let command = format!("{PIPELINE}[task.own]\ncommand = [\"true\"]\n{NOBODY}");
    let mut task = known(&told(&command, SERVERS, None));
    task.extend(known(&told(&format!("{PIPELINE}{NOBODY}"), SERVERS, None)));
    assert_eq!(task, keys("pipeline", Some("Task")));
    assert_eq!(known(&told(PIPELINE, &format!("{SERVERS}{NOBODY}"), None)), keys("servers", Some("Server")));
    let with_alerts = format!("[data]\nalerts = \"alerts.toml\"\n{PIPELINE}");
    let alerts = |text: &str| known(&told(&with_alerts, SERVERS, Some(text)));
    assert_eq!(alerts(NOBODY), keys("alerts", None));
    let mail = "[mail]\nsmtp = \"localhost:25\"\ntls = \"none\"\nfrom = \"a@b.org\"\nto = [\"a@b.org\"]\n";
    for (text, table) in [
        (mail, "Mail"),
        ("[heartbeat]\nurl = \"https://example.org/\"\n", "Heartbeat"),
        ("[hook]\ncommand = [\"true\"]\n", "Hook"),
    ] {
        assert_eq!(alerts(&format!("{text}{NOBODY}")), keys("alerts", Some(table)), "{table}");
    }
}

#[test]
fn the_reader_and_the_schema_of_scales_know_the_same_keys() {
    let scale = "[scale.OA]\nitems = [\"a\"]\nrange = [0, 4]\n";
    let session = "[[session]]\nname = \"one\"\n";
    for (text, table) in [
        (NOBODY.to_owned(), None),
        (format!("[screening]\nkey = \"k\"\n{NOBODY}"), Some("Screening")),
        (format!("[enrolment]\ntimezone = \"UTC\"\n{NOBODY}"), Some("Enrolment")),
        (format!("[conditions]\ncolumn = \"c\"\n{NOBODY}"), Some("Conditions")),
        (format!("{session}{NOBODY}"), Some("Session")),
        (format!("{session}tasks = [{{ name = \"t\", {} }}]\n", NOBODY.trim()), Some("Task")),
        (format!("{scale}{NOBODY}"), Some("Scale")),
        (format!("{scale}[scale.OA.column]\na = {{ {} }}\n", NOBODY.trim()), Some("Column")),
        (format!("{scale}missing = {{ \"555\" = {{ meaning = \"declined\", {} }} }}\n", NOBODY.trim()), Some("Period")),
        (format!("{scale}[[scale.OA.score]]\nname = \"s\"\nrule = \"sum\"\n{NOBODY}"), Some("Score")),
    ] {
        assert_eq!(known(&told_of_scales(&text)), keys("scales", table), "{table:?}");
    }
}

/// The words of one kind in a schema, sorted.
fn words(name: &str, kind: &str) -> Vec<String> {
    let schema = schema(name);
    let all = schema["definitions"][kind]["enum"].as_array().unwrap_or_else(|| panic!("{kind} has no words"));
    let mut words: Vec<String> = all.iter().map(|word| word.as_str().unwrap().to_owned()).collect();
    words.sort();
    words
}

/// The words that the reader takes, as it says itself.
fn taken(told: &str) -> Vec<String> {
    let list = told.split("must be one of ").nth(1).unwrap_or_else(|| panic!("{told}")).lines().next().unwrap();
    let mut words: Vec<String> = list.split(", ").map(|word| word.trim_matches('"').to_owned()).collect();
    words.sort();
    words
}

#[test]
fn the_reader_and_the_schemas_know_the_same_words() {
    let pipeline = |text: &str| taken(&told(text, SERVERS, None));
    assert_eq!(pipeline("[task.own]\naction = \"qqqq\"\neach = [\"server\"]\n"), words("pipeline", "Action"));
    assert_eq!(pipeline(&format!("{PIPELINE}alert = \"qqqq\"\n")), words("pipeline", "Alert"));
    assert_eq!(pipeline(&format!("{PIPELINE}[logs]\nformat = \"qqqq\"\n")), words("pipeline", "LogFormat"));
    let mail = "[mail]\nsmtp = \"localhost:25\"\ntls = \"qqqq\"\nfrom = \"a@b.org\"\nto = [\"a@b.org\"]\n";
    let with_alerts = format!("[data]\nalerts = \"alerts.toml\"\n{PIPELINE}");
    assert_eq!(taken(&told(&with_alerts, SERVERS, Some(mail))), words("alerts", "Tls"));
    for (text, kind) in [
        ("duplicates = \"qqqq\"\n", "Duplicates"),
        ("[rule.R10]\nseverity = \"qqqq\"\n", "Severity"),
        ("[scale.OA]\nkind = \"qqqq\"\n", "Kind"),
    ] {
        assert_eq!(taken(&told_of_scales(text)), words("scales", kind), "{kind}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `MTDATA_WRITE_SCHEMAS=1 cargo test the_committed_schemas` writes them anew.
#[test]
fn the_committed_schemas_are_current() {
    for known in schema::all() {
        let path = root().join(format!("schemas/{}.json", known.name));
        if std::env::var_os("MTDATA_WRITE_SCHEMAS").is_some() {
            std::fs::write(&path, known.text()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == known.text(), "{} is old: MTDATA_WRITE_SCHEMAS=1 writes it anew", path.display());
    }
}

#[test]
fn every_file_that_ships_fits_its_schema_and_names_it() {
    let mut files = vec![
        ("pipeline", root().join("Pipeline.toml")),
        ("servers", root().join("config/servers.toml")),
        ("alerts", root().join("config/alerts.toml")),
    ];
    let scales = std::fs::read_dir(root().join("config/scales")).unwrap();
    files.extend(scales.map(|file| ("scales", file.unwrap().path())));
    assert!(files.len() > 6);
    for (name, path) in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let line = text.lines().next().unwrap();
        let named = path.parent().unwrap().join(line.strip_prefix("#:schema ").unwrap());
        let named = std::fs::canonicalize(named).unwrap();
        assert_eq!(named, std::fs::canonicalize(root().join(format!("schemas/{name}.json"))).unwrap());
        let content: Value = toml::from_str(&text).unwrap();
        let validator = jsonschema::validator_for(&schema(name)).unwrap();
        let mistakes: Vec<String> =
            validator.iter_errors(&content).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(mistakes.is_empty(), "{}: {mistakes:?}", path.display());
        let wrong = serde_json::json!({"nobody": {"knows": 1}});
        assert!(!validator.is_valid(&wrong));
    }
}

//! Who is told what, by a real mail server: once, again after a while, when it is over, and late rather than never.

use std::fs;

use predicates::prelude::*;
use predicates::str::contains;

use crate::monitor::Monitor;
use crate::rig::lab::contents;
use crate::rig::office::Office;
use crate::rig::smtp::{Manner, PASSWORD, USER};

const BROKEN: &str = "[MindTrails] mindtrails: the answer is a web page, not data";
const OVER: &str = "[MindTrails] over: mindtrails: the answer is a web page, not data";

#[test]
fn a_trouble_is_told_once_and_its_end_once() {
    let office = Office::new(Manner::Good);
    office.build(0);
    assert!(office.post.mails().is_empty());
    for _ in 0..3 {
        office.down();
        office.build(1);
    }
    office.build(0);
    office.build(0);
    assert_eq!(office.subjects(), [BROKEN, OVER]);
    let mail = &office.post.mails()[0];
    assert!(mail.encrypted && mail.login);
    assert_eq!(mail.to, ["admin@example.edu", "gone@example.edu"]);
    for part in
        ["What to do: ", "docs/runbook.md, section `not_json`", "export/mindtrails", "text/html", "Message-ID: <"]
    {
        assert!(mail.message.contains(part), "{part}: {}", mail.message);
    }
    assert!(office.post.mails()[1].message.contains("in 3 runs"));
}

#[test]
fn it_is_told_again_when_it_lasts() {
    let office = Office::new(Manner::Good);
    office.configure(office.post.port, "1ms", "");
    office.down();
    office.build(1);
    office.down();
    office.build(1);
    assert_eq!(office.subjects(), [BROKEN, BROKEN]);
}

#[test]
fn what_cannot_be_sent_is_sent_in_order_by_a_later_run() {
    let office = Office::new(Manner::Good);
    let port = office.post.port;
    // Nobody listens on port 1.
    office.configure(1, "6h", "");
    office.down();
    let run = office.build(1);
    assert!(run.stderr.contains("is kept for the next run"), "{}", run.stderr);
    let run = office.build(0);
    assert!(run.stderr.contains("is kept for the next run"), "{}", run.stderr);
    office.configure(port, "6h", "");
    office.post.behave(Manner::Greylists);
    office.build(0);
    assert!(office.post.mails().is_empty());
    office.post.behave(Manner::Good);
    let run = office.build(0);
    assert_eq!(run.stderr, "");
    assert!(run.events.iter().any(|event| event["event"] == "alert" && event["sent"] == 2 && event["waiting"] == 0));
    assert_eq!(office.subjects(), [BROKEN, OVER]);
    office.build(0);
    assert_eq!(office.post.mails().len(), 2);
}

#[test]
fn one_bad_address_silences_nobody() {
    let office = Office::new(Manner::Picky);
    office.down();
    office.build(1);
    assert_eq!(office.post.mails()[0].to, ["admin@example.edu"]);
    office.build(0);
    // The bad address is tried again; the good one gets each mail once and in order.
    office.build(0);
    assert_eq!(office.subjects(), [BROKEN, OVER]);
    office.post.behave(Manner::Good);
    office.build(0);
    assert_eq!(office.post.mails()[2..].iter().map(|mail| mail.to.len()).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn nothing_is_said_in_the_open_nor_to_a_stranger() {
    let office = Office::new(Manner::NoTls);
    let test = |authority: bool| {
        let mut command = office.lab.mtdata(&["alert", "test"]);
        if authority {
            command.env("SSL_CERT_FILE", &office.post.authority);
        }
        command.assert()
    };
    test(true).code(1).stderr(contains("did not leave"));
    office.post.behave(Manner::Good);
    test(false).code(1).stderr(contains("did not leave").and(contains("ertificate")));
    assert!(office.post.mails().is_empty());
    test(true).success().stderr(contains("sent to admin@example.edu"));
    assert_eq!(office.subjects(), ["[MindTrails] test"]);
}

#[test]
fn a_refused_login_is_told_without_the_password() {
    let office = Office::new(Manner::RefusesLogin);
    office.down();
    let run = office.build(1);
    assert!(run.stderr.contains("535") && run.stderr.contains("***"), "{}", run.stderr);
    let coded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("\0{USER}\0{PASSWORD}"));
    assert!(!run.stderr.contains(PASSWORD) && !run.stderr.contains(&coded));
    for folder in ["data/logs", ".mtdata"] {
        for (path, bytes) in contents(&office.lab.root().join(folder)) {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(PASSWORD) && !text.contains(&coded), "{}", path.display());
        }
    }
}

#[test]
fn a_command_is_told_as_json() {
    let office = Office::new(Manner::Good);
    let told = office.lab.root().join("told.json");
    let hook = format!("[hook]\ncommand = [\"sh\", \"-c\", \"cat > '{}'\"]\n", told.display());
    office.configure(office.post.port, "6h", &hook);
    office.down();
    office.build(1);
    let event: serde_json::Value = serde_json::from_slice(&fs::read(told).unwrap()).unwrap();
    assert_eq!((&event["event"], &event["new"][0]["code"]), (&"alert".into(), &"not_json".into()));
}

#[test]
fn entries_that_stay_on_the_server_without_any_failure_are_told() {
    let office = Office::new(Manner::Good);
    for content in ["1", "2"] {
        office.lab.demo.server.add("Affect", 9001, &format!("{{\"id\":9001,\"posFeelings\":{content}}}"));
    }
    office.build(0);
    assert_eq!(office.subjects(), ["[MindTrails] mindtrails: one id stands on the server with two contents"]);
    let path = office.lab.root().join(".mtdata/health.json");
    let mut health: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let pulse = &mut health["servers"]["mindtrails"];
    assert!(pulse["pending"].as_u64().unwrap() > 0);
    let long_ago = chrono::Utc::now() - chrono::TimeDelta::hours(5);
    pulse["pending_since"] = long_ago.to_rfc3339().into();
    fs::write(&path, health.to_string()).unwrap();
    office.build(0);
    office.build(0);
    assert_eq!(office.subjects()[1..], ["[MindTrails] mindtrails: archived entries stay on the server"]);
}

const SECRET_PATH: &str = "/ping/0b9c-geheim";
const CALL: &str = "GET /ping/0b9c-geheim HTTP/1.1";

#[test]
fn the_heart_beats_after_good_runs_only() {
    let office = Office::new(Manner::Good);
    let monitor = Monitor::start();
    let beat = |port: u16| format!("[heartbeat]\nurl = \"http://127.0.0.1:{port}{SECRET_PATH}\"\n");
    office.configure(office.post.port, "6h", &beat(monitor.port));
    office.build(0);
    assert_eq!(monitor.calls(), [CALL]);
    // Nothing was to do: that is good, too, and the usual case.
    office.build(0);
    assert_eq!(monitor.calls().len(), 2);
    office.down();
    office.build(1);
    assert_eq!(monitor.calls().len(), 2);
    // What only looks has run nothing, and a mistake in the configuration stops everything.
    office.lab.mtdata(&["build", "-n"]).assert().success();
    office.lab.mtdata(&["status"]).assert().success();
    office.lab.mtdata(&["build", "no/such/target"]).assert().code(2);
    assert_eq!(monitor.calls().len(), 2);
    // A mail server that is away is told by the run itself, and the data are fine.
    office.configure(1, "6h", &beat(monitor.port));
    let run = office.build(0);
    assert!(run.stderr.contains("is kept for the next run"), "{}", run.stderr);
    assert_eq!(monitor.calls().len(), 3);
}

#[test]
fn a_heartbeat_that_does_not_arrive_is_told_without_its_address_and_stops_nothing() {
    let office = Office::new(Manner::Good);
    let monitor = Monitor::start();
    // Without any mail.
    let beat = |port: u16| {
        let text = format!("[heartbeat]\nurl = \"http://127.0.0.1:{port}{SECRET_PATH}\"\n");
        fs::write(office.lab.root().join("config/alerts.toml"), text).unwrap();
    };
    beat(monitor.port);
    monitor.answer_with(404);
    let run = office.build(0);
    assert!(run.stderr.contains("the heartbeat did not arrive: ") && run.stderr.contains("404"), "{}", run.stderr);
    beat(1);
    let refused = office.build(0);
    assert!(refused.stderr.contains("the heartbeat did not arrive: Connection refused"), "{}", refused.stderr);
    for (path, bytes) in contents(&office.lab.root().join("data/logs")) {
        assert!(!String::from_utf8_lossy(&bytes).contains("geheim"), "{}", path.display());
    }
    assert!(!run.stderr.contains("geheim") && !refused.stderr.contains("geheim"));
}

#[test]
fn fifty_mails_wait_and_the_newest_says_how_many_were_given_up() {
    let office = Office::new(Manner::Good);
    let port = office.post.port;
    office.configure(1, "6h", "");
    office.down();
    office.build(1);
    // As if fifty runs had met as many troubles.
    let path = office.lab.root().join(".mtdata/alerts.json");
    let mut memory: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let first = memory["letters"][0].clone();
    let letters = (1..=50).map(|number| {
        let mut letter = first.clone();
        letter["subject"] = format!("[MindTrails] trouble {number}").into();
        letter["id"] = format!("<{number}@mtdata.invalid>").into();
        letter
    });
    memory["letters"] = letters.collect();
    fs::write(&path, memory.to_string()).unwrap();
    let run = office.build(0);
    assert!(
        run.stderr.contains("more than 50 mails wait for the mail server: the oldest is given up"),
        "{}",
        run.stderr
    );
    assert!(run.events.iter().any(|event| event["event"] == "alert" && event["waiting"] == 50));
    office.configure(port, "6h", "");
    let run = office.build(0);
    assert_eq!(run.stderr, "");
    let mut expected: Vec<String> = (2..=50).map(|number| format!("[MindTrails] trouble {number}")).collect();
    expected.push(OVER.to_owned());
    assert_eq!(office.subjects(), expected);
    let last = office.post.mails().last().unwrap().message.clone();
    assert!(last.contains("1 earlier mail was given up because too many waited"), "{last}");
    // That is said once.
    office.down();
    office.build(1);
    assert!(!office.post.mails().last().unwrap().message.contains("given up"));
}

#[test]
fn a_command_that_fails_is_told_with_its_last_lines_unless_it_is_not_to_be() {
    let office = Office::new(Manner::Good);
    let path = office.lab.root().join("Pipeline.toml");
    let before = fs::read_to_string(&path).unwrap();
    let with = |alert: &str| {
        let task = format!(
            "{before}\n[task.model]\ncommand = [\"sh\", \"-c\", \"seq 30; echo object calm not found >&2; exit 3\"]\n\
             outputs = [\"model.csv\"]\n{alert}"
        );
        fs::write(&path, task.replace("default = [", "default = [\"model\", ")).unwrap();
    };
    with("alert = \"none\"\n");
    office.build(1);
    with("alert = \"warning\"\n");
    office.build(1);
    assert!(office.post.mails().is_empty());
    with("");
    office.build(1);
    assert_eq!(office.subjects(), ["[MindTrails] a command of the pipeline failed"]);
    let mail = office.post.mails().remove(0).message;
    for part in ["  | 30", "  | object calm not found", "section `command`", "text/html", "<pre>"] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    assert!(!mail.contains("  | 2\n"), "{mail}");
}

//! Many ticks of a schedule while things break around it. MTDATA_SOAK_TICKS makes it longer than the usual 40.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, SystemTime};

use mtdata::demo::server::Fault;

use crate::alerts::Office;
use crate::chain::archived;
use crate::smtp::Manner;

/// What is broken in a part of the soak.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fine,
    /// Nothing is broken, and every tick comes twice.
    Crowded,
    LoginPage,
    RefusedLogin,
    /// The study server's login page, and no mail server.
    Silence,
}

const PARTS: [Weather; 8] = [
    Weather::Fine,
    Weather::LoginPage,
    Weather::Crowded,
    Weather::RefusedLogin,
    Weather::Fine,
    Weather::Silence,
    Weather::Crowded,
    Weather::Fine,
];

#[test]
fn many_ticks_lose_nothing_and_mail_only_what_is_news() {
    let ticks: i64 = std::env::var("MTDATA_SOAK_TICKS").map_or(40, |text| text.parse().unwrap());
    let office = Office::new(Manner::Good);
    let (lab, port) = (&office.lab, office.post.port);
    office.build(0);
    let first = size(&office);
    let mut added = BTreeSet::new();
    for tick in 0..ticks {
        let eighth = usize::try_from(tick * 8 / ticks).unwrap();
        let weather = PARTS[eighth];
        let id = 9000 + tick;
        let entry = format!("{{\"id\":{id},\"participant\":100,\"session\":\"firstSession\",\"posFeelings\":{tick}}}");
        lab.demo.server.add("Affect", id, &entry);
        added.insert(("Affect".to_owned(), id));
        office.configure(if weather == Weather::Silence { 1 } else { port }, "6h", "");
        match weather {
            Weather::Fine => drop(office.build(0)),
            Weather::Crowded => two_at_once(&office),
            Weather::LoginPage | Weather::Silence => {
                lab.demo.server.plan("GET", "export", Fault::LoginPage, 1);
                office.build(1);
            }
            Weather::RefusedLogin => {
                lab.demo.server.plan("GET", "export", Fault::Status(401), 1);
                office.build(1);
            }
        }
        if tick == ticks / 2 {
            midnight(&office);
        }
    }
    office.build(0);
    let missing: Vec<_> = added.difference(&archived(lab)).cloned().collect();
    assert!(missing.is_empty(), "not archived: {missing:?}");
    assert!(lab.demo.server.ids("Affect").is_empty());
    let page = "mindtrails: the answer is a web page, not data";
    let login = "mindtrails: the login was refused";
    let news: Vec<String> = [page, login, page]
        .iter()
        .flat_map(|what| [format!("[MindTrails] {what}"), format!("[MindTrails] over: {what}")])
        .collect();
    assert_eq!(office.subjects(), news);
    let logs: Vec<_> =
        fs::read_dir(lab.root().join("data/logs")).unwrap().flatten().map(|file| file.file_name()).collect();
    assert!(logs.iter().any(|name| name.to_string_lossy().starts_with("Daily.log.20")), "{logs:?}");
    // The state is written anew when it is more than twice what it has to hold, though never below a quarter megabyte.
    let last = size(&office);
    assert!(last < (1 << 18) + 4 * first, "{first} -> {last}");
}

fn size(office: &Office) -> u64 {
    let names = ["state", "alerts.json", "health.json"];
    names
        .iter()
        .filter_map(|name| fs::metadata(office.lab.root().join(".mtdata").join(name)).ok())
        .map(|m| m.len())
        .sum()
}

fn two_at_once(office: &Office) {
    let start = || {
        let mut command = Process::new(assert_cmd::cargo::cargo_bin!("mtdata"));
        command.current_dir(office.lab.root()).args(["build", "-q"]).env("SSL_CERT_FILE", &office.post.authority);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()];
    let codes = both.map(|child| {
        let output = child.wait_with_output().unwrap();
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        output.status.code().unwrap()
    });
    assert!(codes.contains(&0) && codes.iter().all(|code| [0, 75].contains(code)), "{codes:?}");
}

/// The logs were last written yesterday.
fn midnight(office: &Office) {
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
    for entry in fs::read_dir(office.lab.root().join("data/logs")).unwrap().flatten() {
        OpenOptions::new().append(true).open(entry.path()).unwrap().set_modified(yesterday).unwrap();
    }
}

//! A study server that breaks in every planned way: nothing is lost, nothing is deleted in doubt, and each trouble is
//! told by its own name.

use std::fs;
use std::time::{Duration, Instant};

use mtdata::parts::{ResetMoment, ServerFault};
use predicates::prelude::*;
use predicates::str::contains;

use crate::rig::site::{Site, entry, failures, warnings};

fn passing() -> Vec<(ServerFault, &'static str)> {
    vec![
        (ServerFault::Status(500), "server_error"),
        (ServerFault::Status(502), "server_error"),
        (ServerFault::Status(503), "server_error"),
        (ServerFault::RetryAfter(429, 0), "server_error"),
        (ServerFault::Reset(ResetMoment::Before), "unreachable"),
        (ServerFault::Reset(ResetMoment::Within), "truncated"),
        (ServerFault::Reset(ResetMoment::After), "truncated"),
        (ServerFault::Cut { announced: true }, "truncated"),
        (ServerFault::Cut { announced: false }, "truncated"),
        (ServerFault::Gzip { whole: false }, "truncated"),
    ]
}

#[test]
fn what_passes_is_tried_again_and_then_all_is_well() {
    let site = Site::new();
    for (number, (fault, _)) in (1..).zip(passing()) {
        site.server.add("OA", number, &entry(number, "an answer of some length"));
        site.server.plan("GET", "export/OA", fault.clone(), 1);
        let run = site.build(0);
        assert_eq!((run.count("stored"), run.count("deleted")), (1, 1), "{fault:?}");
        assert!(site.archived().contains(&("OA".to_owned(), number)), "{fault:?}");
    }
    site.server.plan("GET", "export", ServerFault::Status(503), 1);
    site.build(0);
    assert!(!site.pool().join("quarantine").exists());
}

#[test]
fn what_does_not_pass_is_told_by_its_name_and_nothing_is_deleted() {
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "an answer of some length"));
    for (fault, kind) in passing() {
        site.server.plan("GET", "export/OA", fault.clone(), 2);
        site.server.add("RR", 1, &entry(1, &format!("{fault:?}").replace('"', "")));
        let run = site.build(1);
        assert_eq!(run.targets("failed"), ["export/calm/OA"], "{fault:?}");
        assert!(failures(&run).contains(&format!("\"kind\":\"{kind}\"")), "{fault:?}: {}", failures(&run));
        assert!(failures(&run).contains("(tried 2 times)"), "{fault:?}: {}", failures(&run));
        assert_eq!(run.count("stored"), 1, "{fault:?}: the other table goes on");
        assert_eq!(site.server.ids("OA"), [1], "{fault:?}");
        assert!(!site.raw().keys().any(|name| name.starts_with("OA")), "{fault:?}");
        // Another version of one id blocks the table; the next round brings a new one.
        site.server.lose("RR", 1);
        fs::remove_dir_all(site.pool().join(".archive")).unwrap();
        site.raw().keys().for_each(|name| fs::remove_file(site.pool().join("raw_data").join(name)).unwrap());
    }
    site.build(0);
    assert_eq!(site.archived().into_iter().collect::<Vec<_>>(), [("OA".to_owned(), 1)]);
}

#[test]
fn what_will_not_pass_is_not_asked_twice() {
    let text = |text: &str| ServerFault::Text(text.to_owned());
    let lasting = [
        (ServerFault::LoginPage, "not_json"),
        (text("<html>not what its type says</html>"), "not_json"),
        (text("Whitelabel Error Page"), "not_json"),
        (ServerFault::Redirect("/login".to_owned()), "refused"),
        (ServerFault::Status(401), "refused"),
        (ServerFault::Status(403), "refused"),
        (ServerFault::Status(404), "wrong_shape"),
        (ServerFault::Status(204), "wrong_shape"),
        (text("{\"error\":\"no\"}"), "wrong_shape"),
        (text("[1,2]"), "wrong_shape"),
        (text("[{\"participant\":7}]"), "wrong_shape"),
        (text("[{\"id\":1.5}]"), "wrong_shape"),
        (text("[{\"id\":\"1\"}]"), "wrong_shape"),
        (text("[{\"id\":99999999999999999999}]"), "wrong_shape"),
        (text("[{\"id\":1}][{\"id\":2}]"), "wrong_shape"),
        (text("[{\"id\":1},]"), "wrong_shape"),
        (text("[{\"id\":1} {\"id\":2}]"), "wrong_shape"),
        (text("[{\"id\":1,\"a\":tru}]"), "wrong_shape"),
    ];
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "x"));
    for (fault, kind) in lasting {
        let told = format!("{fault:?}").chars().take(60).collect::<String>();
        site.server.plan("GET", "export/OA", fault, 1);
        let before = site.server.requests().len();
        let run = site.build(1);
        let asked = site.server.requests()[before..].iter().filter(|request| *request == "GET export/OA").count();
        assert_eq!((asked, run.targets("failed")), (1, vec!["export/calm/OA".to_owned()]), "{told}");
        assert!(failures(&run).contains(&format!("\"kind\":\"{kind}\"")), "{told}: {}", failures(&run));
        assert!(failures(&run).contains("export/OA") && failures(&run).contains("\"advice\""), "{told}");
    }
    assert_eq!((site.deletes(), site.raw().len(), site.server.ids("OA")), (0, 0, vec![1]));
    site.server.plan("GET", "export", ServerFault::LoginPage, 1);
    assert!(failures(&site.build(1)).contains("\"kind\":\"not_json\""));
    assert_eq!(site.build(0).count("deleted"), 1);
}

#[test]
fn a_body_that_is_not_what_it_should_be_is_kept_once_with_its_reason() {
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "x"));
    let page = "<html><body>Session expired</body></html>";
    site.server.plan("GET", "export/OA", ServerFault::Text(page.to_owned()), 2);
    let run = site.build(1);
    assert!(run.stderr.contains("the answer is kept as"), "{}", run.stderr);
    site.build(1);
    let kept: Vec<_> =
        fs::read_dir(site.pool().join("quarantine/answers")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let with = |extension: &str| kept.iter().find(|path| path.extension().is_some_and(|e| e == extension)).unwrap();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!(fs::read_to_string(with("body")).unwrap(), page);
    assert!(fs::read_to_string(with("reason")).unwrap().contains("is not JSON"));
    site.server.plan("GET", "export/OA", ServerFault::Reset(ResetMoment::Within), 2);
    let run = site.build(1);
    assert!(run.stderr.contains("broke off"), "{}", run.stderr);
    let reasons = fs::read_dir(site.pool().join("quarantine/answers")).unwrap().map(|entry| entry.unwrap().path());
    let reasons: Vec<String> = reasons
        .filter(|path| path.extension().is_some_and(|e| e == "reason"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(reasons.iter().any(|reason| reason.contains("the answer broke off")), "{reasons:?}");
}

#[test]
fn strange_but_whole_entries_are_archived_byte_for_byte_and_deleted() {
    let site = Site::new();
    let nested = format!("{{\"id\":5,\"x\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let strange = [
        r#"{"id":1,"n":123456789012345678901234567890,"f":1e400,"z":-0.0,"p":1.10}"#,
        r#"{"id":2,"text":"a\u0000b\ud800c\udc00","x":"\/"}"#,
        r#"{ "id" : 3 , "text":"=1+1\r\n\"quoted\", 心配 😟" ,"list":["app",null,{}]}"#,
        r#"{"participant":1,"a":1,"a":2,"id":-4}"#,
        r#"{"id":9223372036854775807,"":""}"#,
        &nested,
    ];
    for (entry, id) in strange.iter().zip([1, 2, 3, -4, i64::MAX, 5]) {
        site.server.add("OA", id, entry);
    }
    let run = site.build(0);
    assert_eq!((run.count("stored"), run.count("deleted")), (6, 6));
    let raw = site.raw();
    assert_eq!(raw.into_values().collect::<Vec<_>>(), [format!("[{}]", strange.join(","))]);
    assert_eq!(site.server.ids("OA"), [0; 0]);
}

#[test]
fn ids_that_repeat_block_deletion_until_the_server_is_mended() {
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "first"));
    site.server.add("OA", 2, &entry(2, "same"));
    site.server.add("OA", 2, &entry(2, "same"));
    let run = site.build(0);
    assert_eq!((run.count("stored"), run.count("duplicates"), run.count("delete_pending")), (2, 1, 2));
    let told = warnings(&run);
    assert!(told.iter().any(|(code, what)| code == "repeated_id" && what.contains("id 2 stand")), "{told:?}");
    site.server.add("OA", 1, &entry(1, "second"));
    let run = site.build(0);
    assert_eq!(run.count("stored"), 1);
    assert_eq!(site.deletes(), 0);
    site.server.lose("OA", 1);
    site.server.lose("OA", 2);
    site.server.add("OA", 3, &entry(3, "later"));
    assert_eq!(site.build(0).count("deleted"), 1);
    assert_eq!(site.raw().values().map(|text| text.matches("\"id\"").count()).sum::<usize>(), 4);
}

#[test]
fn an_entry_that_came_back_changed_blocks_deletion_and_both_are_kept() {
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "before"));
    site.server.plan("DELETE", "export/OA/1", ServerFault::Lie, 1);
    site.build(1);
    site.server.lose("OA", 1);
    site.server.add("OA", 1, &entry(1, "after"));
    let deletes = site.deletes();
    let run = site.build(0);
    assert!(warnings(&run).iter().any(|(code, _)| code == "changed_id"), "{:?}", warnings(&run));
    assert_eq!((site.deletes(), run.count("delete_pending")), (deletes, 1));
    let all: String = site.raw().into_values().collect();
    assert!(all.contains("before") && all.contains("after"));
}

#[test]
fn entries_that_arrive_between_the_steps_are_exported_by_the_next_run() {
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "x"));
    let arrival = |id: i64| ServerFault::Arrival { table: "OA".to_owned(), id, entry: entry(id, "late") };
    site.server.plan("GET", "export", arrival(2), 1);
    site.server.plan("GET", "export/OA", arrival(3), 1);
    site.server.plan("DELETE", "export/OA/1", arrival(4), 1);
    let run = site.build(0);
    assert_eq!((run.count("listed"), run.count("received"), run.count("deleted")), (1, 2, 2));
    assert_eq!(site.server.ids("OA"), [3, 4]);
    assert_eq!(site.build(0).count("deleted"), 2);
    let expected: Vec<_> = (1..=4).map(|id| ("OA".to_owned(), id)).collect();
    assert_eq!(site.archived().into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn only_another_look_at_the_table_tells_what_a_delete_did() {
    let site = Site::new();
    let fill = |ids: std::ops::RangeInclusive<i64>| ids.for_each(|id| site.server.add("OA", id, &entry(id, "x")));
    fill(1..=3);
    site.server.plan("DELETE", "export/OA/1", ServerFault::DoneBut(500), 1);
    site.server.plan("DELETE", "export/OA/2", ServerFault::DoneBut(404), 1);
    assert_eq!(site.build(0).count("deleted"), 3);
    fill(4..=6);
    site.server.plan("DELETE", "export/OA/4", ServerFault::Lie, 1);
    site.server.plan("DELETE", "export/OA/5", ServerFault::Status(404), 1);
    let run = site.build(1);
    assert_eq!((run.count("deleted"), run.count("delete_pending")), (1, 2));
    assert!(
        run.stderr.contains("2 of 3 entries are still on the server after DELETE, ids 4, 5; answers: 200 x2, 404 x1"),
        "{}",
        run.stderr
    );
    assert!(failures(&run).contains("\"kind\":\"deletion\""));
    // Again not: now the age is told, since nothing else raises the alarm.
    site.server.plan("DELETE", "export/OA/4", ServerFault::Status(500), 1);
    let run = site.build(1);
    assert!(
        failures(&run).contains("\"kind\":\"should_be_gone\"") && run.stderr.contains("the oldest should be gone for"),
        "{}",
        run.stderr
    );
    let run = site.build(0);
    assert_eq!((run.count("deleted"), run.count("already_held"), run.count("stored")), (1, 1, 0));
    assert_eq!(site.ledger().iter().filter(|(step, _)| step == "confirmed").count(), 6);
}

#[test]
fn deletions_whose_second_look_failed_are_settled_by_the_next_run() {
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "x"));
    site.server.plan("DELETE", "export/OA/1", ServerFault::Reset(ResetMoment::Before), 1);
    // The first look at the table goes well, the second does not.
    site.server.plan("GET", "export/OA", ServerFault::Delay(Duration::ZERO), 1);
    site.server.plan("GET", "export/OA", ServerFault::LoginPage, 1);
    let run = site.build(1);
    assert!(run.stderr.contains("could not be looked at again"), "{}", run.stderr);
    assert_eq!(site.ledger().last().unwrap().0, "sent");
    // What records that something is open may be lost: the ledger says it again.
    fs::remove_dir_all(site.pool().join(".archive")).unwrap();
    site.server.lose("OA", 1);
    site.build(0);
    assert_eq!(site.ledger().last().unwrap().0, "confirmed");
}

#[test]
fn a_slow_answer_has_an_end() {
    let site = Site::new();
    site.pipeline("retries = 0\ntimeout = \"2s\"", "");
    for id in 1..=20 {
        site.server.add("OA", id, &entry(id, "x"));
    }
    site.server.plan("GET", "export/OA", ServerFault::Drip(Duration::from_millis(100)), 1);
    let start = Instant::now();
    let run = site.build(1);
    assert!(failures(&run).contains("\"kind\":\"timeout\""), "{}", failures(&run));
    // The whole answer would take nine seconds, whatever the load.
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!((site.deletes(), site.raw().len()), (0, 0));
    site.server.plan("GET", "export", ServerFault::Delay(Duration::from_secs(10)), 1);
    assert!(failures(&site.build(1)).contains("no answer in time"));
}

#[test]
fn the_server_says_when_to_come_again() {
    let site = Site::new();
    site.server.add("OA", 1, &entry(1, "x"));
    site.server.plan("GET", "export/OA", ServerFault::RetryAfter(503, 3), 1);
    let start = Instant::now();
    assert_eq!(site.build(0).count("deleted"), 1);
    assert!(start.elapsed() >= Duration::from_secs(3));
    site.server.add("OA", 2, &entry(2, "x"));
    site.server.plan("GET", "export/OA", ServerFault::RetryAfter(429, 7200), 9);
    let run = site.build(1);
    assert!(run.stderr.contains("answered 429 and asks to come again only in 2h"), "{}", run.stderr);
    assert_eq!(site.server.requests().iter().filter(|request| *request == "GET export/OA").count(), 4);
}

#[test]
fn a_redirect_is_never_followed_and_the_password_goes_nowhere() {
    let (site, other) = (Site::new(), Site::new());
    site.server.add("OA", 1, &entry(1, "x"));
    let place = format!("{}export/OA", other.server.url());
    site.server.plan("GET", "export/OA", ServerFault::Redirect(place.clone()), 1);
    let run = site.build(1);
    assert!(run.stderr.contains(&format!("redirected to {place} (302); not followed")), "{}", run.stderr);
    site.server.plan("GET", "export", ServerFault::Redirect(place), 1);
    site.build(1);
    assert_eq!(other.server.requests(), [""; 0]);
    let mut everything = run.stderr;
    for folder in ["data", ".mtdata"] {
        for bytes in crate::rig::lab::contents(&site.root().join(folder)).into_values() {
            everything += &String::from_utf8_lossy(&bytes);
        }
    }
    assert!(!everything.contains("s3cret-word"));
}

#[test]
fn an_answer_has_a_largest_size() {
    let site = Site::new();
    site.configure("max_answer = 1024\n");
    (1..=40).for_each(|id| site.server.add("OA", id, &entry(id, "x")));
    site.mtdata(&["build"])
        .assert()
        .code(1)
        .stderr(contains("the answer is larger than 1024 bytes").and(contains("raise `max_answer`")));
    assert_eq!((site.deletes(), site.raw().len()), (0, 0));
    site.configure("");
    assert_eq!(site.build(0).count("deleted"), 40);
}

#[test]
fn what_comes_compressed_is_archived_as_it_was_and_measured_as_it_was() {
    let site = Site::new();
    let long = "x".repeat(1000);
    (1..=9).for_each(|id| site.server.add("OA", id, &entry(id, &long)));
    site.configure("max_answer = 4096\n");
    // A few hundred bytes on the way, more than nine thousand in memory.
    site.server.plan("GET", "export/OA", ServerFault::Gzip { whole: true }, 1);
    let run = site.build(1);
    assert!(run.stderr.contains("the answer is larger than 4096 bytes"), "{}", run.stderr);
    assert_eq!((site.deletes(), site.raw().len()), (0, 0));
    site.configure("");
    site.server.plan("GET", "export/OA", ServerFault::Gzip { whole: true }, 1);
    let run = site.build(0);
    assert_eq!((run.count("stored"), run.count("deleted")), (9, 9));
    let kept: String = site.raw().into_values().collect();
    assert!((1..=9).all(|id| kept.contains(&entry(id, &long))), "byte for byte");
}

#[test]
fn a_server_that_is_not_there_is_told_apart() {
    let site = Site::new();
    site.configure("url = \"http://127.0.0.1:9/api/\"\n");
    assert!(
        failures(&site.build(1)).contains("\"kind\":\"unreachable\"") || site.build(1).last()["outcome"] == "failed"
    );
    site.configure(&format!("url = \"{}\"\n", site.server.url().replace("http:", "https:")));
    let run = site.build(1);
    assert!(run.stderr.contains("no secure connection"), "{}", run.stderr);
}

//! Decoding through the binary: odd entries, keys of several kinds and periods, and tables that change their shape.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mtdata::parts::generate;
use predicates::prelude::*;
use predicates::str::contains;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, LineEnding};

use crate::rig::lab::{Run, mtdata};

/// A project that decodes the raw files it is given; its server is never asked.
struct Desk {
    folder: tempfile::TempDir,
}

/// A key pair: the private half as PEM, and what a study's server does with the public one.
struct Pair {
    private: String,
    public: rsa::PublicKey,
}

impl Pair {
    fn new() -> Self {
        let (private, public) = generate(2048).unwrap();
        Self { private: private.to_string(), public: rsa::PublicKey::from_public_key_pem(&public).unwrap() }
    }

    fn seal(&self, text: &str) -> String {
        STANDARD.encode(self.public.encrypt(&mut rand::rng(), rsa::Pkcs1v15Encrypt, text.as_bytes()).unwrap())
    }

    fn key(&self) -> rsa::PrivateKey {
        rsa::PrivateKey::from_pkcs8_pem(&self.private).unwrap()
    }
}

impl Desk {
    /// `more` are further lines of the server's entry.
    fn new(more: &str) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        desk.write(
            "Pipeline.toml",
            "default = [\"decode\"]\n[data]\npool = \"data\"\nservers = \"servers.toml\"\n[task.decode]\n\
             action = \"decode\"\neach = [\"server\", \"scale\", \"date\"]\n",
        );
        desk.server(more);
        fs::create_dir_all(desk.path("data/lab/raw_data")).unwrap();
        desk
    }

    fn server(&self, more: &str) {
        let entry = "[lab]\nready = false\nurl = \"https://lab.example.edu/api/\"\nuser = \"x\"\ntimezone = \"UTC\"\n";
        self.write("servers.toml", format!("{entry}{more}\n"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A file that only its owner reads.
    fn secret(&self, name: &str, text: impl AsRef<[u8]>) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn raw(&self, name: &str, text: impl AsRef<[u8]>) {
        self.write(&format!("data/lab/raw_data/{name}.json"), text);
    }

    fn mtdata(&self, arguments: &[&str]) -> assert_cmd::Command {
        let mut command = mtdata();
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    fn build(&self, code: i32) -> Run {
        let output = self.mtdata(&["build", "decode/lab", "--json"]).output().unwrap();
        let run = Run::read(&output.stdout, &output.stderr);
        assert_eq!(output.status.code(), Some(code), "{}\n{}", run.stderr, String::from_utf8_lossy(&output.stdout));
        run
    }

    fn table(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("data/lab/{name}.csv"))).unwrap()
    }

    /// Reason and value of each row of a quarantine table, by column.
    fn quarantine(&self, name: &str) -> Vec<[String; 3]> {
        let text = self.table(&format!("quarantine/{name}"));
        let mut table = csv::Reader::from_reader(text.as_bytes());
        let rows = table.records().map(Result::unwrap);
        rows.map(|row| [row[2].to_owned(), row[3].to_owned(), row[4].to_owned()]).collect()
    }
}

fn warnings(run: &Run, code: &str) -> Vec<String> {
    let found = run.events.iter().filter(|event| event["event"] == "warning" && event["code"] == code);
    found.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_odd_entry_has_its_row_and_nothing_is_shifted() {
    let pair = Pair::new();
    let desk = Desk::new("keys = [\"k.pem\"]");
    desk.secret("k.pem", &pair.private);
    let long = "x".repeat(10_000_000);
    let entries = [
        // Three eras in one table.
        r#"{"id":1,"participant":17}"#.to_owned(),
        r#"{"participantDAO":18,"id":2}"#.to_owned(),
        format!(r#"{{"id":3,"participantRSA":"{}"}}"#, pair.seal("19")),
        r#"{"id":4,"extra":{"b" : [1, {"c":null}]},"list":[]}"#.to_owned(),
        r#"{"id":5,"list":["app", "online"],"n":123456789012345678901234567890.10e+5}"#.to_owned(),
        r#"{"id":6,"text":"a,\"b\"\r\n=1+1\n"}"#.to_owned(),
        r#"{"id":7,"n":1,"n":2}"#.to_owned(),
        r#"{"id":8,"participantRSA":"no base64!","text":"\ud800"}"#.to_owned(),
        r#"{"id":9,"participantRSA":"MTc="}"#.to_owned(),
        r#"{"id":10,"participantRSA":"","text":null}"#.to_owned(),
        format!(r#"{{"id":11,"text":"{long}"}}"#),
        "{}".to_owned(),
        r#"{"text":"no id","n":-0.0}"#.to_owned(),
        format!(r#"{{"id":12,"participantRSA":"{}"}}"#, pair.seal("a\u{1}b")),
    ];
    desk.raw("OA_2026-11-23_08-00-00", format!("[{}]", entries.join(",\n")));
    let run = desk.build(0);
    let wanted = format!(
        "extra,id,list,n,participant,participantDAO,participantRSA,text\n\
         ,1,,,17,,,\n\
         ,2,,,,18,,\n\
         ,3,,,,,19,\n\
         \"{{\"\"b\"\":[1,{{\"\"c\"\":null}}]}}\",4,[],,,,,\n\
         ,5,\"[\"\"app\"\",\"\"online\"\"]\",123456789012345678901234567890.10e+5,,,,\n\
         ,6,,,,,,\"a,\"\"b\"\"\r\n=1+1\n\"\n\
         ,7,,2,,,,\n\
         ,8,,,,,,\n\
         ,9,,,,,,\n\
         ,10,,,,,,\n\
         ,11,,,,,,{long}\n\
         ,,,,,,,\n\
         ,,,-0.0,,,,no id\n\
         ,12,,,,,,\n"
    );
    assert!(desk.table("active_data/OA_2026-11-23") == wanted, "{:.3000}", desk.table("active_data/OA_2026-11-23"));
    let rows = desk.quarantine("OA_2026-11-23");
    let short: Vec<[&str; 2]> = rows.iter().map(|[column, reason, _]| [column.as_str(), reason]).collect();
    assert_eq!(
        short,
        [
            ["n", "repeated_key"],
            ["participantRSA", "not_ciphertext"],
            ["text", "not_unicode"],
            ["participantRSA", "not_ciphertext"],
            ["participantRSA", "garbage"]
        ]
    );
    assert_eq!([&rows[0][2], &rows[1][2], &rows[3][2]], ["1", "no base64!", "MTc="]);
    assert_eq!((run.count("rsa_decrypted"), run.count("rsa_failed"), run.count("rows_out")), (1, 3, 14));
}

#[test]
fn files_of_every_shape_are_read_and_damage_costs_what_it_hits() {
    let desk = Desk::new("");
    desk.raw("OA_2026-11-20_08-00-00", "[{\"id\":1}]\n[{\"id\":2},{\"id\":1}]");
    desk.raw("OA_21_11_2026", r#"{"OA_08_54_35":[{"id":3}],"OA_09_00_00":[],"OA_10_00_00":[{"id":4}]}"#);
    desk.raw("OA_2026-11-22_08-00-00", r#"[{"id":5,"a":"x"},{"id":6,"a":"y"},{"id":7,"a":"cut he"#);
    // The day's other file is whole.
    desk.raw("OA_2026-11-22_08-00-00-1", r#"[{"id":8,"b":"z"}]"#);
    desk.raw("OA_2026-11-23_08-00-00", b"[{\"id\":9,\"a\":\"caf\xe9\",\"b\":1}]");
    let run = desk.build(0);
    assert_eq!(desk.table("active_data/OA_2026-11-20"), "id\n1\n2\n");
    assert_eq!(desk.table("active_data/OA_2026-11-21"), "id\n3\n4\n");
    assert_eq!(desk.table("active_data/OA_2026-11-22"), "a,b,id\nx,,5\ny,,6\n,z,8\n");
    assert_eq!(desk.quarantine("OA_2026-11-22"), [["", "damaged", r#"{"id":7,"a":"cut he"#]]);
    assert_eq!(desk.table("active_data/OA_2026-11-23"), "a,b,id\n,1,9\n");
    assert_eq!(desk.quarantine("OA_2026-11-23")[0][1], "not_unicode");
    let told = warnings(&run, "raw_salvaged");
    assert!(told.len() == 1 && told[0].contains("the file ends within an entry at byte 35"), "{told:?}");
}

#[test]
fn only_new_values_are_opened_and_a_later_key_tries_only_what_stayed_closed() {
    let (old, new, wrong) = (Pair::new(), Pair::new(), Pair::new());
    let desk = Desk::new("keys = [\"wrong.pem\", \"old.pem\"]");
    for (name, pair) in [("wrong.pem", &wrong), ("old.pem", &old), ("new.pem", &new)] {
        desk.secret(name, &pair.private);
    }
    let file = |from: usize, pairs: &[&Pair]| {
        let entry = |(at, pair): (usize, &&Pair)| {
            let id = from + at;
            format!(r#"{{"id":{id},"participantRSA":"{}"}}"#, pair.seal(&id.to_string()))
        };
        format!("[{}]", pairs.iter().enumerate().map(entry).collect::<Vec<_>>().join(","))
    };
    desk.raw("OA_2015-11-10_08-00-00", file(1, &[&old, &old, &old]));
    desk.raw("OA_2018-03-12_08-00-00", file(4, &[&old, &new, &new]));
    let run = desk.build(0);
    assert_eq!((run.count("rsa_decrypted"), run.count("rsa_failed")), (4, 2));
    assert_eq!(desk.table("active_data/OA_2018-03-12"), "id,participantRSA\n4,4\n5,\n6,\n");
    assert!(warnings(&run, "undecryptable").len() == 1 && run.stderr.contains("2 encrypted values"), "{}", run.stderr);
    // Two entries more: two values are opened, and nothing of the other day is touched.
    desk.raw("OA_2015-11-10_09-00-00", file(7, &[&old, &old]));
    let run = desk.build(0);
    assert_eq!((run.count("rsa_decrypted"), run.count("rsa_reused")), (2, 3));
    assert_eq!(run.targets("built"), ["decode/lab/OA/2015-11-10"]);
    // The missing key is found: only what stayed closed is tried.
    desk.server("keys = [\"wrong.pem\", \"old.pem\", \"new.pem\"]");
    let run = desk.build(0);
    assert_eq!((run.count("rsa_decrypted"), run.count("rsa_reused"), run.count("rsa_failed")), (2, 6, 0));
    assert_eq!(desk.table("active_data/OA_2018-03-12"), "id,participantRSA\n4,4\n5,5\n6,6\n");
    assert!(!desk.path("data/lab/quarantine/OA_2018-03-12.csv").exists());
    // Which key opened which days.
    let list = desk.mtdata(&["keys", "list"]).assert().success();
    let list = String::from_utf8(list.get_output().stdout.clone()).unwrap();
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with("lab  wrong.pem  2048 bits  SHA256:") && lines[0].ends_with("opened nothing yet"));
    assert!(lines[1].ends_with("opened 6 values of 2015-11-10 to 2018-03-12"), "{list}");
    assert!(lines[2].ends_with("opened 2 values of 2018-03-12"), "{list}");
    assert!(!list.contains("PRIVATE"));
    // A key that is taken away is still known by what it opened.
    desk.server("keys = [\"wrong.pem\", \"old.pem\"]");
    desk.mtdata(&["keys", "list"]).assert().success().stdout(contains("lab  (no file)  SHA256:"));
    let json = desk.mtdata(&["keys", "list", "--json"]).output().unwrap().stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json[1]["opened"], serde_json::json!({"values": 6, "first": "2015-11-10", "last": "2018-03-12"}));
    assert_eq!((&json[2]["path"], &json[2]["opened"]["values"]), (&serde_json::Value::Null, &serde_json::json!(2)));
}

#[test]
fn keys_of_every_kind_open_the_same_values() {
    let pair = Pair::new();
    let key = pair.key();
    let sealed = key.to_pkcs8_encrypted_pem("open sesame", LineEnding::LF).unwrap();
    let desk = Desk::new("");
    desk.raw("OA_2026-11-23_08-00-00", format!(r#"[{{"id":1,"participantRSA":"{}"}}]"#, pair.seal("17")));
    desk.secret("pkcs1.pem", key.to_pkcs1_pem(LineEnding::LF).unwrap().as_bytes());
    desk.secret("pkcs8.pem", &pair.private);
    desk.secret("pkcs1.der", key.to_pkcs1_der().unwrap().as_bytes());
    desk.secret("pkcs8.der", key.to_pkcs8_der().unwrap().as_bytes());
    desk.secret("sealed.pem", sealed.as_bytes());
    desk.secret("sealed.der", key.to_pkcs8_encrypted_der("open sesame").unwrap().as_bytes());
    desk.secret("passphrase", "open sesame\n");
    let opens = |entry: &str| {
        for folder in ["active_data", ".plain"] {
            drop(fs::remove_dir_all(desk.path(&format!("data/lab/{folder}"))));
        }
        desk.server(entry);
        let mut build = desk.mtdata(&["build", "decode/lab"]);
        build.env("LAB_PASSPHRASE", "open sesame").assert().success();
        assert_eq!(desk.table("active_data/OA_2026-11-23"), "id,participantRSA\n1,17\n", "{entry}");
    };
    for name in ["pkcs1.pem", "pkcs8.pem", "pkcs1.der", "pkcs8.der"] {
        opens(&format!("keys = [\"{name}\"]"));
    }
    opens("keys = [\"sealed.pem\"]\npassphrase = { env = \"LAB_PASSPHRASE\" }");
    opens("keys = [\"sealed.der\"]\npassphrase = { file = \"passphrase\" }");
    // What cannot be opened says so, with what to do, and without a secret.
    let refused = |entry: &str, said: &str| {
        desk.server(entry);
        let refused = desk.mtdata(&["build", "decode/lab"]).assert().code(1).stderr(contains(said));
        let text = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(!text.contains("sesame") && !text.contains("BEGIN"), "{text}");
        desk.mtdata(&["keys", "list"]).assert().code(1);
        desk.mtdata(&["check"]).assert().code(1).stdout(contains("BAD "));
    };
    refused("keys = [\"sealed.pem\"]", "is encrypted, and there is no passphrase");
    refused("keys = [\"gone.pem\"]", "cannot be found");
    desk.secret("wrong", "open barley\n");
    refused("keys = [\"sealed.pem\"]\npassphrase = { file = \"wrong\" }", "cannot be opened with the passphrase");
    fs::set_permissions(desk.path("pkcs1.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    refused("keys = [\"pkcs1.pem\"]", "can be read by others");
    typed_passphrase(&desk);
}

/// At a terminal, which `script` gives, the passphrase is asked for; it is not shown.
fn typed_passphrase(desk: &Desk) {
    desk.server("keys = [\"sealed.pem\"]");
    let program = assert_cmd::cargo::cargo_bin!("mtdata");
    let command = format!("sleep 1; echo open sesame | script -qec '{} keys list' /dev/null", quoted(program));
    let said = Process::new("sh").args(["-c", &command]).current_dir(desk.folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(text.contains("passphrase of ") && text.contains("2048 bits  SHA256:"), "{text}");
}

fn quoted(path: &Path) -> String {
    path.display().to_string().replace('\'', "'\\''")
}

#[test]
fn a_table_that_changes_its_shape_is_told_once() {
    let desk = Desk::new("");
    let day = |day: u32, hour: u32, from: usize, fields: &str| {
        let entries: Vec<String> = (from..from + 25).map(|id| format!(r#"{{"id":{id},{fields}}}"#)).collect();
        desk.raw(&format!("OA_2026-11-{day}_{hour:02}-00-00"), format!("[{}]", entries.join(",")));
    };
    day(20, 8, 0, r#""mood":3,"old":1"#);
    day(21, 8, 100, r#""mood":4,"old":1"#);
    assert!(warnings(&desk.build(0), "schema_drift").is_empty());
    day(22, 8, 200, r#""mood":"fine","new":true"#);
    let run = desk.build(0);
    assert_eq!(
        warnings(&run, "schema_drift"),
        ["OA, since 2026-11-22: column `new` is new, column `old` is gone, column `mood` holds text, where it held \
          number; the server may have been changed"]
    );
    // More of the same that day is no news, nor is the next day.
    day(22, 9, 300, r#""mood":"well","new":true"#);
    day(23, 8, 400, r#""mood":"well","new":true,"old":null"#);
    let run = desk.build(0);
    assert_eq!(run.tasks("built"), 2);
    assert!(warnings(&run, "schema_drift").is_empty());
    let log = fs::read_to_string(desk.path("data/logs/Daily.log")).unwrap();
    assert!(predicate::str::contains("column `new` is new").count(1).eval(&log));
}

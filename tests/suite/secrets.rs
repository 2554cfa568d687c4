//! Secrets: everything that leaves a run is looked through for them, and what other users of the machine can see of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use mtdata::parts::ServerFault;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};

use crate::rig::lab::contents;
use crate::rig::office::Office;
use crate::rig::smtp::{self, Manner};

const PASSPHRASE: &str = "seven-grey-herons-41";

/// Everything that must stand nowhere, with a word for what it is.
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    /// Seals the lab's first key with the passphrase, and gathers what is secret.
    fn of(office: &Office) -> Self {
        let root = office.lab.root();
        let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
        let open = read("keys/private_key.pem");
        let key = rsa::PrivateKey::from_pkcs8_pem(&open).unwrap();
        let sealed = key.to_pkcs8_encrypted_pem(PASSPHRASE, LineEnding::LF).unwrap();
        fs::write(root.join("keys/private_key.pem"), sealed.as_bytes()).unwrap();
        office.lab.replace(
            "config/servers.toml",
            "[mindtrails]\n",
            "[mindtrails]\npassphrase = { env = \"MTDATA_KEY_PASSPHRASE\" }\n",
        );
        let password = read("keys/password").trim().to_owned();
        let servers = read("config/servers.toml");
        let user = servers.lines().find_map(|line| line.strip_prefix("user")).unwrap().split('"').nth(1).unwrap();
        let header = format!("{user}:{password}");
        let mail = format!("\0{}\0{}", smtp::USER, smtp::PASSWORD);
        let line = |pem: &str| pem.lines().nth(5).unwrap().to_owned();
        Self(vec![
            ("the password's Basic header", STANDARD.encode(&header)),
            ("the password's Basic header", URL_SAFE.encode(&header)),
            ("the password in base64", STANDARD_NO_PAD.encode(&password)),
            ("the password", password),
            ("the mail password", smtp::PASSWORD.to_owned()),
            ("the mail password as it is sent", STANDARD.encode(mail)),
            ("the passphrase", PASSPHRASE.to_owned()),
            ("the passphrase in base64", STANDARD_NO_PAD.encode(PASSPHRASE)),
            ("the key", line(&open)),
            ("the sealed key", line(&sealed)),
        ])
    }

    fn stand_not_in(&self, bytes: &[u8], place: &str) {
        for (what, secret) in &self.0 {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{what} stands in {place}");
        }
    }
}

/// The arguments of every process that this user can see, while `work` goes on.
fn arguments_during<T>(work: impl FnOnce() -> T) -> (T, BTreeSet<Vec<u8>>) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").unwrap().flatten() {
                    // Other entries, and processes that have ended.
                    seen.extend(fs::read(process.path().join("cmdline")).ok().filter(|bytes| !bytes.is_empty()));
                }
            }
            seen
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, watcher.join().unwrap())
    })
}

#[test]
fn no_secret_stands_in_anything_that_a_run_leaves_or_shows() {
    let office = Office::new(Manner::Good);
    let told = office.lab.root().join("told.json");
    let hook = format!("[hook]\ncommand = [\"sh\", \"-c\", \"cat > '{}'; sleep 0.2\"]\n", told.display());
    office.configure(office.post.port, "6h", &hook);
    let secrets = Secrets::of(&office);
    let call = |arguments: &[&str], code: i32| {
        let mut command = office.lab.mtdata(arguments);
        command.env("SSL_CERT_FILE", &office.post.authority).env("MTDATA_KEY_PASSPHRASE", PASSPHRASE);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&said));
        secrets.stand_not_in(&said, &format!("what {arguments:?} says"));
    };
    let ((), seen) = arguments_during(|| {
        call(&["build", "-v"], 0);
        office.lab.demo.server.plan("GET", "export", ServerFault::Status(401), 1);
        call(&["build", "--json"], 1);
        // The mail server refuses the login, and repeats what it was told.
        office.post.behave(Manner::RefusesLogin);
        call(&["build", "--json"], 0);
        office.post.behave(Manner::Good);
        call(&["build"], 0);
        for looking in [&["check", "--online"][..], &["keys", "list"], &["status"], &["list", "--json"], &["runs"]] {
            call(looking, 0);
        }
    });
    // A key that its passphrase does not open, and a password that others can read.
    let mut wrong = office.lab.mtdata(&["check"]);
    let output = wrong.env("MTDATA_KEY_PASSPHRASE", format!("not-{PASSPHRASE}")).output().unwrap();
    secrets.stand_not_in(&output.stdout, "what a check says of a wrong passphrase");
    office.lab.set_mode("keys/password", 0o644);
    call(&["build", "-v"], 1);
    office.lab.set_mode("keys/password", 0o600);

    let runs = seen.iter().filter(|arguments| arguments.windows(6).any(|window| window == b"mtdata")).count();
    assert!(runs > 0 && seen.iter().any(|arguments| arguments.starts_with(b"sh\0-c\0cat")), "nothing was watched");
    for arguments in &seen {
        secrets.stand_not_in(arguments, &format!("the arguments {}", String::from_utf8_lossy(arguments)));
    }
    let mails = office.post.mails();
    assert!(mails.len() >= 2);
    for mail in &mails {
        secrets.stand_not_in(mail.message.as_bytes(), "a mail");
    }
    secrets.stand_not_in(&fs::read(&told).unwrap(), "what the hook was told");
    let root = office.lab.root();
    let mut looked_at = 0;
    for (path, bytes) in contents(root) {
        // Where they are meant to be.
        if !path.starts_with(root.join("keys")) {
            secrets.stand_not_in(&bytes, &path.display().to_string());
            looked_at += 1;
        }
    }
    assert!(looked_at > 50 && root.join(".mtdata/alerts.json").exists());
    assert_eq!(fs::metadata(root.join("data/logs")).unwrap().permissions().mode() & 0o777, 0o750);
}

//! A lab that comes from the first generation, with its old server.config.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use predicates::prelude::*;
use predicates::str::contains;

use crate::rig::lab::{Lab, mtdata};

/// The first generation's sample, its hosts and names changed.
pub const SAMPLE: &str = r#"mindtrails:
  READY: False
  DELETE_MODE: False
  SERVER: 'https://MindTrails.example.edu/api/export'
  USER: 
  PASS: 
  PRIVATE_FILE: 
  DATE_FORMAT: "%b_%d_%Y"
  TIME_FORMAT: "%H_%M_%S"
  PATH: "/Users/x/Box Sync/"

mobile_local:
  READY: True
  DELETE_MODE: False
  SERVER: 'http://localhost:9000/api/'
  USER: 
  PASS: 
  PRIVATE_FILE: 'key_for_decrypt.pem'
  DATE_FORMAT: "%b_%d_%Y"
  TIME_FORMAT: "%H_%M_%S"
  PATH: "/Users/x/Box Sync/TEST/"

mobile_aws:
  NAME: XXX
  READY: True
  DELETE_MODE: True
  SERVER: 'http://host.example.com:8080/mobile/api/export'
  USER: 'admin@example.com'
  PASS: 'AdminPassWord!'
  PRIVATE_FILE: 
  DATE_FORMAT: "%b_%d_%Y"
  TIME_FORMAT: "%H_%M_%S"
  PATH: "/Users/x/Box Sync/TEST/"
"#;

fn import(folder: &Path) -> assert_cmd::Command {
    let mut command = mtdata();
    command.current_dir(folder).args(["import-config", "old/server.config", "--timezone", "America/New_York"]);
    command
}

fn with_old(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("old")).unwrap();
    fs::write(folder.path().join("old/server.config"), text).unwrap();
    folder
}

#[test]
fn the_documented_sample_becomes_a_project_without_a_password_in_it() {
    let folder = with_old(SAMPLE);
    let root = folder.path();
    import(root).assert().success().stdout(
        contains("3 servers, 2 of them ready")
            .and(contains("mobile_local: no USER and no PASS"))
            .and(contains("mobile_aws: has the PATH of `mobile_local`"))
            .and(contains("AdminPassWord").not()),
    );
    let servers = fs::read_to_string(root.join("config/servers.toml")).unwrap();
    for line in [
        "url         = \"https://MindTrails.example.edu/api/\"",
        "url         = \"http://host.example.com:8080/mobile/api/\"",
        "password    = { env = \"MOBILE_AWS_PASSWORD\" }",
        "study       = \"mindtrails\"",
        "keys        = [\"keys/key_for_decrypt.pem\"]",
    ] {
        assert!(servers.contains(line), "{line}: {servers}");
    }
    assert!(!servers.contains("AdminPassWord"));
    let passwords = root.join("keys/passwords.env");
    assert_eq!(fs::metadata(&passwords).unwrap().permissions().mode() & 0o777, 0o600);
    // The project is read, and the file is what a shell takes.
    mtdata().current_dir(root).args(["list"]).assert().success();
    let script = format!("set -a; . keys/passwords.env; {} check", assert_cmd::cargo::cargo_bin!("mtdata").display());
    let checked = assert_cmd::Command::new("sh").current_dir(root).args(["-c", &script]).output().unwrap();
    assert!(String::from_utf8_lossy(&checked.stdout).contains("mobile_aws: password: is there"));
    let before = crate::rig::lab::contents(root);
    import(root).assert().code(2).stderr(contains("config/servers.toml is there already"));
    assert_eq!(crate::rig::lab::contents(root), before);
}

#[test]
fn a_project_that_init_wrote_takes_the_servers_and_keeps_the_rest() {
    let folder = with_old(SAMPLE);
    mtdata().current_dir(folder.path()).arg("init").assert().success();
    let pipeline = folder.path().join("Pipeline.toml");
    fs::write(&pipeline, format!("# mine\n{}", fs::read_to_string(&pipeline).unwrap())).unwrap();
    import(folder.path()).assert().success();
    assert!(fs::read_to_string(pipeline).unwrap().starts_with("# mine\n"));
    mtdata().current_dir(folder.path()).args(["build", "-n"]).assert().success();
}

#[test]
fn mistakes_are_shown_where_they_are_and_nothing_is_written() {
    let folder = with_old("a:\n  READY: soon\n  PASS: hunter2\nb:\n  SERVER: ftp://x\n");
    let expected = "error: old/server.config:2:10: READY of `a` is neither True nor False\n\
                    error: old/server.config:2:3: `a` has no SERVER: https://HOST/.../api/\n\
                    error: old/server.config:5:11: SERVER of `b` is no web address: https://HOST/.../api/\n\
                    nothing was written\n";
    import(folder.path()).assert().code(2).stderr(expected);
    assert!(!folder.path().join("config").exists() && !folder.path().join("keys").exists());
    mtdata().args(["import-config", "/nowhere"]).assert().code(2).stderr(contains("/nowhere"));
}

#[test]
fn an_imported_server_is_exported_with_the_password_of_the_old_file() {
    let lab = Lab::new();
    let password = fs::read_to_string(lab.root().join("keys/password")).unwrap();
    let folder = with_old(&format!(
        "lab:\n  READY: True\n  DELETE_MODE: False\n  SERVER: {}export\n  USER: admin@example.edu\n  PASS: {}\n",
        lab.demo.server.url(),
        password.trim()
    ));
    import(folder.path()).assert().success();
    let script =
        format!("set -a; . keys/passwords.env; exec {} export", assert_cmd::cargo::cargo_bin!("mtdata").display());
    assert_cmd::Command::new("sh").current_dir(folder.path()).args(["-c", &script]).assert().success();
    assert!(folder.path().join("data/lab/raw_data").read_dir().unwrap().count() > 5);
}

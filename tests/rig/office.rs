//! A lab that mails: its alerts go to a real mail server.

use std::fs;

use mtdata::parts::ServerFault;

use crate::rig::lab::{Lab, Run};
use crate::rig::smtp::{MailServer, Manner, PASSWORD, Received, USER};

/// A lab that mails, and its mail server.
pub struct Office {
    pub lab: Lab,
    pub post: MailServer,
}

impl Office {
    pub fn new(manner: Manner) -> Self {
        Self::of(Lab::new(), manner)
    }

    pub fn of(lab: Lab, manner: Manner) -> Self {
        let office = Self { lab, post: MailServer::start(manner) };
        office.configure(office.post.port, "6h", "");
        let path = office.lab.root().join("Pipeline.toml");
        let text = fs::read_to_string(&path).unwrap();
        if !text.lines().any(|line| line.trim_start().starts_with("alerts")) {
            fs::write(&path, text.replacen("[data]\n", "[data]\nalerts = \"config/alerts.toml\"\n", 1)).unwrap();
        }
        office
    }

    pub fn configure(&self, port: u16, repeat_after: &str, more: &str) {
        let root = self.lab.root();
        fs::write(root.join("keys/mail"), PASSWORD).unwrap();
        self.lab.set_mode("keys/mail", 0o600);
        let text = format!(
            "[mail]\nsmtp = \"localhost:{port}\"\nuser = \"{USER}\"\npassword = {{ file = \"keys/mail\" }}\n\
             from = \"mtdata <{USER}>\"\nto = [\"admin@example.edu\", \"gone@example.edu\"]\n\
             subject_prefix = \"[MindTrails]\"\nrepeat_after = \"{repeat_after}\"\n{more}"
        );
        fs::write(root.join("config/alerts.toml"), text).unwrap();
    }

    pub fn build(&self, code: i32) -> Run {
        let mut command = self.lab.mtdata(&["build", "--json"]);
        let output = command.env("SSL_CERT_FILE", &self.post.authority).output().unwrap();
        let run = Run::read(&output.stdout, &output.stderr);
        assert_eq!(output.status.code(), Some(code), "{}", run.stderr);
        run
    }

    /// The server answers the next listing with a login page.
    pub fn down(&self) {
        self.lab.demo.server.plan("GET", "export", ServerFault::LoginPage, 1);
    }

    pub fn subjects(&self) -> Vec<String> {
        self.post.mails().iter().map(Received::subject).collect()
    }
}

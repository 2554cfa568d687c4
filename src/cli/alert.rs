//! `mtdata alert test`: does a mail arrive?

use chrono::Utc;

use crate::alert::letter::Letter;
use crate::alert::mail;
use crate::cli::arguments::{AlertCommand, ProjectArguments};
use crate::cli::{Exit, Fault, build};
use crate::output::remark;

pub fn run(project: &ProjectArguments, command: AlertCommand) -> Result<Exit, Fault> {
    let AlertCommand::Test = command;
    let project = build::load(project)?;
    let Some(mail) = project.alerts.and_then(|alerts| alerts.mail) else {
        return Err(Fault::usage("no [mail] is configured; name its file as `alerts` in [data] of Pipeline.toml"));
    };
    let mut letters = vec![Letter::test(&mail.subject_prefix, &mail.to, Utc::now())];
    match mail::post(&mail, &mut letters).error {
        None => {
            remark!("sent to {} by {}:{}", mail.to.join(", "), mail.host, mail.port);
            Ok(Exit::Done)
        }
        // It is not kept: the person is here and tries again.
        Some(error) => {
            Err(Fault::failed(error.replace("a mail is kept for the next run", "the test mail did not leave")))
        }
    }
}

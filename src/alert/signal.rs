//! Alerts that are no mail: the heartbeat of a good run, and the user's own command.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::alert::Round;
use crate::alert::digest::{Digest, Remembered};
use crate::alert::letter::Letter;
use crate::failure::innermost;
use crate::pages;

const POLICY: Duration = Duration::from_secs(30);

/// Tells a monitor that a run went well, so that silence becomes an alarm.
///
/// # Errors
/// Why it could not be told. Its address may be a secret and is not named.
pub fn heartbeat(url: &str) -> Result<(), String> {
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(10)).build();
    let answer =
        client.and_then(|client| client.get(url).send()).and_then(reqwest::blocking::Response::error_for_status);
    answer.map(drop).map_err(|error| format!("the heartbeat did not arrive: {}", innermost(&error.without_url())))
}

/// Gives a digest as JSON to the user's command.
pub fn hook(command: &[String], digest: &Digest, round: &Round<'_>, letter: &Letter) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let failed = |what: String| format!("the alert command `{program}` {what}");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child =
        pages::usual_for(|| command.spawn()).map_err(|error| failed(format!("cannot be started: {error}")))?;
    let event = json!({
        "v": 1,
        "event": "alert",
        "run": round.run,
        "subject": letter.subject,
        "text": letter.text,
        "new": all(&digest.new),
        "again": all(&digest.again),
        "over": all(&digest.over),
    });
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read is no failure; its exit code speaks.
        let _ = writeln!(stdin, "{event}");
    }
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(failed(format!("ended with {status}"))),
            Ok(None) if start.elapsed() < POLICY => std::thread::sleep(Duration::from_millis(20)),
            Ok(None) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(failed(format!("did not end within {} s", POLICY.as_secs())));
            }
            Err(error) => return Err(failed(format!("cannot be waited for: {error}"))),
        }
    }
}

fn all(troubles: &[Remembered]) -> Vec<serde_json::Value> {
    let one = |one: &Remembered| {
        json!({"server": one.server, "target": one.target, "code": one.code, "message": one.message, "since": one.since,
            "times": one.times})
    };
    troubles.iter().map(one).collect()
}

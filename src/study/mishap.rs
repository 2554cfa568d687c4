//! What goes wrong between mtdata and a study's server, told apart, and which of it passes when one waits.

use std::io;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rand::RngExt;
use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};

use crate::study::entry::Broken;
use crate::task::{Cancel, Failure, FailureKind, Patience};

/// The first pause before another attempt; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What went wrong, and whether another attempt may help.
#[derive(Debug)]
pub struct Mishap {
    failure: Box<Failure>,
    transient: bool,
    /// The server asked for this pause.
    pause: Option<Duration>,
}

impl Mishap {
    #[must_use]
    pub fn lasting(failure: Failure) -> Self {
        Self { failure: failure.into(), transient: false, pause: None }
    }

    /// Another attempt may help.
    #[must_use]
    pub fn may_pass(failure: Failure) -> Self {
        Self { failure: failure.into(), transient: true, pause: None }
    }

    fn passing(kind: FailureKind, message: String) -> Self {
        Self::may_pass(Failure::new(kind, message))
    }

    /// A web page where data was expected.
    #[must_use]
    pub fn web_page(url: &reqwest::Url) -> Self {
        let failure = Failure::new(FailureKind::NotJson, format!("{url}: the answer is a web page, not data"));
        Self::lasting(failure.advise("that is how a refused login or a wrong `url` looks; check both in servers.toml"))
    }

    /// The answer broke off before its end.
    #[must_use]
    pub fn broken_off(url: &reqwest::Url, error: &io::Error) -> Self {
        let story = innermost(error);
        let timeout = error.kind() == io::ErrorKind::TimedOut || story.contains("timed out");
        let kind = if timeout { FailureKind::Timeout } else { FailureKind::Truncated };
        Self::passing(kind, format!("{url}: the answer broke off: {story}"))
    }

    /// There was no answer.
    #[must_use]
    pub fn unanswered(url: &reqwest::Url, error: &reqwest::Error) -> Self {
        let story = innermost(error);
        if error.is_timeout() && !error.is_connect() {
            return Self::passing(FailureKind::Timeout, format!("{url}: no answer in time"));
        }
        let lower = story.to_lowercase();
        if ["certificate", "tls", "handshake", "corrupt message"].iter().any(|word| lower.contains(word)) {
            let failure = Failure::new(FailureKind::Tls, format!("{url}: no secure connection: {story}"));
            return Self::lasting(
                failure.advise("the certificate may have expired, or something stands between; do not work around it"),
            );
        }
        Self::passing(FailureKind::Unreachable, format!("{url}: not reached: {story}"))
    }

    /// An answer other than 200.
    #[must_use]
    pub fn status(url: &reqwest::Url, response: &Response) -> Self {
        let (status, number) = (response.status(), response.status().as_u16());
        let lasting = |kind, message: String, advice: &str| Self::lasting(Failure::new(kind, message).advise(advice));
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return lasting(
                FailureKind::Refused,
                format!("{url}: the login was refused ({number})"),
                "check `user` and `password` in servers.toml, and that the account has the ADMIN role",
            );
        }
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("nowhere");
            return lasting(
                FailureKind::Refused,
                format!("{url}: redirected to {to} ({number}); not followed"),
                "a redirect to a login page means refused credentials; another address belongs into servers.toml",
            );
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let mishap = Self::passing(FailureKind::ServerError, format!("{url}: the server answered {number}"));
            return Self { pause: pause_asked(response.headers()), ..mishap };
        }
        lasting(FailureKind::WrongShape, format!("{url}: the server answered {number}"), "check `url` in servers.toml")
    }

    /// A body that is no array of entries. One that ends within itself may be whole the next time.
    #[must_use]
    pub fn body(url: &reqwest::Url, broken: &Broken) -> Self {
        let message = format!("{url}: {broken}");
        let nothing = "nothing of it was archived and nothing deleted; the next run asks again";
        match broken {
            Broken::NotJson => Self::lasting(
                Failure::new(FailureKind::NotJson, message)
                    .advise("that is how a refused login looks; check `user`, `password` and `url`"),
            ),
            Broken::Shape { .. } => Self::lasting(Failure::new(FailureKind::WrongShape, message).advise(nothing)),
            Broken::Truncated { .. } => {
                let mut mishap = Self::passing(FailureKind::Truncated, message);
                mishap.failure.advice = Some(nothing.to_owned());
                mishap
            }
            Broken::Io(_) => Self::lasting(Failure::new(FailureKind::Write, message)),
        }
    }
}

/// Seconds or a date, as the server likes.
fn pause_asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    Some((at.to_utc() - Utc::now()).to_std().unwrap_or_default())
}

/// The innermost cause says what happened; the outermost repeats the address.
#[must_use]
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Again and again, for what passes only; the pause doubles, with jitter, so that many clients do not come at once.
///
/// # Errors
/// The last attempt's failure, or that it was interrupted.
pub fn retry<T>(
    patience: Patience,
    cancel: &Cancel,
    mut attempt: impl FnMut() -> Result<T, Mishap>,
) -> Result<T, Failure> {
    let mut pause = FIRST_PAUSE;
    let mut tries = 0;
    loop {
        cancel.check()?;
        tries += 1;
        let mishap = match attempt() {
            Ok(value) => return Ok(value),
            Err(mishap) => mishap,
        };
        if !mishap.transient || tries > patience.retries {
            let mut failure = *mishap.failure;
            if tries > 1 {
                failure.message = format!("{} (tried {tries} times)", failure.message);
            }
            return Err(failure);
        }
        if let Some(asked) = mishap.pause.filter(|asked| *asked > patience.timeout) {
            // To come sooner than asked is what it defends itself against; the next run may come in time.
            let mut failure = *mishap.failure;
            let pause = humantime::format_duration(Duration::from_secs(asked.as_secs()));
            failure.message = format!("{} and asks to come again only in {pause}", failure.message);
            return Err(failure);
        }
        let jitter = rand::rng().random_range(0.5..1.5);
        wait(mishap.pause.unwrap_or_else(|| pause.mul_f64(jitter).min(patience.timeout)), cancel)?;
        pause *= 2;
    }
}

fn wait(pause: Duration, cancel: &Cancel) -> Result<(), Failure> {
    let until = Instant::now() + pause;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        cancel.check()?;
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { retries: 2, timeout: Duration::from_millis(5) };

    #[test]
    fn only_what_passes_is_tried_again_and_not_for_ever() {
        let mut tries = 0;
        let failed = retry(PATIENCE, &Cancel::default(), || -> Result<(), Mishap> {
            tries += 1;
            Err(Mishap::passing(FailureKind::ServerError, "503".into()))
        });
        assert_eq!((tries, failed.unwrap_err().message.as_str()), (3, "503 (tried 3 times)"));
        tries = 0;
        let failed = retry(PATIENCE, &Cancel::default(), || -> Result<(), Mishap> {
            tries += 1;
            Err(Mishap::lasting(Failure::new(FailureKind::Refused, "401")))
        });
        assert_eq!((tries, failed.unwrap_err().message.as_str()), (1, "401"));
    }

    #[test]
    fn a_cancelled_attempt_is_not_repeated() {
        let cancel = Cancel::default();
        let failed = retry(PATIENCE, &cancel, || -> Result<(), Mishap> {
            cancel.cancel();
            Err(Mishap::passing(FailureKind::Timeout, "late".into()))
        });
        assert_eq!(failed.unwrap_err().kind, FailureKind::Interrupted);
    }

    #[test]
    fn the_server_says_when_to_come_again() {
        let asked = |text: &str| pause_asked(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = (Utc::now() + chrono::Duration::seconds(90)).to_rfc2822();
        assert!(asked(&later).is_some_and(|pause| pause > Duration::from_secs(80)));
        assert_eq!(asked("soon"), None);
    }
}

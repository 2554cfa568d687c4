//! What goes wrong between mtdata and a study's server, told apart, and which of it passes when one waits.

use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};

use crate::code::Code;
use crate::failure::{Failure, innermost};
use crate::retry::AttemptError;
use crate::study::entry::Broken;

/// A web page where data was expected.
pub fn web_page(url: &reqwest::Url) -> AttemptError {
    let failure = Failure::new(Code::NotJson, format!("{url}: the answer is a web page, not data"));
    AttemptError::lasting(
        failure.advise("that is how a refused login or a wrong `url` looks; check both in servers.toml"),
    )
}

/// The answer broke off before its end.
pub fn broken_off(url: &reqwest::Url, error: &io::Error) -> AttemptError {
    let story = innermost(error);
    let timeout = error.kind() == io::ErrorKind::TimedOut || story.contains("timed out");
    let kind = if timeout { Code::Timeout } else { Code::Truncated };
    AttemptError::passing(kind, format!("{url}: the answer broke off: {story}"))
}

/// There was no answer.
pub fn unanswered(url: &reqwest::Url, error: &reqwest::Error) -> AttemptError {
    let story = innermost(error);
    if error.is_timeout() && !error.is_connect() {
        return AttemptError::passing(Code::Timeout, format!("{url}: no answer in time"));
    }
    let lower = story.to_lowercase();
    if ["certificate", "tls", "handshake", "corrupt message"].iter().any(|word| lower.contains(word)) {
        let failure = Failure::new(Code::Tls, format!("{url}: no secure connection: {story}"));
        return AttemptError::lasting(
            failure.advise("the certificate may have expired, or something stands between; do not work around it"),
        );
    }
    AttemptError::passing(Code::Unreachable, format!("{url}: not reached: {story}"))
}

/// An answer other than 200.
pub fn status(url: &reqwest::Url, response: &Response) -> AttemptError {
    let (status, number) = (response.status(), response.status().as_u16());
    let lasting =
        |kind, message: String, advice: &str| AttemptError::lasting(Failure::new(kind, message).advise(advice));
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        return lasting(
            Code::Refused,
            format!("{url}: the login was refused ({number})"),
            "check `user` and `password` in servers.toml, and that the account has the ADMIN role",
        );
    }
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("nowhere");
        return lasting(
            Code::Refused,
            format!("{url}: redirected to {to} ({number}); not followed"),
            "a redirect to a login page means refused credentials; another address belongs into servers.toml",
        );
    }
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        let error = AttemptError::passing(Code::ServerError, format!("{url}: the server answered {number}"));
        return error.asking_for(pause_asked(response.headers()));
    }
    lasting(Code::WrongShape, format!("{url}: the server answered {number}"), "check `url` in servers.toml")
}

/// A body that is no array of entries. One that ends within itself may be whole the next time.
pub fn body(url: &reqwest::Url, broken: &Broken) -> AttemptError {
    let message = format!("{url}: {broken}");
    let nothing = "nothing of it was archived and nothing deleted; the next run asks again";
    match broken {
        Broken::NotJson => AttemptError::lasting(
            Failure::new(Code::NotJson, message)
                .advise("that is how a refused login looks; check `user`, `password` and `url`"),
        ),
        Broken::Shape { .. } => AttemptError::lasting(Failure::new(Code::WrongShape, message).advise(nothing)),
        Broken::Truncated { .. } => AttemptError::passing(Code::Truncated, message).advise(nothing),
        Broken::Io(_) => AttemptError::lasting(Failure::new(Code::Write, message)),
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

#[cfg(test)]
mod tests {
    use super::*;

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

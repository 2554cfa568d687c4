//! The client of a study's web server: asks, deletes with proof only, and tells apart what can go wrong.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::RngExt;
use reqwest::StatusCode;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::pool::ledger::Deletable;
use crate::study::listing::Listed;
use crate::study::name::ScaleName;
use crate::task::{Cancel, Failure, FailureKind, Patience};

const CONNECT: Duration = Duration::from_secs(15);
const USER_AGENT: &str = concat!("mtdata/", env!("CARGO_PKG_VERSION"));

/// One server, with its credentials and open connections.
pub struct StudyServer {
    client: Client,
    base: reqwest::Url,
    user: String,
    password: SecretString,
    max_answer: u64,
}

/// An answer's body in a file without a name, read from its beginning.
#[derive(Debug)]
pub struct Body {
    pub file: File,
    pub size: u64,
}

impl Body {
    /// The body from its beginning.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn rewound(&mut self) -> io::Result<&File> {
        self.file.rewind()?;
        Ok(&self.file)
    }
}

/// How a DELETE was answered; only another look at the table proves anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteAnswer {
    /// `None` when there was no answer.
    pub status: Option<u16>,
}

/// What went wrong, and whether another attempt may help.
struct Mishap {
    failure: Box<Failure>,
    transient: bool,
    /// The server asked for this pause.
    pause: Option<Duration>,
}

impl Mishap {
    fn lasting(kind: FailureKind, message: String) -> Self {
        Self { failure: Failure::new(kind, message).into(), transient: false, pause: None }
    }

    fn passing(kind: FailureKind, message: String) -> Self {
        Self { failure: Failure::new(kind, message).into(), transient: true, pause: None }
    }

    fn advise(mut self, advice: &str) -> Self {
        self.failure.advice = Some(advice.to_owned());
        self
    }
}

impl StudyServer {
    /// # Errors
    /// When the address is none, or the system has no certificates.
    pub fn new(url: &str, user: String, password: SecretString, max_answer: u64) -> Result<Self, Failure> {
        let unusable =
            |error: &dyn std::fmt::Display| Failure::new(FailureKind::Unreachable, format!("{url}: {error}"));
        let base = reqwest::Url::parse(url).map_err(|error| unusable(&error))?;
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT)
            // A redirect to another place must not carry credentials, and an answer from there is none of ours.
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(|error| unusable(&error))?;
        Ok(Self { client, base, user, password, max_answer })
    }

    fn url(&self, parts: &[&str]) -> reqwest::Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(parts);
        }
        url
    }

    fn send(&self, request: RequestBuilder, patience: Patience) -> Result<Response, reqwest::Error> {
        request.basic_auth(&self.user, Some(self.password.expose_secret())).timeout(patience.timeout).send()
    }

    /// `GET export`.
    ///
    /// # Errors
    /// Told apart by [`FailureKind`].
    pub fn listing(&self, patience: Patience, cancel: &Cancel) -> Result<Vec<Listed>, Failure> {
        #[derive(Deserialize)]
        struct Row {
            name: String,
            size: u64,
            deleteable: bool,
        }
        let url = self.url(&["export"]);
        let text = self.small(&url, patience, cancel)?;
        let wrong = |what: String| Failure::new(FailureKind::WrongShape, format!("{url}: the listing {what}"));
        let rows: Vec<Row> =
            serde_json::from_slice(&text).map_err(|error| wrong(format!("is not what it should be: {error}")))?;
        let mut listing: Vec<Listed> = Vec::with_capacity(rows.len());
        for row in rows {
            let name =
                ScaleName::new(&row.name).map_err(|error| wrong(format!("has a table whose name is none: {error}")))?;
            if listing.iter().any(|other| other.name.as_str().eq_ignore_ascii_case(name.as_str())) {
                return Err(wrong(format!("names `{name}` twice")));
            }
            listing.push(Listed { name, size: row.size, deleteable: row.deleteable });
        }
        Ok(listing)
    }

    /// `GET study`: checked to be JSON, and not more.
    ///
    /// # Errors
    /// Told apart by [`FailureKind`].
    pub fn study(&self, patience: Patience, cancel: &Cancel) -> Result<Vec<u8>, Failure> {
        let url = self.url(&["study"]);
        let text = self.small(&url, patience, cancel)?;
        match serde_json::from_slice::<serde::de::IgnoredAny>(&text) {
            Ok(_) => Ok(text),
            Err(error) => Err(Failure::new(FailureKind::WrongShape, format!("{url}: {error}"))),
        }
    }

    fn small(&self, url: &reqwest::Url, patience: Patience, cancel: &Cancel) -> Result<Vec<u8>, Failure> {
        retry(patience, cancel, || {
            let mut response = self.get(url, patience)?;
            let mut text = Vec::new();
            let read = (&mut response).take(64 << 20).read_to_end(&mut text);
            read.map_err(|error| broken_off(url, &error))?;
            let html = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<');
            if html { Err(not_json(url)) } else { Ok(text) }
        })
    }

    /// `GET export/{name}` into a nameless file below `folder`.
    ///
    /// # Errors
    /// Told apart by [`FailureKind`].
    pub fn entries(
        &self,
        scale: &ScaleName,
        folder: &Path,
        patience: Patience,
        cancel: &Cancel,
        progress: &dyn Fn(u64),
    ) -> Result<Body, Failure> {
        let url = self.url(&["export", scale.as_str()]);
        retry(patience, cancel, || {
            let mut response = self.get(&url, patience)?;
            let room = |error: io::Error| Mishap {
                failure: Failure::write(folder, &error).into(),
                transient: false,
                pause: None,
            };
            let mut file = tempfile::tempfile_in(folder).map_err(room)?;
            let mut buffer = vec![0; 1 << 16];
            let mut size = 0;
            loop {
                let read = match response.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(broken_off(&url, &error)),
                };
                size += read as u64;
                if size > self.max_answer {
                    let message = format!("{url}: the answer is larger than {} bytes", self.max_answer);
                    return Err(Mishap::lasting(FailureKind::WrongShape, message)
                        .advise("raise `max_answer` of this server if that is right"));
                }
                file.write_all(&buffer[..read]).map_err(room)?;
                progress(size);
                cancel.check().map_err(|failure| Mishap { failure: failure.into(), transient: false, pause: None })?;
            }
            Ok(Body { file, size })
        })
    }

    fn get(&self, url: &reqwest::Url, patience: Patience) -> Result<Response, Mishap> {
        let response = self.send(self.client.get(url.clone()), patience).map_err(|error| unanswered(url, &error))?;
        let status = response.status();
        if status == StatusCode::OK {
            let html = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            return if html.is_some_and(|kind| kind.starts_with("text/html")) {
                Err(not_json(url))
            } else {
                Ok(response)
            };
        }
        let number = status.as_u16();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Err(Mishap::lasting(FailureKind::Refused, format!("{url}: the login was refused ({number})"))
                .advise("check `user` and `password` in servers.toml, and that the account has the ADMIN role"));
        }
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("nowhere");
            return Err(Mishap::lasting(
                FailureKind::Refused,
                format!("{url}: redirected to {to} ({number}); not followed"),
            )
            .advise(
                "a redirect to a login page means refused credentials; another address belongs into servers.toml",
            ));
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let pause = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let mishap = Mishap::passing(FailureKind::ServerError, format!("{url}: the server answered {number}"));
            return Err(Mishap { pause: pause.map(Duration::from_secs), ..mishap });
        }
        Err(Mishap::lasting(FailureKind::WrongShape, format!("{url}: the server answered {number}"))
            .advise("check `url` in servers.toml"))
    }

    /// `DELETE export/{name}/{id}`, once: a deletion is never repeated before the table was looked at again.
    #[must_use]
    pub fn delete(&self, scale: &ScaleName, entry: &Deletable, patience: Patience) -> DeleteAnswer {
        let url = self.url(&["export", scale.as_str(), &entry.id().to_string()]);
        let answer = self.send(self.client.delete(url), patience);
        DeleteAnswer { status: answer.ok().map(|response| response.status().as_u16()) }
    }
}

fn not_json(url: &reqwest::Url) -> Mishap {
    Mishap::lasting(FailureKind::NotJson, format!("{url}: the answer is a web page, not data"))
        .advise("that is how a refused login or a wrong `url` looks; check both in servers.toml")
}

fn broken_off(url: &reqwest::Url, error: &io::Error) -> Mishap {
    let timeout = error.kind() == io::ErrorKind::TimedOut || chain(error).contains("timed out");
    let kind = if timeout { FailureKind::Timeout } else { FailureKind::Truncated };
    Mishap::passing(kind, format!("{url}: the answer broke off: {}", chain(error)))
}

fn unanswered(url: &reqwest::Url, error: &reqwest::Error) -> Mishap {
    let story = chain(error);
    if error.is_timeout() && !error.is_connect() {
        return Mishap::passing(FailureKind::Timeout, format!("{url}: no answer in time"));
    }
    if ["certificate", "tls", "handshake"].iter().any(|word| story.to_lowercase().contains(word)) {
        return Mishap::lasting(FailureKind::Tls, format!("{url}: no secure connection: {story}"))
            .advise("the certificate may have expired, or something stands between; do not work around it");
    }
    Mishap::passing(FailureKind::Unreachable, format!("{url}: not reached: {story}"))
}

/// The innermost causes say what happened; the outermost repeats the address.
fn chain(error: &dyn std::error::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.pop().unwrap_or_else(|| error.to_string())
}

/// Again and again, for what passes only; the pause doubles, with jitter, so that many clients do not come at once.
fn retry<T>(patience: Patience, cancel: &Cancel, mut attempt: impl FnMut() -> Result<T, Mishap>) -> Result<T, Failure> {
    let mut pause = Duration::from_millis(500);
    for left in (0..=patience.retries).rev() {
        cancel.check()?;
        let mishap = match attempt() {
            Ok(value) => return Ok(value),
            Err(mishap) => mishap,
        };
        if !mishap.transient || left == 0 {
            let tries = patience.retries + 1 - left;
            let mut failure = *mishap.failure;
            if tries > 1 {
                failure.message = format!("{} (tried {tries} times)", failure.message);
            }
            return Err(failure);
        }
        let jitter = rand::rng().random_range(0.5..1.5);
        let wait = mishap.pause.unwrap_or_else(|| pause.mul_f64(jitter)).min(patience.timeout);
        let until = Instant::now() + wait;
        while Instant::now() < until {
            cancel.check()?;
            std::thread::sleep(Duration::from_millis(20).min(wait));
        }
        pause *= 2;
    }
    Err(Failure::new(FailureKind::Internal, "no attempt was made"))
}

//! The client of a study's web server: asks, deletes with proof only, and sends its credentials nowhere else.

use std::io::{self, Read};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use chrono::NaiveDateTime;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::cancel::Cancel;
use crate::client::request_error;
use crate::code::Code;
use crate::failure::Failure;
use crate::pool::ledger::Deletable;
use crate::retry::{AttemptError, RetryPolicy, retry};
use crate::study::entry::Broken;
use crate::study::listing::{Listed, Listing};
use crate::study::name::ScaleName;

const CONNECT: Duration = Duration::from_secs(15);
const USER_AGENT: &str = concat!("mtdata/", env!("CARGO_PKG_VERSION"));
/// So many requests are under way at one server at once.
pub const CONCURRENCY: usize = 8;
/// A listing or a schedule larger than this is none.
const SMALL: u64 = 64 << 20;

/// One server, with its credentials and open connections.
pub struct StudyServer {
    client: Client,
    base: reqwest::Url,
    user: String,
    password: SecretString,
    max_answer: u64,
    gate: Gate,
}

/// Lets so many through at once.
struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

struct GatePass<'g>(&'g Gate);

impl Gate {
    fn enter(&self) -> GatePass<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        GatePass(self)
    }
}

impl Drop for GatePass<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// A table to be asked for.
#[derive(Clone, Copy)]
pub struct TableRequest<'a> {
    pub scale: &'a ScaleName,
    /// Only entries dated later, where the server honours it.
    pub after: Option<NaiveDateTime>,
    pub policy: RetryPolicy,
    pub cancel: &'a Cancel,
    /// Hears of the bytes received.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// A body as it comes.
pub struct AnswerBody<'a> {
    response: Response,
    url: &'a reqwest::Url,
    cancel: &'a Cancel,
    progress: &'a (dyn Fn(u64) + Sync),
    size: u64,
    largest: u64,
    /// What ended it before its end; more than an [`io::Error`] can say.
    error: Option<AttemptError>,
}

impl Read for AnswerBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stopped = || io::Error::other("stopped");
        if let Err(failure) = self.cancel.check() {
            self.error = Some(AttemptError::lasting(failure));
            return Err(stopped());
        }
        let read = match self.response.read(buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.error = Some(request_error::broken_off(self.url, &error));
                return Err(stopped());
            }
        };
        self.size += read as u64;
        if self.size > self.largest {
            let message = format!("{}: the answer is larger than {} bytes", self.url, self.largest);
            let failure = Failure::new(Code::WrongShape, message);
            self.error =
                Some(AttemptError::lasting(failure.advise("raise `max_answer` of this server if that is right")));
            return Err(stopped());
        }
        (self.progress)(self.size);
        Ok(read)
    }
}

/// Why a body was not taken.
#[derive(Debug)]
pub enum Untaken {
    /// It is not what it should be.
    Broken(Broken),
    /// The taker had trouble of its own.
    Failed(Failure),
}

/// How a DELETE was answered; only another look at the table proves anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteAnswer {
    /// `None` when there was no answer.
    pub status: Option<u16>,
}

impl StudyServer {
    /// # Errors
    /// When the address is none, or the system has no certificates.
    pub fn new(url: &str, user: String, password: SecretString, max_answer: u64) -> Result<Self, Failure> {
        let unusable = |error: &dyn std::fmt::Display| Failure::new(Code::Unreachable, format!("{url}: {error}"));
        let base = reqwest::Url::parse(url).map_err(|error| unusable(&error))?;
        let mut client = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT)
            // A redirect to another place must not carry credentials, and an answer from there is none of ours.
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(CONCURRENCY)
            .pool_idle_timeout(Duration::from_secs(30));
        if base.scheme() == "http" {
            // Unencrypted requests go to the server itself, never to a proxy that could read the password. Nobody shows a
            // certificate there, and reading the system's takes as long as several small tables.
            client = client.no_proxy().tls_certs_only([]);
        }
        let client = client.build().map_err(|error| unusable(&error))?;
        let gate = Gate { free: Mutex::new(CONCURRENCY), freed: Condvar::new() };
        Ok(Self { client, base, user, password, max_answer, gate })
    }

    fn url(&self, parts: &[&str]) -> reqwest::Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(parts);
        }
        url
    }

    fn send(&self, request: RequestBuilder, policy: RetryPolicy) -> Result<Response, reqwest::Error> {
        request.basic_auth(&self.user, Some(self.password.expose_secret())).timeout(policy.timeout).send()
    }

    fn get(&self, url: &reqwest::Url, policy: RetryPolicy) -> Result<Response, AttemptError> {
        let response =
            self.send(self.client.get(url.clone()), policy).map_err(|error| request_error::unanswered(url, &error))?;
        if response.status() == reqwest::StatusCode::OK {
            Ok(response)
        } else {
            Err(request_error::status(url, &response))
        }
    }

    /// `GET export`.
    pub fn listing(&self, policy: RetryPolicy, cancel: &Cancel) -> Result<Listing, Failure> {
        #[derive(Deserialize)]
        struct ListedRow {
            name: String,
            size: u64,
            deleteable: bool,
        }
        let url = self.url(&["export"]);
        let text = self.small(&url, policy, cancel)?;
        let rows: Vec<ListedRow> = serde_json::from_slice(&text).map_err(|error| {
            Failure::new(Code::WrongShape, format!("{url}: the listing is not what it should be: {error}"))
        })?;
        let mut listing = Listing::default();
        for row in rows {
            match ScaleName::new(&row.name) {
                // The server finds tables without regard to case, so two such names are one.
                Ok(name) if listing.tables.iter().any(|o| o.name.as_str().eq_ignore_ascii_case(name.as_str())) => {
                    listing.strange.push(format!("the listing names `{name}` twice"));
                }
                Ok(name) => listing.tables.push(Listed { name, size: row.size, deleteable: row.deleteable }),
                Err(error) => listing.strange.push(format!("a table of the listing is left out: {error}")),
            }
        }
        Ok(listing)
    }

    /// `GET study`: checked to be JSON, and not more.
    pub fn study(&self, policy: RetryPolicy, cancel: &Cancel) -> Result<Vec<u8>, Failure> {
        let url = self.url(&["study"]);
        let text = self.small(&url, policy, cancel)?;
        match serde_json::from_slice::<serde::de::IgnoredAny>(&text) {
            Ok(_) => Ok(text),
            Err(error) => Err(Failure::new(Code::WrongShape, format!("{url}: {error}"))),
        }
    }

    fn small(&self, url: &reqwest::Url, policy: RetryPolicy, cancel: &Cancel) -> Result<Vec<u8>, Failure> {
        let _pass = self.gate.enter();
        retry(policy, cancel, || {
            let mut response = self.get(url, policy)?;
            let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            if kind.is_some_and(|kind| kind.starts_with("text/html")) {
                return Err(request_error::web_page(url));
            }
            let mut text = Vec::new();
            let read = (&mut response).take(SMALL).read_to_end(&mut text);
            read.map_err(|error| request_error::broken_off(url, &error))?;
            let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
            if first == Some(&b'<') { Err(request_error::web_page(url)) } else { Ok(text) }
        })
    }

    /// `GET export/{name}`; each attempt hands the body to `take`.
    pub fn entries<T>(
        &self,
        asked: &TableRequest<'_>,
        mut take: impl FnMut(&mut AnswerBody<'_>) -> Result<T, Untaken>,
    ) -> Result<T, Failure> {
        let mut url = self.url(&["export", asked.scale.as_str()]);
        if let Some(after) = asked.after {
            url.set_query(Some(&format!("after={}", after.format("%Y-%m-%d-%H-%M-%S"))));
        }
        let _pass = self.gate.enter();
        retry(asked.policy, asked.cancel, || {
            let response = self.get(&url, asked.policy)?;
            let (cancel, progress) = (asked.cancel, asked.progress);
            let mut answer =
                AnswerBody { response, url: &url, cancel, progress, size: 0, largest: self.max_answer, error: None };
            let taken = take(&mut answer);
            match (answer.error, taken) {
                (Some(error), Err(_)) => Err(error),
                (_, Ok(value)) => Ok(value),
                (None, Err(Untaken::Broken(broken))) => Err(request_error::body(&url, &broken)),
                (None, Err(Untaken::Failed(failure))) => Err(AttemptError::lasting(failure)),
            }
        })
    }

    /// Waits for a place among the requests under way.
    pub fn turn(&self) -> Turn<'_> {
        Turn { server: self, _pass: self.gate.enter() }
    }
}

/// A place among the requests under way, for several DELETEs one after another: to give it back after each would wake
/// another thread for each, and most of them in vain.
pub struct Turn<'s> {
    server: &'s StudyServer,
    _pass: GatePass<'s>,
}

impl Turn<'_> {
    /// `DELETE export/{name}/{id}`, once: a deletion is never repeated before the table was looked at again.
    pub fn delete(&self, entry: Deletable<'_>, policy: RetryPolicy) -> DeleteAnswer {
        let url = self.server.url(&["export", entry.scale().as_str(), &entry.id().to_string()]);
        let Ok(mut response) = self.server.send(self.server.client.delete(url), policy) else {
            return DeleteAnswer { status: None };
        };
        // A body that is read to its end leaves the connection to the next request; what it says proves nothing.
        let _ = io::copy(&mut (&mut response).take(SMALL), &mut io::sink());
        DeleteAnswer { status: Some(response.status().as_u16()) }
    }
}

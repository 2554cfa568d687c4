//! The embedded study server: answers on loopback what a real one answers, and breaks where a test plans it.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, FixedOffset, NaiveDateTime, Utc};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use crate::demo::study::Synthetic;
use crate::demo::trouble::{BodyPieces, PlannedFault, take};
pub use crate::demo::trouble::{ResetMoment, ServerFault};

/// What the server holds and has seen.
#[derive(Debug, Default)]
struct ServerState {
    study: Synthetic,
    faults: VecDeque<PlannedFault>,
    requests: Vec<String>,
    login: String,
}

/// The server, up until it is dropped.
pub struct DemoServer {
    address: SocketAddr,
    shared: Arc<Mutex<ServerState>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

fn locked(shared: &Mutex<ServerState>) -> MutexGuard<'_, ServerState> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DemoServer {
    /// Serves on 127.0.0.1 and this port; 0 takes a free one.
    pub fn start(study: Synthetic, user: &str, password: &str, port: u16) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let login = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let shared = Arc::new(Mutex::new(ServerState { study, login, ..ServerState::default() }));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let seen = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, seen) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Base of the interface, as servers.toml names it.
    pub fn url(&self) -> String {
        format!("http://{}/api/", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Adds an entry, dated now; it must be a JSON object.
    pub fn add(&self, table: &str, id: i64, entry: &str) {
        self.add_dated(table, id, Utc::now().fixed_offset(), entry);
    }

    /// Adds an entry of this moment, beside one of the same id.
    pub fn add_dated(&self, table: &str, id: i64, moment: DateTime<FixedOffset>, entry: &str) {
        let mut shared = locked(&self.shared);
        shared.study.tables.entry(table.to_owned()).or_default().entries.push((id, moment, entry.as_bytes().to_vec()));
    }

    /// An entry is gone without having been asked for.
    pub fn lose(&self, table: &str, id: i64) {
        if let Some(table) = locked(&self.shared).study.tables.get_mut(table) {
            table.entries.retain(|(known, ..)| *known != id);
        }
    }

    /// The ids of a table, in order.
    pub fn ids(&self, table: &str) -> Vec<i64> {
        let shared = locked(&self.shared);
        shared
            .study
            .tables
            .get(table)
            .map(|table| table.entries.iter().map(|(id, ..)| *id).collect())
            .unwrap_or_default()
    }

    pub fn plan(&self, method: &'static str, path: &str, fault: ServerFault, times: u32) {
        locked(&self.shared).faults.push_back(PlannedFault { method, path: path.to_owned(), fault, times });
    }

    /// Forgets faults that did not happen yet.
    pub fn heal(&self) {
        locked(&self.shared).faults.clear();
    }

    /// `METHOD path?query` of every request so far.
    pub fn requests(&self) -> Vec<String> {
        locked(&self.shared).requests.clone()
    }
}

impl Drop for DemoServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Mutex<ServerState>>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // Answers that wait for each other's acknowledgement would make every deletion slow.
        let _ = stream.set_nodelay(true);
        tokio::spawn(converse(stream, Arc::clone(&shared)));
    }
}

/// One connection, to its end, whichever that is.
async fn converse(stream: tokio::net::TcpStream, shared: Arc<Mutex<ServerState>>) {
    let reset = AtomicBool::new(false);
    let service = service_fn(|request| Box::pin(answer(request, Arc::clone(&shared), &reset)));
    let mut connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A client that leaves is its own affair.
    let _ = std::future::poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let stream = connection.into_parts().io.into_inner();
    if reset.load(Ordering::Relaxed) {
        // What was sent shall arrive before the reset overtakes it.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let _ = stream.set_zero_linger();
    }
}

/// In which the server prints and compares dates, all year.
const EASTERN: FixedOffset = FixedOffset::west_opt(5 * 3600).expect("five hours are less than a day");

type DemoResponse = Response<BodyPieces>;

fn plain(status: StatusCode, kind: &str, body: Vec<u8>) -> DemoResponse {
    with_body(status, kind, BodyPieces::whole(body))
}

fn with_body(status: StatusCode, kind: &str, body: BodyPieces) -> DemoResponse {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    }
    response
}

fn status(code: u16) -> DemoResponse {
    plain(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), "text/plain", Vec::new())
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Mutex<ServerState>>,
    reset: &AtomicBool,
) -> io::Result<DemoResponse> {
    let path = request.uri().path().trim_start_matches("/api/").trim_matches('/').to_owned();
    let (method, query) = (request.method().clone(), request.uri().query().unwrap_or_default().to_owned());
    let login =
        request.headers().get(hyper::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (fault, allowed) = {
        let mut shared = locked(&shared);
        let asked = if query.is_empty() { String::new() } else { format!("?{query}") };
        shared.requests.push(format!("{method} {path}{asked}"));
        (take(&mut shared.faults, method.as_str(), &path), login.as_deref() == Some(shared.login.as_str()))
    };
    if !allowed {
        let mut response = status(401);
        if let Ok(realm) = "Basic realm=\"study\"".parse() {
            response.headers_mut().insert(hyper::header::WWW_AUTHENTICATE, realm);
        }
        return Ok(response);
    }
    if let Some(ServerFault::Delay(pause)) = &fault {
        tokio::time::sleep(*pause).await;
    }
    if let Some(ServerFault::Reset(moment)) = fault {
        reset.store(true, Ordering::Relaxed);
        if moment == ResetMoment::Before {
            return Err(io::Error::other("reset as planned"));
        }
    }
    Ok(with_fault(fault, &method, &path, &query, &shared))
}

/// The answer, and what the fault makes of it.
fn with_fault(
    fault: Option<ServerFault>,
    method: &Method,
    path: &str,
    query: &str,
    shared: &Mutex<ServerState>,
) -> DemoResponse {
    let lie = fault == Some(ServerFault::Lie);
    let normal = || respond(method, path, query, &mut locked(shared).study, lie);
    let body = || table(path, query, &locked(shared).study).unwrap_or_default();
    let json = |body| with_body(StatusCode::OK, "application/json", body);
    match fault {
        None | Some(ServerFault::Delay(_) | ServerFault::Lie) => normal(),
        Some(ServerFault::Status(code)) => status(code),
        Some(ServerFault::LoginPage) => {
            plain(StatusCode::OK, "text/html", b"<html><body>Please log in</body></html>".to_vec())
        }
        Some(ServerFault::Redirect(to)) => with_header(status(302), hyper::header::LOCATION, &to),
        Some(ServerFault::Text(text)) => plain(StatusCode::OK, "application/json", text.into_bytes()),
        Some(ServerFault::RetryAfter(code, seconds)) => {
            with_header(status(code), hyper::header::RETRY_AFTER, &seconds.to_string())
        }
        Some(ServerFault::Cut { announced }) => {
            let mut response = json(BodyPieces::cut(body(), announced));
            if !announced {
                // Its body ends where the connection ends.
                *response.version_mut() = Version::HTTP_10;
            }
            response
        }
        Some(ServerFault::Gzip { whole }) => match BodyPieces::compressed(&body(), whole) {
            Ok(packed) => with_header(json(packed), hyper::header::CONTENT_ENCODING, "gzip"),
            Err(_) => status(500),
        },
        Some(ServerFault::Reset(moment)) => json(BodyPieces::broken_off(body(), moment)),
        Some(ServerFault::Drip(pause)) => json(BodyPieces::dripping(body(), pause)),
        Some(ServerFault::DoneBut(code)) => {
            let _ = normal();
            status(code)
        }
        Some(ServerFault::Arrival { table, id, entry }) => {
            let response = normal();
            let mut shared = locked(shared);
            let entries = &mut shared.study.tables.entry(table).or_default().entries;
            entries.retain(|(known, ..)| *known != id);
            entries.push((id, Utc::now().fixed_offset(), entry.into_bytes()));
            response
        }
        Some(ServerFault::Endless { entries, size }) => json(BodyPieces::endless(entries, size)),
    }
}

fn with_header(mut response: DemoResponse, name: hyper::header::HeaderName, value: &str) -> DemoResponse {
    if let Ok(value) = value.parse() {
        response.headers_mut().insert(name, value);
    }
    response
}

fn respond(method: &Method, path: &str, query: &str, study: &mut Synthetic, lie: bool) -> DemoResponse {
    let json = |body| plain(StatusCode::OK, "application/json", body);
    let parts: Vec<&str> = path.split('/').collect();
    match (method, parts.as_slice()) {
        (&Method::GET, ["export"]) => json(listing(study)),
        (&Method::GET, ["study"]) => json(study.schedule.clone()),
        (&Method::GET, ["export", _]) => table(path, query, study).map_or_else(|| status(404), json),
        (&Method::DELETE, ["export", name, id]) => delete(study, name, id, lie),
        (&Method::POST, ["demo", "new", name, number]) => add_copies(study, name, number.parse().unwrap_or(1)),
        _ => status(404),
    }
}

fn listing(study: &Synthetic) -> Vec<u8> {
    let rows: Vec<_> = study
        .tables
        .iter()
        .map(|(name, table)| serde_json::json!({"name": name, "size": table.entries.len(), "deleteable": table.deleteable}))
        .collect();
    serde_json::Value::from(rows).to_string().into_bytes()
}

fn table(path: &str, query: &str, study: &Synthetic) -> Option<Vec<u8>> {
    let name = path.rsplit('/').next()?;
    let table = study.tables.get(name)?;
    let after = query.split('&').find_map(|pair| pair.strip_prefix("after="));
    let after = after.filter(|_| table.honours_after);
    let after = after.and_then(|text| NaiveDateTime::parse_from_str(text, "%Y-%m-%d-%H-%M-%S").ok());
    let mut body = b"[".to_vec();
    for (_, moment, bytes) in &table.entries {
        if after.is_some_and(|after| moment.with_timezone(&EASTERN).naive_local() <= after) {
            continue;
        }
        if body.len() > 1 {
            body.push(b',');
        }
        body.extend_from_slice(bytes);
    }
    body.push(b']');
    Some(body)
}

fn delete(study: &mut Synthetic, name: &str, id: &str, lie: bool) -> DemoResponse {
    let Some(table) = study.tables.get_mut(name) else { return status(404) };
    if !table.deleteable {
        return status(403);
    }
    let Some(at) = id.parse::<i64>().ok().and_then(|id| table.entries.iter().position(|(known, ..)| *known == id))
    else {
        return status(404);
    };
    if !lie {
        table.entries.remove(at);
    }
    status(200)
}

/// New entries for trying things out: the last one again, with new ids, dated a minute later each.
fn add_copies(study: &mut Synthetic, name: &str, number: u32) -> DemoResponse {
    let Some(table) = study.tables.get_mut(name) else { return status(404) };
    for _ in 0..number.min(10_000) {
        let fresh = serde_json::json!({"participant": 100, "session": "firstSession", "tag": null, "timeOnPage": 12.5});
        let last = table.entries.last().and_then(|(_, _, bytes)| serde_json::from_slice(bytes).ok()).unwrap_or(fresh);
        let serde_json::Value::Object(mut fields) = last else { continue };
        let newest = table.entries.iter().map(|(id, moment, _)| (*id, *moment)).max();
        let (id, moment) = newest.unwrap_or((1_000_000, Utc::now().fixed_offset()));
        let moment = moment + chrono::Duration::minutes(1);
        fields.insert("id".to_owned(), serde_json::json!(id + 1));
        if fields.contains_key("date") || !fields.contains_key("dateCompleted") {
            fields.insert("date".to_owned(), serde_json::json!(moment.to_rfc2822()));
        }
        let bytes = serde_json::Value::from(fields).to_string().into_bytes();
        table.entries.push((id + 1, moment, bytes));
    }
    status(200)
}

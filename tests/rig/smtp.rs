//! A mail server for the tests: a real conversation over TCP, with STARTTLS, AUTH, and what goes wrong with mail servers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub const USER: &str = "lab@example.edu";
pub const PASSWORD: &str = "correct-horse-17";

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Good,
    /// 451 to every recipient: come back later.
    Greylists,
    /// 535, and the server repeats what it was told.
    RefusesLogin,
    /// 550 to addresses that begin with `gone`.
    Picky,
    /// No STARTTLS is offered.
    NoTls,
}

#[derive(Debug, Clone)]
pub struct Received {
    pub to: Vec<String>,
    pub encrypted: bool,
    pub login: bool,
    pub message: String,
}

impl Received {
    pub fn subject(&self) -> String {
        let head = self.message.split("\n\n").next().unwrap().replace("\n ", " ");
        head.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned()
    }
}

struct Shared {
    manner: Mutex<Manner>,
    mails: Mutex<Vec<Received>>,
    stop: AtomicBool,
    tls: Arc<ServerConfig>,
}

/// Up until it is dropped.
pub struct MailServer {
    pub port: u16,
    /// The authority of its certificate, as PEM.
    pub authority: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl MailServer {
    pub fn start(manner: Manner) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("authority.pem");
        std::fs::write(&authority, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            mails: Mutex::default(),
            stop: AtomicBool::new(false),
            tls: Arc::new(tls),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.stop.load(Ordering::Relaxed) {
                    return;
                }
                let seen = Arc::clone(&seen);
                // A client that hangs up ends its conversation and nothing else.
                std::thread::spawn(move || stream.and_then(|stream| serve(stream, &seen)));
            }
        });
        Self { port, authority, shared, thread: Some(thread), _folder: folder }
    }

    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    pub fn mails(&self) -> Vec<Received> {
        self.shared.mails.lock().unwrap().clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut talk = Talk { shared, encrypted: false, login: false };
    let mut plain = BufReader::new(stream);
    say(plain.get_mut(), "220 test ready")?;
    if talk.converse(&mut plain)? {
        let connection = ServerConnection::new(Arc::clone(&shared.tls)).map_err(io::Error::other)?;
        talk.encrypted = true;
        talk.converse(&mut BufReader::new(StreamOwned::new(connection, plain.into_inner())))?;
    }
    Ok(())
}

fn say(stream: &mut impl Write, line: &str) -> io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes())?;
    stream.flush()
}

struct Talk<'s> {
    shared: &'s Shared,
    encrypted: bool,
    login: bool,
}

impl Talk<'_> {
    /// True when the client wants TLS now.
    fn converse<S: Read + Write>(&mut self, stream: &mut BufReader<S>) -> io::Result<bool> {
        let manner = *self.shared.manner.lock().unwrap();
        let mut to = Vec::new();
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(false);
            }
            let text = line.trim_end();
            let word = text.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            let answer = match word.as_str() {
                "EHLO" if !self.encrypted && manner != Manner::NoTls => "250-test\r\n250 STARTTLS",
                "EHLO" if self.encrypted => "250-test\r\n250 AUTH PLAIN LOGIN",
                "STARTTLS" => {
                    say(stream.get_mut(), "220 go on")?;
                    return Ok(true);
                }
                "AUTH" if manner == Manner::RefusesLogin => {
                    let told = text.rsplit(' ').next().unwrap_or_default();
                    say(stream.get_mut(), &format!("535 not {told} ({PASSWORD})"))?;
                    continue;
                }
                "AUTH" => {
                    self.login = text.ends_with(&STANDARD.encode(format!("\0{USER}\0{PASSWORD}")));
                    if self.login { "235 welcome" } else { "535 no" }
                }
                "RCPT" if manner == Manner::Greylists => "451 come back later",
                "RCPT" if manner == Manner::Picky && text.contains("<gone") => "550 no such person",
                "RCPT" => {
                    to.push(text.split(['<', '>']).nth(1).unwrap_or_default().to_owned());
                    "250 ok"
                }
                "DATA" => {
                    say(stream.get_mut(), "354 go on")?;
                    let message = body(stream)?;
                    let mail =
                        Received { to: std::mem::take(&mut to), encrypted: self.encrypted, login: self.login, message };
                    self.shared.mails.lock().unwrap().push(mail);
                    "250 taken"
                }
                "RSET" => {
                    to.clear();
                    "250 ok"
                }
                "QUIT" => {
                    say(stream.get_mut(), "221 bye")?;
                    return Ok(false);
                }
                _ => "250 ok",
            };
            say(stream.get_mut(), answer)?;
        }
    }
}

/// The message as it was meant: quoted-printable undone.
fn body(stream: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 || line == ".\r\n" {
            return Ok(text.replace("=\r\n", "").replace("=3D", "=").replace("\r\n", "\n"));
        }
        text.push_str(&line);
    }
}

//! What a heartbeat calls: a web server that counts the calls and answers with a status of the test's choice.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Up until it is dropped.
pub struct Monitor {
    pub port: u16,
    heard: Arc<Heard>,
    thread: Option<JoinHandle<()>>,
}

struct Heard {
    /// The first line of each call.
    calls: Mutex<Vec<String>>,
    status: AtomicU16,
    stop: AtomicBool,
}

impl Monitor {
    pub fn start() -> Self {
        let heard =
            Arc::new(Heard { calls: Mutex::default(), status: AtomicU16::new(200), stop: AtomicBool::new(false) });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let ears = Arc::clone(&heard);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ears.stop.load(Ordering::Relaxed) {
                    return;
                }
                // A caller that hangs up is no concern of the next.
                let _ = stream.and_then(|stream| answer(&stream, &ears));
            }
        });
        Self { port, heard, thread: Some(thread) }
    }

    pub fn answer_with(&self, status: u16) {
        self.heard.status.store(status, Ordering::Relaxed);
    }

    pub fn calls(&self) -> Vec<String> {
        self.heard.calls.lock().unwrap().clone()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.heard.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        self.thread.take().unwrap().join().unwrap();
    }
}

fn answer(stream: &TcpStream, heard: &Heard) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    heard.calls.lock().unwrap().push(lines.next().transpose()?.unwrap_or_default());
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let status = heard.status.load(Ordering::Relaxed);
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} so\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

//! A gate before a server, so that it can go down and come back on the same port: closed, connections are refused.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

pub struct Gate {
    pub port: u16,
    behind: u16,
    guard: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Gate {
    /// Open, on a free port.
    pub fn before(behind: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut gate = Self { port: listener.local_addr().unwrap().port(), behind, guard: None };
        gate.watch(listener);
        gate
    }

    pub fn open(&mut self) {
        if self.guard.is_none() {
            self.watch(TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).unwrap());
        }
    }

    pub fn close(&mut self) {
        if let Some((closing, thread)) = self.guard.take() {
            closing.store(true, Ordering::Relaxed);
            // Wakes the guard; its listener is gone when it ends.
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
            thread.join().unwrap();
        }
    }

    fn watch(&mut self, listener: TcpListener) {
        let closing = Arc::new(AtomicBool::new(false));
        let (seen, behind) = (Arc::clone(&closing), self.behind);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                // A connection that breaks is no concern of the others.
                std::thread::spawn(move || stream.and_then(|stream| join(stream, behind)));
            }
        });
        self.guard = Some((closing, thread));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.close();
    }
}

fn join(client: TcpStream, behind: u16) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, behind))?;
    let (mut up, mut down) = ((client.try_clone()?, server.try_clone()?), (server, client));
    let there = std::thread::spawn(move || {
        let copied = io::copy(&mut up.0, &mut up.1);
        let _ = up.1.shutdown(Shutdown::Write);
        copied
    });
    let back = io::copy(&mut down.0, &mut down.1);
    let _ = down.1.shutdown(Shutdown::Both);
    let _ = there.join();
    back.map(drop)
}

//! What the embedded server can be told to do wrong, and the bodies that go wrong in the way.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::time::Sleep;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFault {
    /// This status, without a body.
    Status(u16),
    /// 200 and a login page.
    LoginPage,
    /// 302 to this place.
    Redirect(String),
    /// 200 and this text.
    Text(String),
    /// Half of the answer, and the connection ends; the length of all of it was announced, or no length was.
    Cut { announced: bool },
    /// Compressed; whole, or only the first half of what was compressed, with the length of that half.
    Gzip { whole: bool },
    /// The connection is reset.
    Reset(ResetMoment),
    /// The answer comes after this pause.
    Delay(Duration),
    /// The answer comes in pieces of 16 bytes, with this pause before each.
    Drip(Duration),
    /// 200, and nothing is done.
    Lie,
    /// It is done, and this is the answer.
    DoneBut(u16),
    /// 429 or 503 with Retry-After of so many seconds.
    RetryAfter(u16, u32),
    /// Right after the answer was made, this entry is in this table, in place of one with its id.
    Arrival { table: String, id: i64, entry: String },
    /// So many made-up entries of about so many bytes.
    Endless { entries: u64, size: usize },
}

/// When a connection is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetMoment {
    /// Before the first byte of the answer.
    Before,
    /// In the middle of the body.
    Within,
    /// After the last byte of the body, but before the client can know that it was the last.
    After,
}

/// Where and how often a fault happens.
#[derive(Debug, Clone)]
pub struct PlannedFault {
    pub method: &'static str,
    /// The end of the path: `export/OA`; empty for all.
    pub path: String,
    pub fault: ServerFault,
    pub times: u32,
}

/// Takes the first fault that is planned for this request.
pub fn take(faults: &mut VecDeque<PlannedFault>, method: &str, path: &str) -> Option<ServerFault> {
    let at = faults.iter().position(|planned| planned.method == method && path.ends_with(&planned.path))?;
    let planned = faults.get_mut(at)?;
    let fault = planned.fault.clone();
    planned.times = planned.times.saturating_sub(1);
    if planned.times == 0 {
        faults.remove(at);
    }
    Some(fault)
}

/// A body in pieces: it may pause before each, and end by breaking off.
pub struct BodyPieces {
    rest: Box<dyn Iterator<Item = Bytes> + Send + Sync>,
    /// As it is announced; `None` says nothing of the length.
    length: Option<u64>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    breaks_off: bool,
}

impl BodyPieces {
    pub fn whole(bytes: Vec<u8>) -> Self {
        let length = bytes.len() as u64;
        let pieces = std::iter::once(Bytes::from(bytes)).filter(|bytes| !bytes.is_empty());
        Self { rest: Box::new(pieces), length: Some(length), pause: Duration::ZERO, waiting: None, breaks_off: false }
    }

    /// Half of these bytes.
    pub fn cut(mut bytes: Vec<u8>, announced: bool) -> Self {
        let length = bytes.len() as u64;
        bytes.truncate(bytes.len() / 2);
        let length = announced.then_some(length);
        Self { length, breaks_off: announced, ..Self::whole(bytes) }
    }

    /// These bytes, or half of them, and then no end.
    pub fn broken_off(mut bytes: Vec<u8>, moment: ResetMoment) -> Self {
        if moment == ResetMoment::Within {
            bytes.truncate(bytes.len() / 2);
        }
        Self { length: None, breaks_off: true, ..Self::whole(bytes) }
    }

    pub fn dripping(bytes: Vec<u8>, pause: Duration) -> Self {
        let length = Some(bytes.len() as u64);
        let pieces = (0..bytes.len().div_ceil(16)).map({
            let bytes = Bytes::from(bytes);
            move |piece| bytes.slice(piece * 16..bytes.len().min(piece * 16 + 16))
        });
        Self { rest: Box::new(pieces), length, pause, ..Self::whole(Vec::new()) }
    }

    pub fn compressed(bytes: &[u8], whole: bool) -> io::Result<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes)?;
        let mut packed = encoder.finish()?;
        if !whole {
            packed.truncate(packed.len() / 2);
        }
        Ok(Self::whole(packed))
    }

    pub fn endless(entries: u64, size: usize) -> Self {
        let filling = "x".repeat(size.saturating_sub(40));
        let entry = move |id: u64| {
            let before = if id == 1 { "[" } else { "," };
            let after = if id == entries { "]" } else { "" };
            Bytes::from(format!("{before}{{\"id\":{id},\"participant\":100,\"text\":\"{filling}\"}}{after}"))
        };
        Self { rest: Box::new((1..=entries).map(entry)), length: None, ..Self::whole(Vec::new()) }
    }
}

impl Body for BodyPieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.pause.is_zero() {
            let pause = self.pause;
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            std::task::ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        match self.rest.next() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            // What was written before has to reach the client first.
            None if self.breaks_off && self.pause.is_zero() => {
                self.pause = Duration::from_millis(50);
                self.poll_frame(context)
            }
            None if self.breaks_off => Poll::Ready(Some(Err(io::Error::other("broken off as planned")))),
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

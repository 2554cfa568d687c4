//! Ctrl-C and SIGTERM: the first asks politely, the second is at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// Which signal came, if any.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    last: Arc<AtomicUsize>,
}

/// A request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Interrupt,
    Terminate,
}

impl Signals {
    /// From now on both signals are only noted; a second one ends the process.
    pub fn watch() -> io::Result<Self> {
        let signals = Self::default();
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
            let armed = Arc::new(std::sync::atomic::AtomicBool::new(false));
            // In this order: the first signal finds the shutdown not armed, arms it, and is noted.
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&armed))?;
            signal_hook::flag::register(signal, armed)?;
            let value = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_usize(signal, Arc::clone(&signals.last), value)?;
        }
        Ok(signals)
    }

    pub fn stop(&self) -> Option<Stop> {
        match i32::try_from(self.last.load(Ordering::Relaxed)).ok()? {
            SIGINT => Some(Stop::Interrupt),
            SIGTERM => Some(Stop::Terminate),
            _ => None,
        }
    }
}

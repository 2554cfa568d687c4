//! How a request to a server is made: how patiently, until when, and who hears of it.

use std::sync::{Mutex, PoisonError};

use crate::cancel::Cancel;
use crate::retry::RetryPolicy;
use crate::task::{Voice, Warning};

/// How long to wait, whether to stop, whom to tell.
#[derive(Clone, Copy)]
pub(super) struct RequestContext<'m> {
    pub policy: RetryPolicy,
    pub cancel: &'m Cancel,
    pub voice: &'m dyn Voice,
}

/// Keeps warnings until somebody asks for them.
#[derive(Default)]
pub(super) struct Collected(pub Mutex<Vec<Warning>>);

impl Voice for Collected {
    fn warn(&self, warning: Warning) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    fn progress(&self, _: u64, _: u64) {}
}

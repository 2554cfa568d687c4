//! The wish to stop, which everything that takes long looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::code::Code;
use crate::failure::Failure;

/// Set once by Ctrl-C or SIGTERM; long loops look at it between entries.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Code::Interrupted`] once cancelled, for use with `?` between two steps.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_cancelled() {
            return Err(Failure::new(Code::Interrupted, "interrupted; the next run resumes here"));
        }
        Ok(())
    }
}

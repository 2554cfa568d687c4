//! Pages of memory: huge ones make a call with nothing to do fast, and work large.
//!
//! A call that only looks reads its whole state into memory at once, and huge pages save it some of its time when that is
//! large. To make one takes longer than to read a small state, and work takes and gives back many pieces on many threads:
//! there, huge pages are cleared again and again, and stay half empty.

use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

/// True when this process began with huge pages on: only then they are ours to turn off.
static BEGAN_HUGE: OnceLock<bool> = OnceLock::new();
/// True with small pages.
static SMALL: Mutex<bool> = Mutex::new(false);

/// Takes small pages from now on. Where the kernel does not let us, work needs more memory and is no less right.
pub fn small() {
    set(&mut SMALL.lock().unwrap_or_else(PoisonError::into_inner), true);
}

/// Takes pages as the kernel gives them from now on, for a large state.
pub fn usual() {
    set(&mut SMALL.lock().unwrap_or_else(PoisonError::into_inner), false);
}

/// Starts another program, which inherits this and should have what it has elsewhere.
pub fn usual_for<T>(start: impl FnOnce() -> T) -> T {
    let mut is_small = SMALL.lock().unwrap_or_else(PoisonError::into_inner);
    let before = *is_small;
    set(&mut is_small, false);
    let started = start();
    set(&mut is_small, before);
    started
}

fn set(is_small: &mut bool, wanted: bool) {
    let huge = || transparent_huge_pages_are_disabled().is_ok_and(|disabled| !disabled);
    if *is_small != wanted && *BEGAN_HUGE.get_or_init(huge) && disable_transparent_huge_pages(wanted).is_ok() {
        *is_small = wanted;
    }
}

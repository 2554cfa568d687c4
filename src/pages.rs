//! Pages of memory: huge ones make a call with nothing to do fast, and work large.
//!
//! A call that only looks reads its whole state into memory at once, and huge pages save it some of its time. Work takes
//! and gives back many pieces on many threads: there, huge pages are cleared again and again, and stay half empty.

use std::sync::OnceLock;

use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

/// True when huge pages were on, and were turned off here.
static TURNED_OFF: OnceLock<bool> = OnceLock::new();

/// Takes small pages from the first call on. Where the kernel does not let us, work needs more memory and is no less right.
pub fn small() {
    TURNED_OFF.get_or_init(|| {
        let on = transparent_huge_pages_are_disabled().is_ok_and(|disabled| !disabled);
        on && disable_transparent_huge_pages(true).is_ok()
    });
}

/// Takes pages as before from now on: what this process starts inherits it, and a lab's commands should have what they
/// have elsewhere.
pub fn usual() {
    if TURNED_OFF.get() == Some(&true) {
        let _ = disable_transparent_huge_pages(false);
    }
}

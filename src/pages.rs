//! Pages of memory: huge ones make a call with nothing to do fast, and work large.
//!
//! A call that only looks reads its whole state into memory at once, and huge pages save it a tenth of its time. Work takes
//! and gives back many pieces on many threads: there, huge pages are cleared again and again, and stay half empty.

/// Takes small pages from now on. Where the kernel does not let us, work needs more memory and is no less right.
pub fn small() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Takes pages as the kernel likes from now on: what this process starts inherits it, and a lab's commands should have what
/// they have elsewhere.
pub fn usual() {
    let _ = rustix::thread::disable_transparent_huge_pages(false);
}

//! Places where a test may break a debug build to see that nothing is lost: `MTDATA_FAULT=archive-linked:abort`.
//! A release build holds none of it.

use std::path::Path;

/// Passes a place by its name; `file` is what the step before left.
#[cfg(not(debug_assertions))]
#[inline]
pub fn point(_: &str, _: &Path) {}

/// Passes a place by its name; `file` is what the step before left. With `MTDATA_FAULT=NAME:ACTION[:N]` the Nth pass
/// (the first, unless said) of that name aborts the process (`abort`) or changes a byte of the file (`flip`).
#[cfg(debug_assertions)]
pub fn point(name: &str, file: &Path) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    static WANTED: OnceLock<Option<(String, String, u32)>> = OnceLock::new();
    static PASSES: AtomicU32 = AtomicU32::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("MTDATA_FAULT").ok()?;
        let mut parts = text.split(':');
        let (name, action) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some((name, action, parts.next().and_then(|number| number.parse().ok()).unwrap_or(1)))
    });
    let Some((place, action, nth)) = wanted else { return };
    if place != name || PASSES.fetch_add(1, Ordering::Relaxed) + 1 != *nth {
        return;
    }
    match action.as_str() {
        "abort" => std::process::abort(),
        "flip" => flip(file).expect("a test that plans a flip leaves the file writable"),
        _ => panic!("MTDATA_FAULT knows abort and flip, not {action}"),
    }
}

#[cfg(debug_assertions)]
fn flip(file: &Path) -> std::io::Result<()> {
    let mut bytes = std::fs::read(file)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes)
}

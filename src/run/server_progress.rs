//! How far a run is with one server: while exports are left, its dates are not all known.

use crate::failure::Failure;

/// How far a server is.
#[derive(Debug, Default)]
pub(super) struct ServerProgress {
    pub listing_failed: Option<Failure>,
    pub exports_left: usize,
    /// An export wrote raw files: the dates have to be looked for again.
    pub wrote: bool,
    pub grown: bool,
}

//! Everything that drives the real binary, in one crate so that it is linked once.

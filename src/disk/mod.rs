//! Files that are complete and durable or not there at all, records that only grow, and what a file's looks say of its
//! content: everything else that touches the disk stands on this.

pub mod append_log;
pub mod atomic;
pub mod content;
pub mod file_system;
pub mod hashing;
pub mod joined_sync;
pub mod multi_hash;
pub mod sorting;
pub mod stamp;

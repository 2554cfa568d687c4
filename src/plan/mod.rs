//! What has to run, decided without touching the world: from the pipeline, what was seen, and what the state remembers.

pub mod expand;
pub mod graph;
pub mod outlook;
pub mod reason;
pub mod staleness;
pub mod target;

pub use graph::{Dependency, Graph, Instance};
pub use outlook::{Outlook, Standing};
pub use reason::Reason;
pub use target::{Selection, Target};

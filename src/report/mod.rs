//! What a server's tables say about their own completeness: numbers, pictures, one page.

pub mod charts;
pub mod model;
pub mod page;

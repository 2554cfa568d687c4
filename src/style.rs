//! The one look of all pages: of the report, which the report's room fills, and of status.html.

/// For a page's own style element: nothing is fetched from anywhere.
pub const STYLE: &str = include_str!("style.css");

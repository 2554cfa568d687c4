//! Numbers about a study's data and the page that shows them.

//! What was true after the last run.

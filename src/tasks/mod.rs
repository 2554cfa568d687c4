//! What each task does, behind the trait of [`crate::task`].

//! A study to try everything on: a seeded generator and the server that answers for it.

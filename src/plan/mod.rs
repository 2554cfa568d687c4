//! What has to run, decided without touching the world.

//! Who is told when something breaks: mails, repeats, recoveries, the heartbeat.

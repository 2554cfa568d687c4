//! One sync of a folder for all who put something into it before it began: tables that are archived side by side need
//! not each wait for the disk alone.

use std::io;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::disk::atomic;

/// A folder that several threads make durable.
#[derive(Debug)]
pub struct JoinedSync {
    folder: PathBuf,
    rounds: Mutex<Rounds>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Rounds {
    begun: u64,
    ended: u64,
    under_way: bool,
    /// The newest round that failed, and how.
    failed: Option<(u64, io::ErrorKind, String)>,
}

impl JoinedSync {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, rounds: Mutex::default(), ended: Condvar::new() }
    }

    /// What this thread put into the folder is durable when this returns, by a sync that began after the call.
    ///
    /// # Errors
    /// Whatever the file system says, to each who waited for it.
    pub fn sync(&self) -> io::Result<()> {
        self.by(|| atomic::sync_folder(&self.folder))
    }

    fn by(&self, sync: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is under way may have passed over what came after its beginning.
        let wanted = rounds.begun + 1;
        while rounds.ended < wanted {
            if rounds.under_way {
                rounds = self.ended.wait(rounds).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            rounds.under_way = true;
            rounds.begun += 1;
            let round = rounds.begun;
            drop(rounds);
            let result = sync();
            rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
            rounds.under_way = false;
            rounds.ended = round;
            if let Err(error) = result {
                rounds.failed = Some((round, error.kind(), error.to_string()));
            }
            self.ended.notify_all();
        }
        match &rounds.failed {
            Some((round, kind, message)) if *round >= wanted => Err(io::Error::new(*kind, message.clone())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn whoever_comes_during_a_sync_waits_for_one_that_began_later() {
        let (joined, begun, ended) = (JoinedSync::new(".".into()), AtomicUsize::new(0), AtomicUsize::new(0));
        let sync = || {
            begun.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(2));
            ended.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let before = begun.load(Ordering::SeqCst);
                        joined.by(sync).unwrap();
                        assert!(
                            ended.load(Ordering::SeqCst) > before,
                            "all of a round that began after the call is over"
                        );
                    }
                });
            }
        });
        let rounds = begun.load(Ordering::SeqCst);
        assert!((20..160).contains(&rounds), "{rounds} rounds for 160 calls");
    }

    #[test]
    fn a_failure_is_told_to_each_who_waited_for_it_and_to_nobody_after() {
        let (joined, full) = (JoinedSync::new(".".into()), AtomicBool::new(true));
        let sync = || {
            std::thread::sleep(Duration::from_millis(5));
            if full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        };
        std::thread::scope(|scope| {
            let hands: Vec<_> = (0..6).map(|_| scope.spawn(|| joined.by(sync))).collect();
            for hand in hands {
                assert_eq!(hand.join().unwrap().unwrap_err().kind(), io::ErrorKind::StorageFull);
            }
        });
        full.store(false, Ordering::SeqCst);
        joined.by(sync).unwrap();
    }
}

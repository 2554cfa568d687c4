//! What stands in the files now: one stat each, a hash only where the stat cannot vouch for the old one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::plan::staleness::Contents;
use crate::pool::atomic;
use crate::run::folders::Folders;
use crate::state::{Content, Name, Seen, Stamp, Store, stamp};

/// Contents by name; only what was looked at is known.
#[derive(Debug, Default)]
pub struct Snapshot {
    known: Vec<Option<Content>>,
}

impl Contents for Snapshot {
    fn content(&self, path: Name) -> Content {
        self.get(path).unwrap_or(Content::ABSENT)
    }
}

impl Snapshot {
    fn get(&self, path: Name) -> Option<Content> {
        self.known.get(path.index()).copied().flatten()
    }

    fn put(&mut self, path: Name, content: Content) {
        if self.known.len() <= path.index() {
            self.known.resize(path.index() + 1, None);
        }
        self.known[path.index()] = Some(content);
    }

    /// Looks at the files that were not looked at yet, in parallel.
    ///
    /// # Errors
    /// A failed write of the state. A file that cannot be read counts as absent here; the task that needs it says why.
    pub fn look(&mut self, root: &Path, paths: impl Iterator<Item = Name>, store: &mut Store) -> io::Result<()> {
        let mut open: Vec<Name> = paths.filter(|path| self.get(*path).is_none()).collect();
        open.sort_unstable();
        open.dedup();
        let known = &*store;
        let folders = Folders::open(root, open.iter().map(|path| known.names.text(*path)));
        let look = |path: &Name| {
            let text = known.names.text(*path);
            (*path, observe(root, text, folders.stamp(text), known.seen(*path)))
        };
        let found: Vec<(Name, Looked)> = if open.len() < 64 {
            open.iter().map(look).collect()
        } else {
            open.par_iter().with_min_len(64).map(look).collect()
        };
        for (path, looked) in found {
            self.put(path, looked.content);
            if let Some(seen) = looked.fresh {
                store.record_seen(path, seen)?;
            }
        }
        Ok(())
    }

    /// Looks again at files that a task has just written; `known` are the hashes the writers told.
    ///
    /// # Errors
    /// A failed write of the state.
    pub fn refresh(
        &mut self,
        root: &Path,
        paths: impl Iterator<Item = Name>,
        known: &[(Arc<str>, Content, u64)],
        store: &mut Store,
    ) -> io::Result<()> {
        for path in paths {
            let text = store.names.text(path);
            let told = known.iter().find(|(written, ..)| **written == *text);
            let taken = stamp::now();
            let looked = match (told, Stamp::of(&root.join(text))) {
                (Some((_, content, size)), Ok(Some(stamp))) if stamp.size == *size => {
                    let seen = Seen { stamp, content: *content, taken };
                    let fresh = (store.seen(path).is_none_or(|old| old.stamp != stamp || old.content != *content))
                        .then_some(seen);
                    Looked { content: *content, fresh }
                }
                (_, stamp) => observe(root, text, stamp, store.seen(path)),
            };
            self.put(path, looked.content);
            if let Some(seen) = looked.fresh {
                store.record_seen(path, seen)?;
            }
        }
        Ok(())
    }
}

struct Looked {
    content: Content,
    /// To be remembered: the old stamp did not vouch.
    fresh: Option<Seen>,
}

fn observe(root: &Path, path: &str, stamp: io::Result<Option<Stamp>>, old: Option<&Seen>) -> Looked {
    let absent = Looked { content: Content::ABSENT, fresh: None };
    let Ok(Some(stamp)) = stamp else { return absent };
    if let Some(old) = old.filter(|old| old.holds(&stamp)) {
        return Looked { content: old.content, fresh: None };
    }
    let taken = stamp::now();
    match atomic::hash_file(&root.join(path)) {
        Ok((hash, _)) => {
            let content = Content::from(hash);
            Looked { content, fresh: Some(Seen { stamp, content, taken }) }
        }
        Err(_) => absent,
    }
}

//! What stands in the files now: one stat each, a hash only where the stat cannot vouch for the old one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::disk::atomic;
use crate::disk::content::Content;
use crate::disk::stamp;
use crate::disk::stamp::{Seen, Stamp};
use crate::plan::staleness::Contents;
use crate::run::folders::Folders;
use crate::state::{Name, Store};

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
        for (path, looked) in observe(root, &open, store) {
            self.keep(path, looked, store)?;
        }
        Ok(())
    }

    /// Takes over what [`observe`] has just found of the wanted files; the others may be different when they are needed.
    pub fn accept(&mut self, glanced: Vec<(Name, Looked)>, wanted: &[Name], store: &mut Store) -> io::Result<()> {
        if glanced.is_empty() {
            return Ok(());
        }
        let mut needed = vec![false; store.names.len()];
        for path in wanted {
            needed[path.index()] = true;
        }
        for (path, looked) in glanced {
            if needed[path.index()] && self.get(path).is_none() {
                self.keep(path, looked, store)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, path: Name, looked: Looked, store: &mut Store) -> io::Result<()> {
        self.put(path, looked.content);
        looked.fresh.map_or(Ok(()), |seen| store.record_seen(path, *seen))
    }

    /// Looks again at files that a task has just written; `known` are the hashes the writers told.
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
                    Looked { content: *content, fresh: fresh.map(Box::new) }
                }
                (_, stamp) => observe_one(root, text, stamp.ok().flatten(), store.seen(path)),
            };
            self.keep(path, looked, store)?;
        }
        Ok(())
    }
}

/// What a look at a file found.
#[derive(Debug)]
pub struct Looked {
    content: Content,
    /// To be remembered: the old stamp did not vouch. Rare, so boxed.
    fresh: Option<Box<Seen>>,
}

/// Looks at files, in parallel; by name, in the given order.
pub fn observe(root: &Path, paths: &[Name], store: &Store) -> Vec<(Name, Looked)> {
    let folders = Folders::open(root, paths.iter().map(|path| store.names.text(*path)));
    let look = |path: &Name| {
        let text = store.names.text(*path);
        (*path, observe_one(root, text, folders.stamp(text).ok().flatten(), store.seen(*path)))
    };
    if paths.len() < 64 {
        return paths.iter().map(look).collect();
    }
    paths.par_iter().with_min_len(64).map(look).collect()
}

fn observe_one(root: &Path, path: &str, stamp: Option<Stamp>, old: Option<&Seen>) -> Looked {
    let absent = Looked { content: Content::ABSENT, fresh: None };
    let Some(stamp) = stamp else { return absent };
    if let Some(old) = old.filter(|old| old.holds(&stamp)) {
        return Looked { content: old.content, fresh: None };
    }
    let taken = stamp::now();
    match atomic::hash_file(&root.join(path)) {
        Ok((hash, _)) => {
            let content = Content::from(hash);
            Looked { content, fresh: Some(Box::new(Seen { stamp, content, taken })) }
        }
        Err(_) => absent,
    }
}

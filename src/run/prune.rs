//! Outputs of targets that are no longer there: removed only when asked, and only if they are what mtdata left.

use crate::config::Project;
use crate::disk::atomic;
use crate::disk::content::Content;
use crate::plan::staleness::Contents;
use crate::run::contents::Snapshot;
use crate::run::preview::{all_targets, preview};
use crate::run::schedule::Scheduler;

/// Removes them and forgets their targets. A file that was changed since is kept, and said so.
pub fn remove(project: &Project, run: &mut Scheduler<'_>) {
    if let Err(error) = run.store.flush() {
        run.broken_state.get_or_insert(error);
        return;
    }
    let found = match preview(project, run.tasks, &all_targets(project), true, false) {
        Ok(found) => found,
        Err(error) => {
            run.broken_state.get_or_insert(error);
            return;
        }
    };
    for (target, paths) in found.orphans(project) {
        let target = found.store.names.text(target).to_string();
        let mut kept = false;
        for path in paths {
            let text = found.store.names.text(path);
            if run.remove_orphan(project, &target, text) {
                run.teller.note(&format!("removed {text}, made by {target}, which is no longer there"));
            } else {
                kept = true;
                run.teller.note(&format!("kept {text}: it is not what {target}, which is no longer there, left"));
            }
        }
        let name = run.store.names.intern(&target);
        if !kept && let Err(error) = run.store.forget(name) {
            run.broken_state.get_or_insert(error);
        }
    }
}

impl Scheduler<'_> {
    fn remove_orphan(&mut self, project: &Project, target: &str, text: &str) -> bool {
        let target = self.store.names.intern(target);
        let path = self.store.names.intern(text);
        let left =
            self.store.manifest(target).and_then(|manifest| manifest.outputs.iter().find(|(name, _)| *name == path));
        let left = left.map_or(Content::ABSENT, |(_, content)| *content);
        let mut now = Snapshot::default();
        let root = &project.pipeline.root;
        now.look(root, std::iter::once(path), &mut self.store).is_ok()
            && now.content(path) == left
            && atomic::remove(&root.join(text)).is_ok()
    }
}

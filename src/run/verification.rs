//! Outputs and their ancestry against their recorded hashes, every byte read, whatever earlier runs saw of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rayon::prelude::*;

use crate::config::Project;
use crate::config::pipeline::Action;
use crate::disk::atomic;
use crate::disk::content::Content;
use crate::plan::Target;
use crate::pool::history::History;
use crate::pool::paths::{ServerFolder, raw_name};
use crate::run::facts::project_path;
use crate::run::preview::Preview;
use crate::state::Name;
use crate::study::name::{ScaleName, ServerName};

/// A file that is not what was recorded of it.
#[derive(Debug)]
pub struct Difference {
    pub path: String,
    pub target: String,
    pub role: Role,
    pub recorded: Content,
    pub found: Content,
}

/// What a target had to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Made,
    Read,
    /// A raw file, as the archive itself recorded it when it came.
    Kept,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Read => "read",
            Self::Kept => "kept",
        }
    }
}

/// All that differs of what the targets of a preview made, and of what they read (`with_inputs`); and which
/// files were looked at. Days whose raw files are all gone have no target any more, but a record.
pub fn differences(
    project: &Project,
    found: &Preview<'_>,
    targets: &[Target],
    with_inputs: bool,
) -> (Vec<Difference>, BTreeSet<String>) {
    let present: BTreeSet<Name> = found.graph.nodes.node_weights().map(|instance| instance.target).collect();
    let decodes = |name: &str| {
        let task = name.split('/').next().unwrap_or_default();
        project.pipeline.tasks.iter().any(|spec| spec.name == task && spec.action == Action::Decode)
    };
    let mut recorded: BTreeMap<Name, Vec<(Name, Role, Content)>> = BTreeMap::new();
    for (target, manifest) in found.store.manifests() {
        let name = found.store.names.text(target);
        let gone = || decodes(name) && targets.iter().any(|wanted| wanted.covers(name));
        if !present.contains(&target) && !gone() {
            continue;
        }
        let inputs = manifest.inputs.iter().filter(|_| with_inputs).map(|file| (file, Role::Read));
        for ((path, content), role) in inputs.chain(manifest.outputs.iter().map(|file| (file, Role::Made))) {
            recorded.entry(*path).or_default().push((target, role, *content));
        }
    }
    let (names, root) = (&found.store.names, &project.pipeline.root);
    let files: Vec<_> = recorded.into_iter().collect();
    let mut differences: Vec<Difference> = files
        .par_iter()
        .flat_map_iter(|(path, uses)| {
            let text = names.text(*path);
            let now = atomic::hash_file(&root.join(text)).map_or(Content::ABSENT, |(hash, _)| hash.into());
            uses.iter().filter(move |(_, _, content)| *content != now).map(move |(target, role, content)| Difference {
                path: text.to_string(),
                target: names.text(*target).to_string(),
                role: *role,
                recorded: *content,
                found: now,
            })
        })
        .collect();
    differences.sort_by(|a, b| (&a.path, &a.target).cmp(&(&b.path, &b.target)));
    (differences, files.iter().map(|(path, _)| names.text(*path).to_string()).collect())
}

/// Raw files that are not what the archive recorded when they came, of the scales and days that the targets name. What
/// a run read since then may already be the changed file; this record is older.
pub fn archive_differences(
    project: &Project,
    found: &Preview<'_>,
    targets: &[Target],
) -> io::Result<(Vec<Difference>, BTreeSet<String>)> {
    let mut wanted: BTreeMap<(&ServerName, &ScaleName), bool> = BTreeMap::new();
    for instance in found.graph.nodes.node_weights() {
        if let (Some(server), Some(scale)) = (&instance.axes.server, &instance.axes.scale) {
            *wanted.entry((server, scale)).or_default() |= instance.axes.date.is_none();
        }
    }
    let decode = project.pipeline.tasks.iter().find(|task| task.action == Action::Decode);
    let (mut differences, mut files) = (Vec::new(), BTreeSet::new());
    for ((server, scale), every_day) in wanted {
        let Some(configured) = project.servers.get(server) else { continue };
        let folder = ServerFolder::new(&configured.path);
        let history = History::read(&folder, scale)?;
        let of_target = |name: &str| {
            let (Some(decode), Some(dated)) = (decode, raw_name(name)) else { return every_day };
            let day = format!("{}/{server}/{scale}/{}", decode.name, dated.date);
            every_day || targets.iter().any(|target| target.covers(&day))
        };
        let recorded: Vec<_> = history.first().into_iter().filter(|(name, _)| of_target(name)).collect();
        let project_name = |name: &str| project_path(&project.pipeline.root, &folder.raw().join(name));
        files.extend(recorded.iter().map(|(name, _)| project_name(name)));
        differences.par_extend(recorded.par_iter().filter_map(|(name, record)| {
            let now = atomic::hash_file(&folder.raw().join(name)).map_or(Content::ABSENT, |(hash, _)| hash.into());
            let recorded = Content::from_bytes(record.hash);
            (now != recorded).then(|| Difference {
                path: project_name(name),
                target: "the raw archive".to_owned(),
                role: Role::Kept,
                recorded,
                found: now,
            })
        }));
    }
    Ok((differences, files))
}

//! Recomputes the hashes of outputs and their whole ancestry, every byte read, and says what differs.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::json;

use crate::cli::arguments::{ProjectArguments, VerifyArguments};
use crate::cli::{Exit, Fault, build};
use crate::pool::atomic;
use crate::run::preview::{all_targets, preview};
use crate::state::{Content, Name};

/// A file that is not what a target left or read.
struct Difference {
    path: String,
    target: String,
    /// Made by the target, or read by it.
    role: &'static str,
    recorded: Content,
    found: Content,
}

pub fn run(project: &ProjectArguments, arguments: &VerifyArguments) -> Result<Exit, Fault> {
    let (project, tasks) = build::open(project)?;
    let targets = if arguments.targets.is_empty() {
        all_targets(&project)
    } else {
        build::chosen(&project, &tasks, &arguments.targets)?.0
    };
    // The graph of a target is its whole ancestry.
    let found = preview(&project, &tasks, &targets, true, false).map_err(|error| Fault::failed(error.to_string()))?;
    let mut recorded: BTreeMap<Name, Vec<(Name, &'static str, Content)>> = BTreeMap::new();
    for instance in found.graph.nodes.node_weights() {
        let Some(manifest) = found.store.manifest(instance.target) else { continue };
        for (files, role) in [(&manifest.inputs, "read"), (&manifest.outputs, "made")] {
            for (path, content) in files {
                recorded.entry(*path).or_default().push((instance.target, role, *content));
            }
        }
    }
    let names = &found.store.names;
    let root = &project.pipeline.root;
    let files: Vec<_> = recorded.into_iter().collect();
    let differences: Vec<Difference> = files
        .par_iter()
        .flat_map_iter(|(path, uses)| {
            let text = names.text(*path);
            let now = atomic::hash_file(&root.join(text)).map_or(Content::ABSENT, |(hash, _)| hash.into());
            uses.iter().filter(move |(_, _, content)| *content != now).map(move |(target, role, content)| Difference {
                path: text.to_string(),
                target: names.text(*target).to_string(),
                role,
                recorded: *content,
                found: now,
            })
        })
        .collect();
    let hex = |content: &Content| if content.is_absent() { "none".to_owned() } else { content.hex() };
    if arguments.json {
        let objects = differences.iter().map(|d| {
            json!({"path": d.path, "target": d.target, "role": d.role, "recorded": hex(&d.recorded), "found": hex(&d.found)})
        });
        println!("{}", json!({"files": files.len(), "differences": objects.collect::<Vec<_>>()}));
    } else {
        for d in &differences {
            println!(
                "{}: {} by {}\n  recorded {}\n  found    {}",
                d.path,
                d.role,
                d.target,
                hex(&d.recorded),
                hex(&d.found)
            );
        }
        println!("{} files read, {} differences", files.len(), differences.len());
    }
    Ok(if differences.is_empty() { Exit::Done } else { Exit::Failed })
}

//! Recomputes the hashes of outputs and their whole ancestry, every byte read, and says what differs.

use serde_json::json;

use crate::cli::arguments::{ProjectArguments, VerifyArguments};
use crate::cli::{Exit, Fault, build};
use crate::disk::content::Content;
use crate::output::answer;
use crate::plan::Target;
use crate::plan::target::nearest;
use crate::run::preview::{Preview, all_targets, preview};
use crate::run::verification::{Role, archive_differences, differences};

pub fn run(project: &ProjectArguments, arguments: &VerifyArguments) -> Result<Exit, Fault> {
    let (project, tasks) = build::open(project)?;
    let explicit = !arguments.targets.is_empty();
    let targets = if explicit { build::chosen(&project, &tasks, &arguments.targets)?.0 } else { all_targets(&project) };
    let failed = |error: std::io::Error| Fault::failed(error.to_string());
    // The graph of a target is its whole ancestry.
    let found = preview(&project, &tasks, &targets, true, false).map_err(failed)?;
    if explicit {
        all_known(&project, &tasks, &found, &targets)?;
    }
    let (mut all, mut files) = differences(&project, &found, &targets, true);
    let (kept, archived) = archive_differences(&project, &found, &targets).map_err(failed)?;
    let told = |path: &str| all.iter().any(|known| known.role == Role::Read && known.path == path);
    let kept: Vec<_> = kept.into_iter().filter(|kept| !told(&kept.path)).collect();
    all.extend(kept);
    files.extend(archived);
    let hex = |content: &Content| if content.is_absent() { "none".to_owned() } else { content.hex() };
    if arguments.json {
        let objects = all.iter().map(|d| {
            json!({"path": d.path, "target": d.target, "role": d.role.word(), "recorded": hex(&d.recorded), "found": hex(&d.found)})
        });
        answer!("{}", json!({"files": files.len(), "differences": objects.collect::<Vec<_>>()}));
    } else {
        for d in &all {
            let (role, recorded, now) = (d.role.word(), hex(&d.recorded), hex(&d.found));
            answer!("{}: {role} by {}\n  recorded {recorded}\n  found    {now}", d.path, d.target);
        }
        answer!("{} files read, {} differences", files.len(), all.len());
        if !all.is_empty() {
            answer!("`mtdata recover` says what is lost, and makes again what can be made");
        }
    }
    Ok(if all.is_empty() { Exit::Done } else { Exit::Failed })
}

/// A target that selects nothing known is a mistake: nothing was verified.
fn all_known(
    project: &crate::config::Project,
    tasks: &crate::task::TaskSet,
    found: &Preview<'_>,
    targets: &[Target],
) -> Result<(), Fault> {
    let covered = |target: &Target| found.outlook.order.iter().any(|&node| target.covers(found.name(node)));
    let unknown: Vec<&Target> = targets.iter().filter(|target| !covered(target)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let everything = preview(project, tasks, &all_targets(project), true, false)
        .map_err(|error| Fault::failed(error.to_string()))?;
    let names = || everything.outlook.order.iter().map(|&node| everything.name(node));
    let sentence = |target: &&Target| {
        let near: Vec<String> = nearest(&target.text, names()).into_iter().map(str::to_owned).collect();
        target.unknown(&near)
    };
    Err(Fault::usage(unknown.iter().map(sentence).collect::<Vec<_>>().join("\nerror: ")))
}

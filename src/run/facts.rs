//! Looking at the world before a plan is made: the clock, and which scales and dates each server's folders hold.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::config::Project;
use crate::config::servers::Server;
use crate::pool::benchmark;
use crate::pool::paths::{ServerFolder, raw_name, table_name};
use crate::study::listing::Listed;
use crate::study::name::{ScaleName, ServerName};
use crate::task::{DateFacts, Facts, ScaleFacts, ServerFacts};

/// Looks at the folders of all servers.
pub fn look(project: &Project) -> Facts {
    let servers = project.servers.iter().map(|(name, server)| (name.clone(), look_at(project, server))).collect();
    Facts { servers }
}

/// A path as the state and the messages write it.
pub fn project_path(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

/// Looks at one server's folders.
pub fn look_at(project: &Project, server: &Server) -> ServerFacts {
    let folder = ServerFolder::new(&server.path);
    let mut scales: BTreeMap<ScaleName, ScaleFacts> = BTreeMap::new();
    each_name(&folder.raw(), |name| {
        if let Some(dated) = raw_name(name)
            && let Some(files) = files_of(&mut scales, dated.scale, dated.date)
        {
            files.raw.push(name.into());
        }
    });
    each_name(&folder.active(), |name| {
        // What the first generation's recovery left is derived from other files.
        if let Some(dated) = table_name(name)
            && let Some(files) = files_of(&mut scales, dated.scale, dated.date)
        {
            files.active.push(name.into());
        }
    });
    for (scale, mark) in benchmark::read(&folder) {
        if let Some(known) = scales.get_mut(&scale) {
            known.deleteable = Some(mark.deleteable);
        }
    }
    for files in scales.values_mut().flat_map(|scale| scale.dates.values_mut()) {
        files.raw.sort_unstable();
        files.active.sort_unstable();
    }
    let path = project_path(&project.pipeline.root, &server.path);
    ServerFacts { path, ready: server.ready, listing_seen: false, scales }
}

fn each_name(folder: &Path, mut use_name: impl FnMut(&str)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if let Some(name) = entry.file_name().to_str() {
            use_name(name);
        }
    }
}

fn files_of<'f>(
    scales: &'f mut BTreeMap<ScaleName, ScaleFacts>,
    scale: &str,
    date: chrono::NaiveDate,
) -> Option<&'f mut DateFacts> {
    if !scales.contains_key(scale) {
        scales.insert(ScaleName::new(scale).ok()?, ScaleFacts::default());
    }
    Some(scales.get_mut(scale)?.dates.entry(date).or_default())
}

/// Adds what the server's own listing says.
pub fn add_listing(facts: &mut ServerFacts, listing: &[Listed]) {
    facts.listing_seen = true;
    for listed in listing {
        let scale = facts.scales.entry(listed.name.clone()).or_default();
        scale.listed = Some(listed.size);
        scale.deleteable = Some(listed.deleteable);
    }
}

/// As if no server was ready: nobody is asked.
pub fn close_to_the_network(facts: &mut Facts) {
    for server in facts.servers.values_mut() {
        server.ready = false;
    }
}

/// Looks again at a server's folders, keeping what its listing said.
pub fn look_again(project: &Project, name: &ServerName, facts: &mut Facts) {
    let (Some(server), Some(old)) = (project.servers.get(name), facts.servers.get(name)) else { return };
    let mut new = look_at(project, server);
    new.listing_seen = old.listing_seen;
    for (scale, seen) in &old.scales {
        if old.listing_seen && (seen.listed.is_some() || new.scales.contains_key(scale)) {
            let scale = new.scales.entry(scale.clone()).or_default();
            scale.listed = seen.listed;
            scale.deleteable = seen.deleteable.or(scale.deleteable);
        }
    }
    facts.servers.insert(name.clone(), new);
}

/// Milliseconds since 1970, UTC.
pub fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

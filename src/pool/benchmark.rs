//! benchMark.json: the newest entry id of each table and whether the server lets it be deleted, as last seen.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::pool::paths::ServerFolder;
use crate::study::name::ScaleName;

const NAME: &str = "benchMark.json";

/// What is remembered of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The highest id that is archived.
    pub current: i64,
    pub deleteable: bool,
}

/// Where the file is: where the first generation left it, else in raw_data.
#[must_use]
pub fn path(folder: &ServerFolder) -> PathBuf {
    let raw = folder.raw().join(NAME);
    let old = folder.active().join(NAME);
    if !raw.exists() && old.exists() { old } else { raw }
}

/// The marks as last written; none when the file is missing or is not what it should be.
#[must_use]
pub fn read(folder: &ServerFolder) -> BTreeMap<ScaleName, Mark> {
    let Ok(bytes) = std::fs::read(path(folder)) else { return BTreeMap::new() };
    let Ok(all) = serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(&bytes) else { return BTreeMap::new() };
    let sound = |(name, value): (String, serde_json::Value)| {
        Some((ScaleName::new(&name).ok()?, serde_json::from_value::<Mark>(value).ok()?))
    };
    all.into_iter().filter_map(sound).collect()
}

/// Writes a table's mark, when it is new.
///
/// # Errors
/// Whatever the file system says.
pub fn put(folder: &ServerFolder, scale: &ScaleName, mark: Mark) -> std::io::Result<()> {
    let mut all = read(folder);
    if all.insert(scale.clone(), mark) == Some(mark) {
        return Ok(());
    }
    let named: BTreeMap<&str, Mark> = all.iter().map(|(scale, mark)| (scale.as_str(), *mark)).collect();
    let mut text = serde_json::to_vec_pretty(&named)?;
    text.push(b'\n');
    crate::pool::atomic::write(&path(folder), crate::pool::atomic::PRIVATE, &text).map(|_| ())
}

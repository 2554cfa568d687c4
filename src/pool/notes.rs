//! What was seen of a table and told already, so that a lasting oddity is told once and not at every tick.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::pool::atomic;
use crate::pool::paths::ServerFolder;
use crate::study::name::ScaleName;

/// The notes on one table. Losing them costs one more full download and one more telling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// When the whole table was last downloaded.
    pub full: Option<DateTime<Utc>>,
    /// So many listed entries were not sent.
    pub shortfall: u64,
    /// So many archived entries of a table that is never emptied were no longer there.
    pub vanished: u64,
    /// So many entries stayed on the server that were to be deleted, by the last receipt.
    pub pending: u64,
}

impl Notes {
    fn path(folder: &ServerFolder, scale: &ScaleName) -> std::path::PathBuf {
        folder.index().join(format!("{scale}.notes"))
    }

    /// The notes, empty when there are none or they cannot be read.
    #[must_use]
    pub fn read(folder: &ServerFolder, scale: &ScaleName) -> Self {
        let bytes = std::fs::read(Self::path(folder, scale)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Writes what changed since `before`.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn save(&self, before: &Self, folder: &ServerFolder, scale: &ScaleName) -> io::Result<()> {
        if self == before {
            return Ok(());
        }
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        atomic::create_folder(&folder.index(), atomic::PRIVATE)?;
        let mut open = OpenOptions::new();
        open.create(true).truncate(true).write(true).mode(atomic::PRIVATE);
        // Neither synced nor renamed: what a crash leaves half counts as none, and for every table a wait for the disk is saved.
        open.open(Self::path(folder, scale))?.write_all(&text)
    }
}

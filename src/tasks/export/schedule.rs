//! Copies of `GET study`: the sessions and tasks as the server ran them, kept whenever they change.

use std::fs;

use chrono::Utc;

use crate::client::server::StudyServer;
use crate::code::Code;
use crate::config::servers::Server;
use crate::disk::atomic;
use crate::failure::Failure;
use crate::pool::paths::ServerFolder;
use crate::task::Warning;
use crate::tasks::export::context::RequestContext;

/// Whether there is a copy at all.
pub(super) fn is_kept(folder: &ServerFolder) -> bool {
    fs::read_dir(folder.study()).is_ok_and(|entries| entries.flatten().any(|entry| is_copy(&entry)))
}

fn is_copy(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_str().is_some_and(|name| !name.starts_with('.'))
}

/// Asks for the schedule and keeps it when it differs from the newest copy. Answers count without it: a failure is told
/// and no more.
pub(super) fn keep(server: &Server, client: &StudyServer, context: RequestContext<'_>) {
    let kept = client.study(context.policy, context.cancel).and_then(|study| write(server, &study));
    if let Err(failure) = kept {
        let message = format!("the study's schedule could not be kept: {failure}");
        context.voice.warn(Warning::new(Code::Study, message));
    }
}

/// `study/<date>.json`; a second change of a day is `<date>-1.json`.
fn write(server: &Server, study: &[u8]) -> Result<(), Failure> {
    let folder = ServerFolder::new(&server.path).study();
    let mut names: Vec<String> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(is_copy)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_by_key(|name| order(name));
    let newest = names.last().and_then(|name| fs::read(folder.join(name)).ok());
    if newest.as_deref() == Some(study) {
        return Ok(());
    }
    let today = Utc::now().with_timezone(&server.timezone).date_naive().to_string();
    let name = |repeat: usize| if repeat == 0 { format!("{today}.json") } else { format!("{today}-{repeat}.json") };
    let free = (0..=names.len()).map(name).find(|name| !names.contains(name)).unwrap_or_else(|| name(names.len()));
    let path = folder.join(free);
    atomic::write(&path, atomic::PRIVATE, study).map_err(|error| Failure::write(&path, error))?;
    Ok(())
}

/// By date, then by the number of the change: the tenth comes after the ninth.
fn order(name: &str) -> (String, u32) {
    let stem = name.trim_end_matches(".json");
    let (date, repeat) = stem.split_at_checked(10).unwrap_or((stem, ""));
    (date.to_owned(), repeat.trim_start_matches('-').parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenth_change_of_a_day_comes_last() {
        let mut names = ["2026-11-23-10.json", "2026-11-24.json", "2026-11-23-9.json", "2026-11-23.json"];
        names.sort_by_key(|name| order(name));
        assert_eq!(names, ["2026-11-23.json", "2026-11-23-9.json", "2026-11-23-10.json", "2026-11-24.json"]);
    }
}

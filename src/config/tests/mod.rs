//! Projects in a folder of their own, read as `mtdata` reads them.

use std::fs;
use std::path::Path;

use super::Project;

mod reading;
mod schemas;
mod texts_of_pipeline;
mod texts_of_servers;

pub const PIPELINE: &str = r#"[task.export]
action = "export"
each = ["server", "scale"]
"#;
pub const SERVERS: &str = r#"[calm]
url = "https://calm.example.edu/api/"
user = "admin@example.edu"
timezone = "UTC"
"#;

/// What the project of these files is told; nothing when it is sound.
pub fn told(pipeline: &str, servers: &str, alerts: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "Pipeline.toml", pipeline);
    write(folder.path(), "config/servers.toml", servers);
    if let Some(alerts) = alerts {
        write(folder.path(), "alerts.toml", alerts);
    }
    Project::load(None, folder.path()).map_or_else(|problems| problems.to_string(), |_| String::new())
}

pub fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

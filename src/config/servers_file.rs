//! config/servers.toml's text made [`Servers`].

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::config::error::{Problems, Source};
use crate::config::section::{Section, parse};
use crate::config::servers::{Secret, Server, Servers};
use crate::pool::paths::DateStyle;
use crate::study::name::ServerName;

/// One answer may be so large unless the server's entry says otherwise.
const MAX_ANSWER: u64 = 4 << 30;

/// Reads the file's text.
#[must_use]
pub fn read(source: &Source, root: &Path, pool: &Path, problems: &RefCell<Problems>) -> Servers {
    let mut servers = Servers::new();
    let Some(document) = parse(source, problems) else { return servers };
    let top = Section::new(&source.path, document.get_ref(), document.span(), problems);
    let mut entries: Vec<_> = top.entries().collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    for (text, span, value) in entries {
        let name = match ServerName::new(text) {
            Ok(name) => name,
            Err(error) => {
                top.problem(span, error.to_string(), None);
                continue;
            }
        };
        if let Some(other) = servers.keys().find(|other| other.as_str().eq_ignore_ascii_case(text)) {
            let message = format!("`{name}` and `{other}` differ only in case");
            top.problem(span.clone(), message, Some("rename one of them".to_owned()));
        }
        if let Some(table) = top.below(text, value)
            && let Some(server) = server(name.clone(), table, root, pool)
        {
            servers.insert(name, server);
        }
    }
    servers
}

fn server(name: ServerName, table: Section<'_, '_>, root: &Path, pool: &Path) -> Option<Server> {
    let allow_http = table.boolean("allow_http").unwrap_or_default();
    let url = url(&table, allow_http);
    let user = table.required_text("user");
    let timezone = table.text("timezone");
    let zone = timezone.as_deref().unwrap_or("America/New_York").parse().ok();
    if let (None, Some(value)) = (zone, table.get("timezone")) {
        let hint = Some("a name of the time zone database: \"America/New_York\"".to_owned());
        table.problem(value.span(), "unknown time zone", hint);
    }
    let keys = table.texts("keys").unwrap_or_default();
    let path = table.text("path").map_or_else(|| pool.join(name.as_str()), |path| root.join(path));
    let server = Server {
        ready: table.boolean("ready").unwrap_or(true),
        delete_mode: table.boolean("delete_mode").unwrap_or_default(),
        password: secret(&table, "password", root),
        keys: keys.into_iter().map(|(path, _)| root.join(path)).collect(),
        passphrase: secret(&table, "passphrase", root),
        study: table.text("study"),
        path,
        date_style: date_style(&table),
        allow_http,
        group: table.text("group"),
        max_answer: table.whole("max_answer", 1 << 10, u64::MAX >> 1).unwrap_or(MAX_ANSWER),
        url: url?,
        user: user?,
        timezone: zone?,
        name,
    };
    table.end();
    Some(server)
}

fn url(table: &Section<'_, '_>, allow_http: bool) -> Option<String> {
    let mut url = table.required_text("url")?;
    let value = table.get("url")?;
    let parsed = match reqwest::Url::parse(&url) {
        Ok(parsed) => parsed,
        Err(error) => {
            table.problem(value.span(), format!("`url` is no address: {error}"), None);
            return None;
        }
    };
    let host = parsed.host_str().unwrap_or_default();
    let loopback =
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let hint = match parsed.scheme() {
        "https" => None,
        "http" if loopback || allow_http => None,
        "http" => Some("use https, or set allow_http = true if the network between is yours"),
        _ => Some("write https://HOST/.../api/"),
    };
    if let Some(hint) = hint {
        table.problem(value.span(), "passwords and answers would travel in the open", Some(hint.to_owned()));
        return None;
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        table.problem(
            value.span(),
            "`url` holds credentials",
            Some("they belong into `user` and `password`".to_owned()),
        );
        return None;
    }
    if !url.ends_with('/') {
        url.push('/');
    }
    Some(url)
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`.
pub(super) fn secret(table: &Section<'_, '_>, key: &'static str, root: &Path) -> Option<Secret> {
    let value = table.get(key)?;
    if value.value.is_str() {
        let hint = Some("write { env = \"NAME\" } or { file = \"PATH\" } instead".to_owned());
        table.problem(value.span(), format!("`{key}` must not stand in this file"), hint);
        return None;
    }
    let section = table.below(key, value)?;
    let (name, file) = (section.text("env"), section.text("file"));
    let secret = match (name, file) {
        (Some(name), None) => Some(Secret::Env(name)),
        (None, Some(file)) => Some(Secret::File(root.join(PathBuf::from(file)))),
        _ => {
            let hint = Some("write { env = \"NAME\" } or { file = \"PATH\" }".to_owned());
            section.problem(section.span(), format!("`{key}` needs either `env` or `file`"), hint);
            None
        }
    };
    section.end();
    secret
}

fn date_style(table: &Section<'_, '_>) -> DateStyle {
    let Some(pattern) = table.text("date_format") else { return DateStyle::Iso };
    let style = DateStyle::Pattern(pattern);
    let day = chrono::NaiveDate::from_ymd_opt(2015, 8, 25).unwrap_or_default();
    // A pattern that cannot be read back would hide the very files it names.
    let sound = crate::study::name::ScaleName::new("OA").ok().is_some_and(|scale| {
        std::panic::catch_unwind(|| style.table(&scale, day))
            .is_ok_and(|name| crate::pool::paths::table_name(&name).is_some_and(|read| read.date == day))
    });
    if let (false, Some(value)) = (sound, table.get("date_format")) {
        let hint = Some("use \"%b_%d_%Y\" or \"%d_%m_%Y\", or leave it out for 2015-08-25".to_owned());
        table.problem(value.span(), "files named so could not be found again", hint);
        return DateStyle::Iso;
    }
    style
}

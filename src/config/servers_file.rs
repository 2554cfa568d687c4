//! config/servers.toml's text made [`Servers`].

use std::cell::RefCell;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::config::error::{Problems, Source};
use crate::config::section::{Section, meant, parse};
use crate::config::servers::{Secret, Server, Servers};
use crate::pool::paths::DateStyle;
use crate::study::name::ServerName;

/// One answer may be so large unless the server's entry says otherwise.
const MAX_ANSWER: u64 = 4 << 30;

/// What lies beside the servers' folders in the pool.
const OF_THE_POOL: [&str; 2] = ["logs", "status.html"];

/// The file as read, and the places of what other files have to answer for.
#[derive(Default)]
pub struct Read {
    pub servers: Servers,
    /// Every study that a server says to be of, and where.
    pub studies: Vec<(String, Range<usize>)>,
}

/// Reads the file's text.
pub fn read(source: &Source, root: &Path, pool: &Path, problems: &RefCell<Problems>) -> Read {
    let mut read = Read::default();
    let Some(document) = parse(source, problems) else { return read };
    let top = Section::new(&source.path, document.get_ref(), document.span(), problems);
    for (text, span, value) in top.in_order() {
        let name = match ServerName::new(text) {
            Ok(name) => name,
            Err(error) => {
                top.problem(span, error.to_string(), None);
                continue;
            }
        };
        if let Some(other) = read.servers.keys().find(|other| other.as_str().eq_ignore_ascii_case(text)) {
            let message = format!("the servers `{other}` and `{name}` differ only in case");
            top.problem(span.clone(), message, Some("rename one of them".to_owned()));
        }
        let Some(table) = top.below(text, value) else { continue };
        let Some(server) = server(name.clone(), table, &span, root, pool, &mut read.studies) else { continue };
        if OF_THE_POOL.contains(&text) && server.path == pool.join(text) {
            top.problem(span.clone(), format!("`{text}` is the pool's own"), Some("rename the server".to_owned()));
        }
        if let Some(other) = read.servers.values().find(|other| other.path == server.path) {
            let message = format!("the servers `{}` and `{name}` have one folder in the pool", other.name);
            top.problem(span, message, Some("give each a `path` of its own".to_owned()));
        }
        read.servers.insert(name, server);
    }
    read
}

fn server(
    name: ServerName,
    table: Section<'_, '_>,
    place: &Range<usize>,
    root: &Path,
    pool: &Path,
    studies: &mut Vec<(String, Range<usize>)>,
) -> Option<Server> {
    let missing = |key: &str, hint: &str| {
        table.problem(place.clone(), format!("server `{name}` has no `{key}`"), Some(hint.to_owned()));
    };
    let allow_http = table.boolean("allow_http").unwrap_or_default();
    if table.get("url").is_none() {
        missing("url", "url = \"https://HOST/.../api/\"");
    }
    if table.get("user").is_none() {
        missing("user", "user = \"NAME\": an account of the study's site with the ADMIN role");
    }
    if table.get("timezone").is_none() {
        missing("timezone", "timezone = \"America/New_York\": the days in file names are those of this zone");
    }
    let url = url(&table, allow_http);
    let user = table.text("user");
    let zone = timezone(&table);
    let keys = keys(&table, root);
    let path = table.path("path").map_or_else(|| pool.join(name.as_str()), |(path, _)| root.join(path));
    let password = secret(&table, "password", root);
    let passphrase = secret(&table, "passphrase", root);
    let ready = table.boolean("ready").unwrap_or(true);
    let delete_mode = table.boolean("delete_mode").unwrap_or_default();
    let study = table.placed_text("study");
    studies.extend(study.clone());
    let date_style = date_style(&table);
    let group = table.text("group");
    let max_answer = table.whole("max_answer", 1 << 10, u64::MAX >> 1).unwrap_or(MAX_ANSWER);
    table.end();
    Some(Server {
        ready,
        delete_mode,
        password,
        keys,
        passphrase,
        study: study.map(|(study, _)| study),
        path,
        date_style,
        group,
        max_answer,
        url: url?,
        user: user?,
        timezone: zone?,
        name,
    })
}

fn timezone(table: &Section<'_, '_>) -> Option<chrono_tz::Tz> {
    let (text, span) = table.placed_text("timezone")?;
    let zone = text.parse().ok();
    if zone.is_none() {
        let hint = meant(&text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let hint = hint.unwrap_or_else(|| "a name of the time zone database: \"America/New_York\"".to_owned());
        table.problem(span, format!("there is no time zone `{text}`"), Some(hint));
    }
    zone
}

fn keys(table: &Section<'_, '_>, root: &Path) -> Vec<PathBuf> {
    let mut keys: Vec<PathBuf> = Vec::new();
    for (text, span) in table.texts("keys").unwrap_or_default() {
        let path = root.join(&text);
        if text.contains("-----BEGIN") {
            let hint = Some("put it into a file (chmod 600) and name the file".to_owned());
            table.problem(span, "a key must not stand in this file", hint);
        } else if text.is_empty() {
            table.problem(span, "an empty path is no key", None);
        } else if keys.contains(&path) {
            table.problem(span, format!("`{text}` stands here twice"), None);
        } else {
            keys.push(path);
        }
    }
    keys
}

fn url(table: &Section<'_, '_>, allow_http: bool) -> Option<String> {
    let (mut url, span) = table.placed_text("url")?;
    let parsed = match reqwest::Url::parse(&url) {
        Ok(parsed) => parsed,
        Err(error) => {
            let hint = Some("write https://HOST/.../api/".to_owned());
            table.problem(span, format!("`url` is no address: {error}"), hint);
            return None;
        }
    };
    let problem = |message: &str, hint: &str| {
        table.problem(span.clone(), message, Some(hint.to_owned()));
        None
    };
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return problem("`url` holds credentials", "they belong into `user` and `password`");
    }
    match parsed.scheme() {
        "https" => {}
        "http" if allow_http || is_loopback(parsed.host_str().unwrap_or_default()) => {}
        "http" => {
            let hint = "use https, or set allow_http = true if the network between is yours";
            return problem("passwords and answers would travel in the open", hint);
        }
        _ => return problem("`url` is no web address", "write https://HOST/.../api/"),
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return problem("`url` is the base of the interface", "leave out what follows `?` or `#`");
    }
    if !url.ends_with('/') {
        url.push('/');
    }
    Some(url)
}

/// Whether a host, as addresses write it, is this very machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`.
pub(super) fn secret(table: &Section<'_, '_>, key: &'static str, root: &Path) -> Option<Secret> {
    let value = table.get(key)?;
    if value.toml.as_table().is_none() {
        let hint = "write { env = \"NAME\" } or { file = \"PATH\" } (chmod 600), and put it there".to_owned();
        table.problem(value.span(), format!("`{key}` must not stand in this file"), Some(hint));
        return None;
    }
    let section = table.below(key, value)?;
    let (env, file) = (section.placed_text("env"), section.path("file"));
    let secret = match (env, file) {
        (Some((name, span)), None) => {
            if name.is_empty() || name.contains('=') {
                section.problem(span, format!("`{name}` is no name of an environment variable"), None);
            }
            Some(Secret::Env(name))
        }
        (None, Some((file, _))) => Some(Secret::File(root.join(file))),
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
    let Some((pattern, span)) = table.placed_text("date_format") else { return DateStyle::Iso };
    if can_be_read_back(&pattern) {
        return DateStyle::Pattern(pattern);
    }
    let hint = Some("use \"%b_%d_%Y\" or \"%d_%m_%Y\", or leave it out for 2015-08-25".to_owned());
    table.problem(span, "files named so could not be found again", hint);
    DateStyle::Iso
}

/// Names that are written so have to be read as the same day.
pub(super) fn can_be_read_back(pattern: &str) -> bool {
    use chrono::format::{Item, StrftimeItems};
    // A pattern that chrono does not know makes its formatting panic.
    if StrftimeItems::new(pattern).any(|item| matches!(item, Item::Error)) {
        return false;
    }
    let days = [(2015, 8, 25), (2026, 1, 2), (2031, 12, 11)];
    let days = days.into_iter().filter_map(|(year, month, day)| chrono::NaiveDate::from_ymd_opt(year, month, day));
    let Ok(scale) = crate::study::name::ScaleName::new("OA") else { return false };
    let style = DateStyle::Pattern(pattern.to_owned());
    days.into_iter().all(|day| {
        // Parts of a time cannot be written for a day: chrono refuses while writing.
        let mut name = String::new();
        if std::fmt::write(&mut name, format_args!("{}", day.format(pattern))).is_err() || name.contains('/') {
            return false;
        }
        crate::pool::paths::table_name(&style.table(&scale, day))
            .is_some_and(|read| read.date == day && read.scale == "OA")
    })
}

//! config/alerts.toml's text made [`Alerts`].

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::config::alerts::{Alerts, Mail, MailTls};
use crate::config::error::{Problems, Source};
use crate::config::section::{Section, parse};
use crate::config::servers_file::{is_loopback, secret};

/// The same trouble is told again only after so long.
const REPEAT_AFTER: Duration = Duration::from_secs(6 * 3600);

/// Reads the file's text.
pub fn read(source: &Source, root: &Path, problems: &RefCell<Problems>) -> Alerts {
    let Some(document) = parse(source, problems) else { return Alerts::default() };
    let top = Section::new(&source.path, document.get_ref(), document.span(), problems);
    let mail = top.section("mail").and_then(|table| mail(table, root));
    let alerts = Alerts { mail, heartbeat: heartbeat(&top), hook: hook(&top) };
    top.end();
    alerts
}

fn heartbeat(top: &Section<'_, '_>) -> Option<String> {
    let table = top.section("heartbeat")?;
    let url = table.placed_text("url");
    match &url {
        None if table.get("url").is_none() => table.problem(table.span(), "`url` is missing here", None),
        Some((text, span)) => {
            let web = reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            if !web {
                table.problem(span.clone(), "`url` is no web address", None);
            }
        }
        None => {}
    }
    table.end();
    url.map(|(url, _)| url)
}

fn hook(top: &Section<'_, '_>) -> Option<Vec<String>> {
    let table = top.section("hook")?;
    let command = table.texts("command");
    if command.as_ref().is_none_or(Vec::is_empty) && (command.is_some() || table.get("command").is_none()) {
        let hint = Some("write the program and its arguments: [\"notify\", \"--urgent\"]".to_owned());
        let place = table.get("command").map_or_else(|| table.span(), |value| value.span());
        table.problem(place, "`command` is missing here", hint);
    }
    table.end();
    command.map(|words| words.into_iter().map(|(word, _)| word).collect())
}

fn mail(table: Section<'_, '_>, root: &Path) -> Option<Mail> {
    let words = [("starttls", MailTls::StartTls), ("implicit", MailTls::Implicit), ("none", MailTls::None)];
    let tls = table.word("tls", &words).unwrap_or(MailTls::StartTls);
    let place = smtp(&table, tls);
    let from = address(&table);
    let to = recipients(&table);
    let user = table.text("user");
    let password = secret(&table, "password", root);
    for (key, there, other) in [("user", user.is_some(), "password"), ("password", password.is_some(), "user")] {
        if let (true, None, Some(value)) = (there, table.get(other), table.get(key)) {
            table.problem(value.span(), format!("`{key}` is of no use without `{other}`"), None);
        }
    }
    let subject_prefix = table.text("subject_prefix").unwrap_or_else(|| "[mtdata]".to_owned());
    let repeat_after = table.duration("repeat_after").unwrap_or(REPEAT_AFTER);
    table.end();
    let (host, port) = place?;
    Some(Mail { host, port, tls, user, password, from: from?, to, subject_prefix, repeat_after })
}

/// HOST, HOST:PORT or [ADDRESS]:PORT.
fn smtp(table: &Section<'_, '_>, tls: MailTls) -> Option<(String, u16)> {
    if table.get("smtp").is_none() {
        let hint = Some("smtp = \"HOST:PORT\": the server that takes the mail".to_owned());
        table.problem(table.span(), "`smtp` is missing here", hint);
    }
    let (text, span) = table.placed_text("smtp")?;
    let default = if tls == MailTls::Implicit { 465 } else { 587 };
    let bare = |host: &str| !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@');
    let parts = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => port.parse().ok().filter(|port| *port != 0).zip(Some(host)),
        _ => Some((default, text.as_str())),
    };
    let Some((port, host)) = parts.filter(|(_, host)| bare(host)) else {
        table.problem(span, "`smtp` must be HOST or HOST:PORT", None);
        return None;
    };
    if tls == MailTls::None && !is_loopback(host) {
        let hint = Some("tls = \"none\" is for loopback only; leave it out for STARTTLS".to_owned());
        table.problem(span, "mail would travel in the open", hint);
    }
    Some((host.trim_matches(['[', ']']).to_owned(), port))
}

fn address(table: &Section<'_, '_>) -> Option<String> {
    if table.get("from").is_none() {
        table.problem(table.span(), "`from` is missing here", Some("from = \"mtdata <name@example.edu>\"".to_owned()));
    }
    let (from, span) = table.placed_text("from")?;
    is_address(table, &from, span).then_some(from)
}

fn recipients(table: &Section<'_, '_>) -> Vec<String> {
    if table.get("to").is_none() {
        table.problem(table.span(), "`to` is missing here: nobody would be told", None);
    }
    let Some(to) = table.texts("to") else { return Vec::new() };
    if let (true, Some(value)) = (to.is_empty(), table.get("to")) {
        table.problem(value.span(), "`to` is empty: nobody would be told", None);
    }
    to.into_iter().filter_map(|(text, span)| is_address(table, &text, span).then_some(text)).collect()
}

fn is_address(table: &Section<'_, '_>, text: &str, span: Range<usize>) -> bool {
    let sound = text.parse::<lettre::message::Mailbox>().is_ok();
    if !sound {
        table.problem(span, format!("`{text}` is no mail address"), None);
    }
    sound
}

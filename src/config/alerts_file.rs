//! config/alerts.toml's text made [`Alerts`].

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use crate::config::alerts::{Alerts, Mail, MailTls};
use crate::config::error::{Problems, Source};
use crate::config::section::{Section, parse};
use crate::config::servers_file::secret;

/// Reads the file's text.
#[must_use]
pub fn read(source: &Source, root: &Path, problems: &RefCell<Problems>) -> Alerts {
    let Some(document) = parse(source, problems) else { return Alerts::default() };
    let top = Section::new(&source.path, document.get_ref(), document.span(), problems);
    let mail = top.section("mail").and_then(|table| mail(table, root));
    let hook = top.section("hook").and_then(|table| {
        let command = table.texts("command");
        table.end();
        command.map(|words| words.into_iter().map(|(word, _)| word).collect())
    });
    let heartbeat = top.text("heartbeat");
    top.end();
    Alerts { mail, heartbeat, hook }
}

fn mail(table: Section<'_, '_>, root: &Path) -> Option<Mail> {
    let tls = [("starttls", MailTls::StartTls), ("implicit", MailTls::Implicit), ("none", MailTls::None)];
    let tls = table.word("tls", &tls).unwrap_or(MailTls::StartTls);
    let smtp = table.required_text("smtp");
    let place = table.get("smtp").map_or_else(|| table.span(), |value| value.span());
    let parts = smtp.as_deref().and_then(|smtp| {
        let (host, port) =
            smtp.rsplit_once(':').unwrap_or((smtp, if tls == MailTls::Implicit { "465" } else { "587" }));
        port.parse::<u16>().ok().map(|port| (host.to_owned(), port))
    });
    if smtp.is_some() && parts.is_none() {
        table.problem(place.clone(), "`smtp` must be HOST or HOST:PORT", None);
    }
    let loopback = |host: &str| host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if tls == MailTls::None && parts.as_ref().is_some_and(|(host, _)| !loopback(host)) {
        table.problem(place, "mail would travel in the open", Some("tls = \"none\" is for loopback only".to_owned()));
    }
    let from = table.required_text("from");
    let to = table.texts("to").unwrap_or_default();
    if to.is_empty() {
        table.problem(table.span(), "`to` is missing here: nobody would be told", None);
    }
    for (address, span) in &to {
        if address.parse::<lettre::message::Mailbox>().is_err() {
            table.problem(span.clone(), format!("`{address}` is no mail address"), None);
        }
    }
    let mail = Mail {
        tls,
        user: table.text("user"),
        password: secret(&table, "password", root),
        subject_prefix: table.text("subject_prefix").unwrap_or_else(|| "[mtdata]".to_owned()),
        repeat_after: table.duration("repeat_after").unwrap_or(Duration::from_secs(24 * 3600)),
        to: to.into_iter().map(|(address, _)| address).collect(),
        host: parts.as_ref()?.0.clone(),
        port: parts?.1,
        from: from?,
    };
    table.end();
    Some(mail)
}

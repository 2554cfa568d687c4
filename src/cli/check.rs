//! Looks over configuration, keys, passwords and pool; writes nothing.

use serde_json::json;

use crate::cancel::Cancel;
use crate::cli::arguments::{CheckArguments, ProjectArguments};
use crate::cli::{Exit, Fault, build};
use crate::config::alerts::Alerts;
use crate::config::secret;
use crate::config::servers::Server;
use crate::disk::file_system;
use crate::failure::Failure;
use crate::keys::file::inspect;
use crate::keys::ring::RingKey;
use crate::output::answer;
use crate::retry::RetryPolicy;
use crate::run::sharing;
use crate::task::TaskSet;
use crate::tasks::decode::unlock;

/// One thing that was looked at.
struct Found {
    what: String,
    /// What is good about it, or what is wrong and what to do.
    result: Result<String, String>,
}

pub fn run(arguments: &ProjectArguments, check: &CheckArguments) -> Result<Exit, Fault> {
    let (project, tasks) = build::open(arguments)?;
    let pipeline = &project.pipeline;
    let mut all = vec![Found {
        what: build::shown(&pipeline.source.path).display().to_string(),
        result: Ok(format!(
            "{} tasks, {} servers, {} studies",
            pipeline.tasks.len(),
            project.servers.len(),
            project.studies.len()
        )),
    }];
    all.push(Found { what: "pool".to_owned(), result: pool(&project.pool()) });
    all.push(Found { what: "alerts".to_owned(), result: alerts(project.alerts.as_ref()) });
    for server in project.servers.values() {
        if server.path != project.pool().join(server.name.as_str()) {
            all.push(Found { what: format!("{}: path", server.name), result: pool(&server.path) });
        }
        if !server.ready {
            let text = "`ready = false` in servers.toml: no build takes it unless its name is written out, and it is never asked";
            all.push(Found { what: server.name.to_string(), result: Ok(text.to_owned()) });
        }
        all.extend(account(server));
        server_files(server, &mut all);
        all.extend(group(server));
        if check.online && server.ready {
            all.push(Found { what: format!("{}: {}", server.name, server.url), result: online(server, &tasks) });
        }
    }
    let bad = all.iter().any(|found| found.result.is_err());
    if check.json {
        let objects = all.iter().map(|found| {
            let (good, text) = match &found.result {
                Ok(text) => (true, text),
                Err(text) => (false, text),
            };
            json!({"what": found.what, "good": good, "text": text})
        });
        answer!("{}", serde_json::Value::Array(objects.collect()));
    } else {
        for found in &all {
            match &found.result {
                Ok(text) => answer!("good  {}: {text}", found.what),
                Err(text) => answer!("BAD   {}: {text}", found.what),
            }
        }
    }
    Ok(if bad { Exit::Failed } else { Exit::Done })
}

fn pool(path: &std::path::Path) -> Result<String, String> {
    let place = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    if !place.is_dir() {
        return Err(format!("{} is a file where a folder has to be; move it away", build::shown(place).display()));
    }
    match rustix::fs::access(place, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
        Ok(()) => Ok(format!("{} can be written{}", build::shown(path).display(), shared(path))),
        Err(error) => Err(format!(
            "{} cannot be written: {error}; the user that runs mtdata has to own it (chown)",
            place.display()
        )),
    }
}

/// What to know of a pool that several hosts could use.
fn shared(pool: &std::path::Path) -> String {
    file_system::network(pool).map_or_else(String::new, |kind| {
        format!("; it is on a network file system ({kind}): run mtdata on one host only, several are not supported")
    })
}

fn told(failure: Failure) -> String {
    let advice = failure.advice.map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("{}{advice}", failure.message)
}

fn server_files(server: &Server, all: &mut Vec<Found>) {
    let passphrase = server.passphrase.as_ref().map(secret::reveal).transpose();
    if let Err(failure) = &passphrase {
        all.push(Found { what: format!("{}: passphrase", server.name), result: Err(told(failure.clone())) });
    }
    let passphrase = passphrase.ok().flatten();
    if passphrase.is_some() && !server.keys.is_empty() && server.keys.iter().all(|path| is_open(path)) {
        let text = "no key needs it; `passphrase` can go from servers.toml".to_owned();
        all.push(Found { what: format!("{}: passphrase", server.name), result: Ok(text) });
    }
    for path in &server.keys {
        let result = unlock(path, passphrase.as_ref()).map_err(told);
        let result = result.map(|key| format!("{} bits, {}", key.bits(), key.fingerprint()));
        all.push(Found { what: format!("{}: {}", server.name, build::shown(path).display()), result });
    }
    if let Some(password) = &server.password {
        let result = secret::reveal(password).map(|_| "is there".to_owned()).map_err(told);
        // A server that is not asked needs no password.
        if server.ready || result.is_ok() {
            all.push(Found { what: format!("{}: password", server.name), result });
        }
    }
}

/// Whether somebody would be told, as far as that is seen without sending anything.
fn alerts(alerts: Option<&Alerts>) -> Result<String, String> {
    const NOBODY: &str = "nobody is told when something breaks; write config/alerts.toml with a [mail] (`mtdata schema alerts`) \
                          and name it as `alerts` in [data] of Pipeline.toml";
    let Some(Alerts { mail, hook, heartbeat }) = alerts else { return Ok(NOBODY.to_owned()) };
    let Some(mail) = mail else {
        return Ok(match (hook, heartbeat) {
            (Some(_), _) => "no mail; the [hook] command is told".to_owned(),
            (None, Some(_)) => "no mail and no [hook]; only the heartbeat stops when runs are not good".to_owned(),
            (None, None) => NOBODY.to_owned(),
        });
    };
    if let Some(password) = &mail.password {
        secret::reveal(password).map_err(|failure| format!("no mail can be sent: {}", told(failure)))?;
    }
    let to = mail.to.join(", ");
    Ok(format!("mail to {to} by {}:{}; `mtdata alert test` tries it", mail.host, mail.port))
}

/// An account without a name or without a password is refused by every site.
fn account(server: &Server) -> Option<Found> {
    if !server.ready {
        return None;
    }
    let missing =
        |what, todo: &str| Some(Found { what: format!("{}: {what}", server.name), result: Err(todo.to_owned()) });
    if server.user.trim().is_empty() {
        return missing("user", "is empty; name an account of the study's site with the ADMIN role in servers.toml");
    }
    if server.password.is_none() {
        return missing("password", "servers.toml names none; password = { env = \"NAME\" } or { file = \"...\" }");
    }
    None
}

fn is_open(path: &std::path::Path) -> bool {
    inspect(path).is_ok_and(|bytes| RingKey::read(&bytes, None).is_ok())
}

/// Who else reads the tables and reports.
fn group(server: &Server) -> Option<Found> {
    let name = server.group.as_ref()?;
    let result = match sharing::obstacle(server) {
        Some(why) => Err(format!("`{name}` does not get the tables and reports: {why}")),
        None => Ok(format!("`{name}` reads the tables and reports")),
    };
    Some(Found { what: format!("{}: group", server.name), result })
}

fn online(server: &Server, tasks: &TaskSet) -> Result<String, String> {
    let policy = RetryPolicy { retries: 0, timeout: std::time::Duration::from_secs(30) };
    let listing = tasks.lister.ask(&server.name, policy, &Cancel::default()).map_err(told)?;
    let entries: u64 = listing.iter().filter(|listed| listed.deleteable).map(|listed| listed.size).sum();
    Ok(format!("{} tables; {entries} entries wait to be exported", listing.len()))
}

//! The first generation's `server.config` (YAML) turned into servers.toml, with its passwords taken out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono_tz::Tz;
use serde_saphyr::Spanned;
use zeroize::Zeroize;

use crate::config::servers_file::{can_be_read_back, is_loopback};
use crate::study::name::ServerName;

/// Where the passwords go, below the project's folder: a file for `.` of a shell and for systemd's `EnvironmentFile=`.
pub const PASSWORDS: &str = "keys/passwords.env";

/// What the old file knows nothing of.
pub struct Here<'h> {
    /// Of the machine that wrote the old file names, by its own clock.
    pub timezone: Tz,
    /// Definitions that are there: a server of the same name takes them.
    pub studies: BTreeSet<String>,
    /// What the old file is called.
    pub file: &'h str,
}

/// The new files' texts, and what a person has to look at.
#[derive(Debug, Default)]
pub struct Imported {
    pub servers: String,
    pub passwords: Secrets,
    pub names: Vec<String>,
    pub ready: usize,
    pub notes: Vec<String>,
}

/// The text of the passwords' file; wiped when it is dropped, and not shown.
#[derive(Default)]
pub struct Secrets {
    pub text: String,
    pub count: usize,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// A mistake in the old file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line and column, from 1.
    pub place: Option<(u64, u64)>,
    pub message: String,
}

type Value = Spanned<Option<String>>;
type Block = BTreeMap<String, Value>;

/// What a block may say; anything else is named and left out.
const KNOWN: [&str; 10] =
    ["READY", "DELETE_MODE", "SERVER", "USER", "PASS", "PRIVATE_FILE", "DATE_FORMAT", "TIME_FORMAT", "PATH", "NAME"];
/// How the first generation's own sample writes times; these names are read whatever wrote them.
const TIME_FORMAT: &str = "%H_%M_%S";

/// Reads the old text and writes the new ones. Mistakes come all at once, and never quote a value.
///
/// # Errors
/// What is no `server.config`, or holds something that cannot be kept as it was meant.
pub fn import(text: &str, here: &Here<'_>) -> Result<Imported, Vec<Mistake>> {
    // A piece of the text beside the message could show a password.
    let options = serde_saphyr::options! { with_snippet: false };
    let blocks: BTreeMap<String, Spanned<Block>> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| vec![unreadable(text, &error)])?;
    if blocks.is_empty() {
        return Err(vec![Mistake { place: None, message: "holds no server".to_owned() }]);
    }
    let mut blocks: Vec<_> = blocks.into_iter().collect();
    blocks.sort_by_key(|(_, block)| block.defined.line());
    let mut import = Import { here, out: Imported::default(), mistakes: Vec::new(), paths: BTreeMap::new() };
    let _ = writeln!(
        import.out.servers,
        "#:schema ../schemas/servers.json\n# The studies' web servers, taken from {}. Secrets never stand in this file: \
         the passwords are in\n# {PASSWORDS}.",
        here.file.replace(char::is_control, " ")
    );
    for (name, block) in blocks {
        import.server(&name, &block);
    }
    if import.mistakes.is_empty() { Ok(import.out) } else { Err(import.mistakes) }
}

fn unreadable(text: &str, error: &serde_saphyr::Error) -> Mistake {
    let place = error.location().map(|place| (place.line(), place.column()));
    let is_logging = ["handlers:", "formatters:", "loggers:"].iter().any(|word| text.contains(word));
    let message = if is_logging {
        "is a log.config, not a server.config: what it says goes into [logs] of Pipeline.toml and config/alerts.toml"
    } else if matches!(error.without_snippet(), serde_saphyr::Error::DuplicateMappingKey { .. }) {
        "the same name stands here twice"
    } else {
        "is not read as a server.config: a name, and below it lines like `READY: True`"
    };
    Mistake { place, message: message.to_owned() }
}

struct Import<'h> {
    here: &'h Here<'h>,
    out: Imported,
    mistakes: Vec<Mistake>,
    /// Folders, with the server that has each.
    paths: BTreeMap<String, String>,
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn given<'b>(block: &'b Block, key: &str) -> Option<&'b str> {
    block.get(key)?.value.as_deref().filter(|text| !text.is_empty())
}

impl Import<'_> {
    fn mistake(&mut self, value: Option<&Value>, message: impl Into<String>) {
        let place = value.map(|value| (value.defined.line(), value.defined.column()));
        self.mistakes.push(Mistake { place, message: message.into() });
    }

    fn note(&mut self, server: &str, note: &str) {
        self.out.notes.push(format!("{server}: {note}"));
    }

    fn server(&mut self, name: &str, block: &Spanned<Block>) {
        let place = Value::new(None, block.referenced, block.defined);
        if let Err(error) = ServerName::new(name) {
            return self.mistake(Some(&place), error.to_string());
        }
        if let Some(other) = self.out.names.iter().find(|other| other.eq_ignore_ascii_case(name)) {
            let message = format!("the servers `{other}` and `{name}` differ only in case");
            return self.mistake(Some(&place), message);
        }
        let block = &block.value;
        let ready = self.truth(name, block, "READY");
        let delete_mode = self.truth(name, block, "DELETE_MODE");
        let mut lines: Vec<(&str, String)> =
            vec![("ready", ready.to_string()), ("delete_mode", delete_mode.to_string())];
        self.url(name, block, &place, &mut lines);
        self.login(name, block, ready, &mut lines);
        let zone = format!(
            "{}   # of dates in file names; the old names have those of its machine",
            quoted(self.here.timezone.name())
        );
        lines.push(("timezone", zone));
        if self.here.studies.contains(name) {
            lines.push(("study", quoted(name)));
        } else {
            let known: Vec<&str> = self.here.studies.iter().map(String::as_str).collect();
            lines.push((
                "# study",
                format!("\"...\"   # which questionnaires it has; defined are: {}", known.join(", ")),
            ));
        }
        self.dates(name, block, &mut lines);
        self.folder(name, block, &mut lines);
        for key in block.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
            self.note(name, &format!("{key} means nothing to mtdata and is left out"));
        }
        let _ = writeln!(self.out.servers, "\n[{}]", toml_key(name));
        for (key, value) in lines {
            let _ = writeln!(self.out.servers, "{key:<11} = {value}");
        }
        self.out.ready += usize::from(ready);
        self.out.names.push(name.to_owned());
    }

    /// The words that YAML 1.1 takes for yes and no. What is missing is no.
    fn truth(&mut self, server: &str, block: &Block, key: &str) -> bool {
        let Some(text) = given(block, key) else { return false };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => true,
            "false" | "no" | "off" | "n" => false,
            _ => {
                self.mistake(block.get(key), format!("{key} of `{server}` is neither True nor False"));
                false
            }
        }
    }

    /// `https://host/api/export`, as the first versions wanted it, and `https://host/api/` are one interface.
    fn url(&mut self, server: &str, block: &Block, place: &Value, lines: &mut Vec<(&str, String)>) {
        let Some(text) = given(block, "SERVER") else {
            return self.mistake(Some(place), format!("`{server}` has no SERVER: https://HOST/.../api/"));
        };
        let value = block.get("SERVER");
        let sound = |url: &reqwest::Url| {
            matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none()
        };
        let Some(url) = reqwest::Url::parse(text).ok().filter(sound) else {
            return self.mistake(value, format!("SERVER of `{server}` is no web address: https://HOST/.../api/"));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return self
                .mistake(value, format!("SERVER of `{server}` holds credentials: they belong into USER and PASS"));
        }
        let base = text.trim_end_matches('/');
        let base = base.strip_suffix("/export").unwrap_or(base);
        lines.push(("url", quoted(&format!("{base}/"))));
        if url.scheme() == "http" && !is_loopback(url.host_str().unwrap_or_default()) {
            lines.push((
                "allow_http",
                "true   # password and answers travel in the open: have the site take https".to_owned(),
            ));
            self.note(server, "is asked by http, as before: its password and the answers travel in the open");
        }
    }

    fn login(&mut self, server: &str, block: &Block, ready: bool, lines: &mut Vec<(&str, String)>) {
        let user = given(block, "USER");
        lines.push(("user", quoted(user.unwrap_or_default())));
        let variable = self.variable(server);
        lines.push(("password", format!("{{ env = \"{variable}\" }}")));
        let secrets = &mut self.out.passwords;
        if let Some(password) = given(block, "PASS") {
            // Single quotes are read alike by shells and systemd.
            let _ = writeln!(secrets.text, "{variable}='{}'", password.replace('\'', r"'\''"));
            secrets.count += 1;
        } else {
            let _ = writeln!(secrets.text, "# {variable}='...'");
        }
        let missing: Vec<&str> = ["USER", "PASS"].into_iter().filter(|key| given(block, key).is_none()).collect();
        if !missing.is_empty() {
            let when = if ready { "nothing can be exported before they are there" } else { "it is not ready" };
            self.note(server, &format!("no {} in the old file; {when}", missing.join(" and no ")));
        }
        let keys = given(block, "PRIVATE_FILE")
            .map(|file| if file.contains('/') { file.to_owned() } else { format!("keys/{file}") });
        lines.push(("keys", format!("[{}]", keys.as_deref().map(quoted).unwrap_or_default())));
    }

    /// A name of its own for each server's password.
    fn variable(&self, server: &str) -> String {
        let word = server.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
        let mut name: String = word.chain("_PASSWORD".chars()).collect();
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert(0, '_');
        }
        let taken = |name: &str| self.out.passwords.text.contains(&format!("{name}='"));
        let others = (2..).map(|number| format!("{name}_{number}"));
        std::iter::once(name.clone()).chain(others).find(|name| !taken(name)).unwrap_or(name)
    }

    fn dates(&mut self, server: &str, block: &Block, lines: &mut Vec<(&str, String)>) {
        if let Some(pattern) = given(block, "DATE_FORMAT") {
            if can_be_read_back(pattern) {
                lines.push((
                    "date_format",
                    format!("{}   # file names as before; leave it out for 2015-08-25", quoted(pattern)),
                ));
            } else {
                self.note(
                    server,
                    "files named by its DATE_FORMAT could not be found again; new ones are named like 2015-08-25",
                );
            }
        }
        if given(block, "TIME_FORMAT").is_some_and(|pattern| pattern != TIME_FORMAT) {
            self.note(server, "TIME_FORMAT is left out: times in file names are always like 08_54_35");
        }
    }

    /// Two servers cannot share a folder: the second gets one of its own.
    fn folder(&mut self, server: &str, block: &Block, lines: &mut Vec<(&str, String)>) {
        let Some(path) = given(block, "PATH") else { return };
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        if let Some(other) = self.paths.get(path).cloned() {
            lines.push(("# path", format!("{}   # `{other}` has it", quoted(path))));
            self.note(
                server,
                &format!("has the PATH of `{other}`, which keeps all that is in it; new answers go to <pool>/{server}"),
            );
            return;
        }
        lines.push(("path", quoted(path)));
        self.paths.insert(path.to_owned(), server.to_owned());
    }
}

/// A name as the head of a table.
fn toml_key(name: &str) -> String {
    let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if bare { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;

    use super::*;
    use crate::config::error::{Problems, Source};
    use crate::config::servers::{Secret, Servers};
    use crate::config::servers_file;

    fn here() -> Here<'static> {
        let studies = ["calm", "mindtrails", "templeton"].map(str::to_owned).into();
        Here { timezone: chrono_tz::America::New_York, studies, file: "server.config" }
    }

    fn read(text: &str) -> Servers {
        let problems = RefCell::new(Problems::default());
        let source = Source { path: PathBuf::from("servers.toml"), text: text.to_owned() };
        let read = servers_file::read(&source, Path::new("/lab"), Path::new("/lab/data"), &problems);
        let problems = problems.into_inner();
        assert!(problems.problems.is_empty(), "{text}\n{problems}");
        read.servers
    }

    fn refused(text: &str) -> String {
        let all = import(text, &here()).unwrap_err();
        all.iter().fold(String::new(), |told, one| format!("{told}{:?} {}\n", one.place, one.message))
    }

    #[test]
    fn both_ways_to_write_the_address_are_one_interface() {
        for end in ["api/export", "api/export/", "api/", "api"] {
            let text = format!("a:\n  SERVER: 'https://h.edu/study/{end}'\n");
            let server = &read(&import(&text, &here()).unwrap().servers)[&ServerName::new("a").unwrap()];
            assert_eq!(server.url, "https://h.edu/study/api/");
            assert!(!server.ready && !server.delete_mode && server.keys.is_empty());
        }
    }

    #[test]
    fn a_shell_would_read_the_passwords_as_they_were() {
        let text = "a-b:\n  SERVER: 'https://h.edu/api/'\n  PASS: \"it's $HOME `x` \\\"\"\n\
                    a_b:\n  SERVER: 'https://i.edu/api/'\n  PASS: 00123\n";
        let imported = import(text, &here()).unwrap();
        assert_eq!(imported.passwords.text, "A_B_PASSWORD='it'\\''s $HOME `x` \"'\nA_B_PASSWORD_2='00123'\n");
        let servers = read(&imported.servers);
        let secret = |name: &str| servers[&ServerName::new(name).unwrap()].password.clone().unwrap();
        assert_eq!(secret("a-b"), Secret::Env("A_B_PASSWORD".into()));
        assert_eq!(secret("a_b"), Secret::Env("A_B_PASSWORD_2".into()));
        assert!(!imported.servers.contains("00123") && !format!("{imported:?}").contains("00123"));
    }

    #[test]
    fn what_cannot_be_kept_as_it_was_meant_is_refused_with_its_place_and_no_value() {
        let told = refused("a:\n  READY: maybe\n  SERVER: hunter2\nb:\n  READY: True\n");
        assert_eq!(
            told,
            "Some((2, 10)) READY of `a` is neither True nor False\n\
             Some((3, 11)) SERVER of `a` is no web address: https://HOST/.../api/\n\
             Some((5, 3)) `b` has no SERVER: https://HOST/.../api/\n"
        );
        assert!(refused("a b:\n  READY: True\n").contains("white space"));
        assert!(refused("a:\n  PASS: x\n  PASS: hunter2\n").contains("stands here twice"));
        assert!(refused("version: 1\nhandlers:\n  console:\n    level: DEBUG\n").contains("is a log.config"));
        assert!(refused("").contains("no server"));
        for text in ["a:\n  PASS: [hunter2\n", "a:\n  PASS: {x: hunter2}\n", "hunter2", "a: hunter2\n"] {
            let told = refused(text);
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    proptest! {
        /// Whatever the texts: what comes out is read again, each text as it was, and no password stands in it.
        #[test]
        fn every_text_survives(user in "[ -~äß€]{1,12}", pass in "zq[ -~äß€]{8,12}", path in "/[ -~ä]{1,12}[a-z]") {
            let yaml = |text: &str| serde_json::to_string(text).unwrap();
            let text = format!(
                "a:\n  READY: True\n  SERVER: https://h.edu/api/export\n  USER: {}\n  PASS: {}\n  PATH: {}\n",
                yaml(&user), yaml(&pass), yaml(&path)
            );
            let imported = import(&text, &here()).unwrap();
            let server = read(&imported.servers).remove(&ServerName::new("a").unwrap()).unwrap();
            prop_assert_eq!(server.user, user);
            prop_assert_eq!(server.path, Path::new(&path));
            prop_assert!(!imported.servers.contains(&pass));
            prop_assert_eq!(imported.passwords.text.replace(r"'\''", "'"), format!("A_PASSWORD='{pass}'\n"));
        }
    }
}

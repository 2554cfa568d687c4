//! One `[task.NAME]` of Pipeline.toml, read on its own; what it says of other tasks is still in names.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::pipeline::{Action, AlertLevel, CommandSpec, EachAxes, ScaleChoice, TaskSpec};
use crate::config::section::{Section, meant, nearest};
use crate::study::disclosure_control::DisclosureControl;
use crate::study::name::{ScaleName, ServerName};

/// A text and where it stands.
pub type Named = (String, Range<usize>);

/// A task whose `needs` and `after` are still names.
pub struct Unlinked {
    pub spec: TaskSpec,
    pub needs: Vec<Named>,
    pub after: Vec<Named>,
    pub servers: Vec<(ServerName, Range<usize>)>,
    /// Of each entry of a command's `outputs`.
    pub outputs: Vec<Range<usize>>,
}

const AXES: [&str; 3] = ["server", "scale", "date"];

/// What ships with mtdata makes these; nothing else may.
const RESERVED_FOLDERS: [&str; 9] = [
    "raw_data",
    "active_data",
    "quarantine",
    "combined",
    "scored",
    "wide",
    "study",
    "deletions.jsonl",
    "receipts.jsonl",
];
const RESERVED_REPORTS: [&str; 11] = [
    "index.html",
    "questionnaires.csv",
    "columns.csv",
    "participants.csv",
    "attrition.csv",
    "sessions.csv",
    "weeks.csv",
    "answers.csv",
    "scores.csv",
    "checks.csv",
    "ledger.csv",
];

/// Reads one task. `None`: what it does could not be read.
pub fn task(
    name: &str,
    span: Range<usize>,
    table: Section<'_, '_>,
    groups: &BTreeMap<String, usize>,
) -> Option<Unlinked> {
    let each = each(&table);
    let action = action(&table, each, &span);
    let export = action == Some(Action::Export);
    let command = matches!(action, Some(Action::Command(_)));
    let group = table.placed_text("group");
    if let Some((group, span)) = group.as_ref().filter(|(group, _)| !groups.contains_key(group)) {
        let hint = meant(group, groups.keys().map(String::as_str));
        table.problem(span.clone(), format!("there is no group `{group}` in [groups]"), hint);
    }
    let needs = table.texts("needs").unwrap_or_default();
    let after = table.texts("after").unwrap_or_default();
    if let (true, Some((_, span))) = (export, needs.first().or(after.first())) {
        table.problem(span.clone(), "an export waits for nothing: its server is asked first", None);
    }
    if let (Some(every), Some(_), false) = (table.get("every"), &action, export || command) {
        table.problem(every.span(), "`every` may stand on export and command tasks only", None);
    }
    let servers = names(&table, "servers", ServerName::new);
    let scales = scales(&table);
    choices_fit(&table, each);
    let retries = table.whole("retries", 0, 100).and_then(|n| u32::try_from(n).ok());
    let alerts = [("critical", AlertLevel::Critical), ("warning", AlertLevel::Warning), ("none", AlertLevel::None)];
    let spec = TaskSpec {
        name: name.to_owned(),
        span,
        each,
        scales,
        servers: servers.as_ref().map(|servers| servers.iter().map(|(name, _)| name.clone()).collect()),
        needs: Vec::new(),
        after: Vec::new(),
        group: group.map(|(group, _)| group),
        retries: retries.unwrap_or(if export { 3 } else { 0 }),
        timeout: table.duration("timeout").unwrap_or(Duration::from_secs(if command { 3600 } else { 120 })),
        every: table.duration("every"),
        partial: table.boolean("partial").unwrap_or_default(),
        alert: table.word("alert", &alerts).unwrap_or_default(),
        action: action.clone().unwrap_or(Action::Export),
    };
    let outputs = table.texts("outputs").unwrap_or_default().into_iter().map(|(_, span)| span).collect();
    table.end();
    action.map(|_| Unlinked { spec, needs, after, servers: servers.unwrap_or_default(), outputs })
}

fn each(table: &Section<'_, '_>) -> EachAxes {
    let mut each = EachAxes::default();
    for (axis, span) in table.texts("each").unwrap_or_default() {
        let place = match axis.as_str() {
            "server" => &mut each.server,
            "scale" => &mut each.scale,
            "date" => &mut each.date,
            _ => {
                let message = format!("unknown axis `{axis}`: there are server, scale and date");
                table.problem(span, message, meant(&axis, AXES));
                continue;
            }
        };
        if std::mem::replace(place, true) {
            table.problem(span, format!("axis `{axis}` stands here twice"), None);
        }
    }
    if let Some(value) = table.get("each").filter(|_| (each.scale && !each.server) || (each.date && !each.scale)) {
        let hint = Some("write [\"server\"], [\"server\", \"scale\"] or [\"server\", \"scale\", \"date\"]".to_owned());
        table.problem(value.span(), "a scale belongs to a server, and a date to a scale", hint);
    }
    each
}

/// `servers` and `scales` choose among instances that `each` makes.
fn choices_fit(table: &Section<'_, '_>, each: EachAxes) {
    for (key, axis, there) in [("servers", "server", each.server), ("scales", "scale", each.scale)] {
        if let (Some(value), false) = (table.get(key), there) {
            let hint = Some(format!("add \"{axis}\" to `each`, or leave `{key}` out"));
            table.problem(value.span(), format!("`{key}` chooses nothing: `each` has no \"{axis}\""), hint);
        }
    }
}

fn action(table: &Section<'_, '_>, each: EachAxes, span: &Range<usize>) -> Option<Action> {
    let command = table.texts("command");
    let wants = |server, scale, date| EachAxes { server, scale, date };
    let words = [
        ("export", (Action::Export, wants(true, true, false))),
        ("decode", (Action::Decode, wants(true, true, true))),
        ("combine", (Action::Combine, wants(true, true, false))),
        ("score", (Action::Score, wants(true, true, false))),
        ("wide", (Action::Wide, wants(true, true, false))),
        ("report", (Action::Report(disclosure(table)), wants(true, false, false))),
    ];
    let indexes: Vec<(&str, usize)> = words.iter().enumerate().map(|(index, (word, _))| (*word, index)).collect();
    let word = table.word("action", &indexes);
    let named = table.get("action").is_some();
    if let Some(command) = command {
        if let Some(value) = table.get("action") {
            table.problem(value.span(), "a task has either `action` or `command`", None);
        }
        return command_spec(table, each, command).map(Action::Command);
    }
    for key in ["inputs", "outputs", "env"] {
        if let Some(value) = table.get(key) {
            table.problem(value.span(), format!("`{key}` belongs to tasks with `command`"), None);
        }
    }
    let misspelt = || table.entries().any(|(key, ..)| nearest(key, ["action", "command"]).is_some());
    if !named && table.get("command").is_none() && !misspelt() {
        let hint = Some("add action = \"...\" or command = [...]".to_owned());
        table.problem(span.clone(), "the task does nothing", hint);
    }
    let (action, axes) = word.map(|index| words[index].1.clone())?;
    if each != axes {
        let mut text = vec!["\"server\""];
        text.extend(axes.scale.then_some("\"scale\""));
        text.extend(axes.date.then_some("\"date\""));
        let place = table.get("each").map_or_else(|| span.clone(), |value| value.span());
        let message = format!("action \"{}\" is done for each = [{}]", action.word(), text.join(", "));
        table.problem(place, message, None);
    }
    Some(action)
}

/// What only reports have.
fn disclosure(table: &Section<'_, '_>) -> DisclosureControl {
    let report = table.get("action").is_some_and(|value| value.toml.as_str() == Some("report"));
    for key in ["pseudonyms", "suppress_below"] {
        if let (Some(value), false) = (table.get(key), report) {
            table.problem(value.span(), format!("`{key}` belongs to tasks with action = \"report\""), None);
        }
    }
    DisclosureControl {
        pseudonyms: table.boolean("pseudonyms").unwrap_or_default(),
        least_cell: table.whole("suppress_below", 2, 1000).unwrap_or_default(),
    }
}

fn command_spec(table: &Section<'_, '_>, each: EachAxes, command: Vec<Named>) -> Option<CommandSpec> {
    if command.is_empty() {
        let span = table.get("command").map_or_else(|| table.span(), |value| value.span());
        let hint = "write the program and its arguments: [\"Rscript\", \"x.R\"]".to_owned();
        table.problem(span, "`command` is empty", Some(hint));
        return None;
    }
    let inputs = table.texts("inputs").unwrap_or_default();
    let outputs = table.texts("outputs").unwrap_or_default();
    for (texts, special) in [(&command, true), (&inputs, false), (&outputs, false)] {
        for (text, span) in texts {
            placeholders(table, text, span, each, special);
        }
    }
    if let Some((_, span)) = command.iter().find(|(text, _)| text.contains("{out}")).filter(|_| outputs.len() != 1) {
        table.problem(span.clone(), "`{out}` needs exactly one entry in `outputs`", None);
    }
    outputs_are_its_own(table, each, &outputs);
    let plain = |texts: Vec<Named>| texts.into_iter().map(|(text, _)| text).collect();
    Some(CommandSpec { command: plain(command), inputs: plain(inputs), outputs: plain(outputs), env: env(table) })
}

fn env(table: &Section<'_, '_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let Some(section) = table.section("env") else { return env };
    for (name, span, value) in section.entries() {
        match value.toml.as_str() {
            Some(text) if !text.contains('\0') && !name.is_empty() && !name.contains(['=', '\0']) => {
                env.insert(name.to_owned(), text.to_owned());
            }
            Some(_) => section.problem(span, "an environment variable cannot be so", None),
            None => section.problem(value.span(), format!("`{name}` must be a text"), None),
        }
    }
    env
}

/// Each instance writes files of its own, none that mtdata itself makes, and no file is named twice.
fn outputs_are_its_own(table: &Section<'_, '_>, each: EachAxes, outputs: &[Named]) {
    for (index, (output, span)) in outputs.iter().enumerate() {
        for (axis, there) in AXES.into_iter().zip([each.server, each.scale, each.date]) {
            if there && !output.contains(&format!("{{{axis}}}")) {
                let message = format!("every {axis} would write this one file");
                table.problem(span.clone(), message, Some(format!("put {{{axis}}} into the path")));
            }
        }
        if output.is_empty() || output.ends_with('/') {
            table.problem(span.clone(), "an output is a file", None);
        }
        if outputs[..index].iter().any(|(other, _)| other == output) {
            table.problem(span.clone(), format!("`{output}` stands here twice"), None);
        }
        let own = output.strip_prefix("{pool}/{server}/").unwrap_or_default();
        let (folder, name) = own.split_once('/').unwrap_or((own, ""));
        if RESERVED_FOLDERS.contains(&folder) || folder == "reports" && RESERVED_REPORTS.contains(&name) {
            let hint = Some("put it beside: {pool}/{server}/reports/NAME.csv".to_owned());
            table.problem(span.clone(), format!("`{own}` is mtdata's own"), hint);
        }
    }
}

fn placeholders(table: &Section<'_, '_>, text: &str, span: &Range<usize>, each: EachAxes, special: bool) {
    let mut known = vec!["pool"];
    known.extend(each.server.then_some("server"));
    known.extend(each.scale.then_some("scale"));
    known.extend(each.date.then_some("date"));
    if special {
        known.extend(["out", "inputs", "outputs"]);
    }
    for part in text.split('{').skip(1) {
        let Some((name, _)) = part.split_once('}') else { continue };
        let word = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase());
        if !word || known.contains(&name) {
            continue;
        }
        let all: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
        let hint = if AXES.contains(&name) {
            format!("add \"{name}\" to `each`")
        } else {
            format!("known here: {}", all.join(" "))
        };
        table.problem(span.clone(), format!("unknown placeholder `{{{name}}}`"), Some(hint));
    }
}

fn scales(table: &Section<'_, '_>) -> Option<ScaleChoice> {
    let value = table.get("scales")?;
    match value.toml {
        DeValue::String(word) => match &**word {
            "." => Some(ScaleChoice::Deleteable),
            "static" => Some(ScaleChoice::Static),
            "all" => Some(ScaleChoice::All),
            _ => {
                let hint = Some(format!("a single scale is written [\"{word}\"]"));
                table.problem(value.span(), "`scales` must be \".\", \"static\", \"all\" or a list of names", hint);
                None
            }
        },
        _ => names(table, "scales", ScaleName::new)
            .map(|names| ScaleChoice::Named(names.into_iter().map(|(name, _)| name).collect())),
    }
}

fn names<T, E: std::fmt::Display>(
    table: &Section<'_, '_>,
    key: &'static str,
    make: impl Fn(&str) -> Result<T, E>,
) -> Option<Vec<(T, Range<usize>)>> {
    let mut names = Vec::new();
    for (text, span) in table.texts(key)? {
        match make(&text) {
            Ok(name) => names.push((name, span)),
            Err(error) => table.problem(span, error.to_string(), None),
        }
    }
    Some(names)
}

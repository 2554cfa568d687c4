//! Pipeline.toml's text made a [`Pipeline`]: every mistake is found in one reading.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use crate::config::error::{Problems, Source};
use crate::config::pipeline::{
    Action, AlertLevel, CommandSpec, DataPaths, EachAxes, LogSettings, Pipeline, ScaleChoice, TaskSpec,
};
use crate::config::section::{Section, Value, nearest, parse};
use crate::study::name::{ScaleName, ServerName};

type Named = (String, Range<usize>);

/// A task whose `needs` and `after` are still names.
struct Unlinked {
    spec: TaskSpec,
    needs: Vec<Named>,
    after: Vec<Named>,
}

/// Reads the file's text. `None`: not even its form could be read.
#[must_use]
pub fn read(source: &Source, root: &Path, problems: &RefCell<Problems>) -> Option<Pipeline> {
    let document = parse(source, problems)?;
    let top = Section::new(&source.path, document.get_ref(), document.span(), problems);
    let data = data(&top);
    let logs = logs(&top);
    let groups = groups(&top);
    let default = top.texts("default").unwrap_or_default();
    let tasks = tasks(&top, &groups);
    let tasks = link(&top, tasks);
    for (target, span) in &default {
        let task = target.split('/').next().unwrap_or_default();
        if !task.contains(['*', '?']) && !tasks.iter().any(|known| known.name == task) {
            let hint =
                nearest(task, tasks.iter().map(|known| known.name.as_str())).map(|n| format!("did you mean `{n}`?"));
            top.problem(span.clone(), format!("there is no task `{task}`"), hint);
        }
    }
    cycles(&top, &tasks);
    one_maker(&top, &tasks);
    top.end();
    Some(Pipeline {
        source: source.clone(),
        root: root.to_owned(),
        default: default.into_iter().map(|(target, _)| target).collect(),
        data,
        logs,
        groups,
        tasks,
    })
}

fn data(top: &Section<'_, '_>) -> DataPaths {
    let section = top.section("data");
    let path = |key: &'static str| section.as_ref().and_then(|data| data.text(key)).map(PathBuf::from);
    let paths = DataPaths {
        pool: path("pool").unwrap_or_else(|| "data".into()),
        servers: path("servers").unwrap_or_else(|| "config/servers.toml".into()),
        scales: path("scales").unwrap_or_else(|| "config/scales".into()),
        alerts: path("alerts"),
        corrections: path("corrections"),
        participants: path("participants"),
    };
    if let Some(section) = section {
        section.end();
    }
    paths
}

fn logs(top: &Section<'_, '_>) -> LogSettings {
    let mut settings = LogSettings::default();
    let Some(section) = top.section("logs") else { return settings };
    let days = |key| section.whole(key, 1, 36_500).and_then(|days| u32::try_from(days).ok());
    if let Some(json) = section.word("format", &[("text", false), ("json", true)]) {
        settings.json = json;
    }
    settings.keep_days = days("keep_days").unwrap_or(settings.keep_days);
    settings.keep_runs = days("keep_runs").unwrap_or(settings.keep_runs);
    settings.compress = section.boolean("compress").unwrap_or(settings.compress);
    section.end();
    settings
}

fn groups(top: &Section<'_, '_>) -> BTreeMap<String, usize> {
    let mut groups = BTreeMap::from([("network".to_owned(), 8)]);
    let Some(section) = top.section("groups") else { return groups };
    for (name, _, value) in section.entries() {
        let number = value.value.as_integer().and_then(|number| number.as_str().parse::<usize>().ok());
        match number.filter(|number| (1..=1024).contains(number)) {
            Some(number) => drop(groups.insert(name.to_owned(), number)),
            None => {
                section.problem(value.span(), format!("group `{name}` must be a whole number from 1 to 1024"), None);
            }
        }
    }
    groups
}

fn tasks(top: &Section<'_, '_>, groups: &BTreeMap<String, usize>) -> Vec<Unlinked> {
    let Some(section) = top.section("task") else {
        top.problem(0..0, "there is no [task.NAME]", Some("`mtdata init` writes a pipeline to begin with".to_owned()));
        return Vec::new();
    };
    let mut tasks: Vec<Unlinked> = Vec::new();
    let mut entries: Vec<_> = section.entries().collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    for (name, span, value) in entries {
        if ServerName::new(name).is_err() {
            section.problem(span.clone(), format!("`{name}` cannot be a task's name"), None);
        }
        if let Some(other) = tasks.iter().find(|other| other.spec.name.eq_ignore_ascii_case(name)) {
            let message = format!("`{name}` and `{}` differ only in case", other.spec.name);
            section.problem(span.clone(), message, Some("rename one of them".to_owned()));
        }
        if let Some(below) = section.below(name, value) {
            tasks.extend(task(name, span, below, groups));
        }
    }
    tasks
}

fn task(name: &str, span: Range<usize>, table: Section<'_, '_>, groups: &BTreeMap<String, usize>) -> Option<Unlinked> {
    let each = each(&table);
    let action = action(&table, each, &span);
    let export = action == Some(Action::Export);
    let command = matches!(action, Some(Action::Command(_)));
    let group = table.texts_or_one("group");
    if let Some((group, span)) = group.first().filter(|(group, _)| !groups.contains_key(group)) {
        let hint = nearest(group, groups.keys().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
        table.problem(span.clone(), format!("there is no group `{group}` in [groups]"), hint);
    }
    let needs = table.texts("needs").unwrap_or_default();
    let after = table.texts("after").unwrap_or_default();
    if let (true, Some((_, span))) = (export, needs.first().or(after.first())) {
        table.problem(span.clone(), "an export waits for nothing: its server is asked first", None);
    }
    if let (Some(every), false) = (table.get("every"), export || command) {
        table.problem(every.span(), "`every` may stand on export and command tasks only", None);
    }
    let retries = table.whole("retries", 0, 100).and_then(|n| u32::try_from(n).ok());
    let alerts = [("critical", AlertLevel::Critical), ("warning", AlertLevel::Warning), ("none", AlertLevel::None)];
    let spec = TaskSpec {
        name: name.to_owned(),
        span,
        each,
        scales: scales(&table),
        servers: names(&table, "servers", ServerName::new),
        needs: Vec::new(),
        after: Vec::new(),
        group: group.first().map(|(group, _)| group.clone()),
        retries: retries.unwrap_or(if export { 3 } else { 0 }),
        timeout: table.duration("timeout").unwrap_or(Duration::from_secs(if command { 3600 } else { 120 })),
        every: table.duration("every"),
        partial: table.boolean("partial").unwrap_or_default(),
        alert: table.word("alert", &alerts).unwrap_or_default(),
        action: action.clone().unwrap_or(Action::Export),
    };
    table.end();
    action.map(|_| Unlinked { spec, needs, after })
}

fn each(table: &Section<'_, '_>) -> EachAxes {
    let mut each = EachAxes::default();
    for (axis, span) in table.texts("each").unwrap_or_default() {
        let place = match axis.as_str() {
            "server" => &mut each.server,
            "scale" => &mut each.scale,
            "date" => &mut each.date,
            _ => {
                let hint = nearest(&axis, ["server", "scale", "date"]).map(|near| format!("did you mean `{near}`?"));
                table.problem(span, format!("unknown axis `{axis}`: there are server, scale and date"), hint);
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

fn action(table: &Section<'_, '_>, each: EachAxes, span: &Range<usize>) -> Option<Action> {
    let command = table.texts("command");
    let wants = |server, scale, date| EachAxes { server, scale, date };
    let words = [
        ("export", (Action::Export, wants(true, true, false))),
        ("decode", (Action::Decode, wants(true, true, true))),
        ("combine", (Action::Combine, wants(true, true, false))),
        ("score", (Action::Score, wants(true, true, false))),
        ("wide", (Action::Wide, wants(true, true, false))),
        ("report", (Action::Report, wants(true, false, false))),
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
    if !named {
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

fn command_spec(table: &Section<'_, '_>, each: EachAxes, command: Vec<Named>) -> Option<CommandSpec> {
    if command.is_empty() {
        let span = table.get("command").map_or_else(|| table.span(), |value| value.span());
        table.problem(
            span,
            "`command` is empty",
            Some("write the program and its arguments: [\"Rscript\", \"x.R\"]".to_owned()),
        );
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
    let mut env = BTreeMap::new();
    if let Some(section) = table.section("env") {
        for (name, _, value) in section.entries() {
            match value.value.as_str() {
                Some(text) => drop(env.insert(name.to_owned(), text.to_owned())),
                None => section.problem(value.span(), format!("`{name}` must be a text"), None),
            }
        }
    }
    let plain = |texts: Vec<Named>| texts.into_iter().map(|(text, _)| text).collect();
    Some(CommandSpec { command: plain(command), inputs: plain(inputs), outputs: plain(outputs), env })
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
        if word && !known.contains(&name) {
            let all: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
            let message = format!("unknown placeholder `{{{name}}}`");
            table.problem(span.clone(), message, Some(format!("known here: {}", all.join(" "))));
        }
    }
}

fn scales(table: &Section<'_, '_>) -> Option<ScaleChoice> {
    let value: Value<'_> = table.get("scales")?;
    match value.value {
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
        _ => names(table, "scales", ScaleName::new).map(ScaleChoice::Named),
    }
}

fn names<T, E: std::fmt::Display>(
    table: &Section<'_, '_>,
    key: &'static str,
    make: impl Fn(&str) -> Result<T, E>,
) -> Option<Vec<T>> {
    let mut names = Vec::new();
    for (text, span) in table.texts(key)? {
        match make(&text) {
            Ok(name) => names.push(name),
            Err(error) => table.problem(span, error.to_string(), None),
        }
    }
    Some(names)
}

/// Names of tasks become their places in the file.
fn link(top: &Section<'_, '_>, tasks: Vec<Unlinked>) -> Vec<TaskSpec> {
    let known: Vec<String> = tasks.iter().map(|task| task.spec.name.clone()).collect();
    let find = |names: &[Named]| -> Vec<usize> {
        let mut found = Vec::new();
        for (name, span) in names {
            match known.iter().position(|task| task == name) {
                Some(index) if !found.contains(&index) => found.push(index),
                Some(_) => top.problem(span.clone(), format!("`{name}` stands here twice"), None),
                None => {
                    let hint =
                        nearest(name, known.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
                    top.problem(span.clone(), format!("there is no task `{name}`"), hint);
                }
            }
        }
        found
    };
    tasks.into_iter().map(|task| TaskSpec { needs: find(&task.needs), after: find(&task.after), ..task.spec }).collect()
}

/// Follows `needs` and `after`; each cycle is told once, from its first task in the file.
fn cycles(top: &Section<'_, '_>, tasks: &[TaskSpec]) {
    fn visit(task: usize, tasks: &[TaskSpec], state: &mut [u8], way: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
        state[task] = 1;
        way.push(task);
        for &next in tasks[task].needs.iter().chain(&tasks[task].after) {
            if state[next] == 1 {
                let start = way.iter().position(|&on| on == next).unwrap_or_default();
                found.push(way[start..].to_vec());
            } else if state[next] == 0 {
                visit(next, tasks, state, way, found);
            }
        }
        way.pop();
        state[task] = 2;
    }
    let mut found = Vec::new();
    let mut state = vec![0; tasks.len()];
    for task in 0..tasks.len() {
        if state[task] == 0 {
            visit(task, tasks, &mut state, &mut Vec::new(), &mut found);
        }
    }
    for cycle in found {
        let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|&task| tasks[task].name.as_str()).collect();
        top.problem(
            tasks[cycle[0]].span.clone(),
            format!("the tasks wait for each other: {}", names.join(" -> ")),
            None,
        );
    }
}

/// Two tasks that would make the same files.
fn one_maker(top: &Section<'_, '_>, tasks: &[TaskSpec]) {
    for (index, task) in tasks.iter().enumerate() {
        for other in &tasks[..index] {
            let same = match (&task.action, &other.action) {
                (Action::Command(a), Action::Command(b)) => {
                    a.outputs.iter().find(|output| b.outputs.contains(output)).cloned()
                }
                (a, b) if a == b => meet(task, other).then(|| format!("what action \"{}\" makes", a.word())),
                _ => None,
            };
            if let Some(output) = same {
                let hint = Some("give them different `scales`, `servers` or outputs".to_owned());
                top.problem(
                    task.span.clone(),
                    format!("`{}` and `{}` both make {output}", other.name, task.name),
                    hint,
                );
            }
        }
    }
}

/// Whether two tasks of one action share an instance.
fn meet(a: &TaskSpec, b: &TaskSpec) -> bool {
    let servers = match (&a.servers, &b.servers) {
        (Some(a), Some(b)) => a.iter().any(|server| b.contains(server)),
        _ => true,
    };
    let all = ScaleChoice::All;
    let scales = match (a.scales.as_ref().unwrap_or(&all), b.scales.as_ref().unwrap_or(&all)) {
        (ScaleChoice::Named(a), ScaleChoice::Named(b)) => a.iter().any(|scale| b.contains(scale)),
        // Which of the two kinds a named scale is, only the server knows.
        (a, b) => a == b || *a == all || *b == all,
    };
    servers && scales
}

impl Section<'_, '_> {
    /// A text, as a list of one.
    fn texts_or_one(&self, key: &'static str) -> Vec<Named> {
        let value = self.get(key);
        let text = self.text(key);
        value.zip(text).map(|(value, text)| (text, value.span())).into_iter().collect()
    }
}

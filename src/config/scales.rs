//! config/scales: one file per study, made [`Studies`]. The files that `init` writes are built in.

mod columns;
mod scores;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDateTime;

use crate::config::error::{Problems, Source};
use crate::config::section::{Section, Value, nearest, parse};
use crate::study::checks::catalogue::RULES;
use crate::study::checks::{Settings, Severity};
use crate::study::name::ScaleName;
use crate::study::scale::{
    Conditions, Duplicates, Enrolment, Scale, ScaleKind, ScheduledTask, Screening, Session, Studies, Study, digest,
};

/// Name below config/scales and text of every definition that comes with mtdata.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("calm.toml", include_str!("../../config/scales/calm.toml")),
    ("kaiser.toml", include_str!("../../config/scales/kaiser.toml")),
    ("mindtrails.toml", include_str!("../../config/scales/mindtrails.toml")),
    ("templeton.toml", include_str!("../../config/scales/templeton.toml")),
];

/// Reads every file of the folder; a missing folder holds no studies.
pub fn load(folder: &Path, problems: &RefCell<Problems>) -> Studies {
    let mut studies = Studies::new();
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let source = problems.borrow_mut().read(&path);
        if let Some(study) = source.and_then(|source| read(&name, &source, problems)) {
            studies.insert(name, study);
        }
    }
    studies
}

/// Reads one study.
pub fn read(name: &str, source: &Source, problems: &RefCell<Problems>) -> Option<Study> {
    let document = parse(source, problems)?;
    let top = Section::new(&source.path, document.get_ref(), document.span(), problems);
    let policies = [("first", Duplicates::First), ("last", Duplicates::Last), ("all", Duplicates::All)];
    let mut study = Study {
        name: name.to_owned(),
        title: top.text("title").unwrap_or_else(|| name.to_owned()),
        digest: String::new(),
        frame_digest: String::new(),
        duplicates: top.word("duplicates", &policies).unwrap_or_default(),
        sessions: sessions(&top),
        special_sessions: plain(&top, "special_sessions"),
        screening: top.section("screening").map(screening),
        enrolment: top.section("enrolment").and_then(enrolment),
        conditions: top.section("conditions").map(conditions),
        rules: top.section("rule").map(|section| rules(&section)).unwrap_or_default(),
        scales: BTreeMap::new(),
    };
    let variants = top.texts("variants").unwrap_or_default();
    if let Some(section) = top.section("scale") {
        for (scale, span, value) in section.entries() {
            let Some(table) = section.below(scale, value) else { continue };
            match ScaleName::new(scale) {
                Ok(scale) => drop(study.scales.insert(scale.clone(), read_scale(&scale, &table, &variants))),
                Err(error) => section.problem(span, error.to_string(), None),
            }
            table.end();
        }
    }
    check_variants(&top, &variants, &study);
    check_names(&top, &study);
    study.frame_digest = digest(&(&study.sessions, &study.special_sessions, &study.screening, &study.rules));
    study.digest = digest(&study);
    top.end();
    Some(study)
}

fn plain(table: &Section<'_, '_>, key: &'static str) -> Vec<String> {
    table.texts(key).unwrap_or_default().into_iter().map(|(text, _)| text).collect()
}

/// An origin that no score has is a mistake: nothing would be computed.
fn check_variants(top: &Section<'_, '_>, variants: &[(String, std::ops::Range<usize>)], study: &Study) {
    let scores = || study.scales.values().flat_map(|scale| &scale.scores);
    let origins = || scores().flat_map(|score| &score.origins).map(String::as_str);
    for (variant, span) in variants {
        if !origins().any(|origin| origin == variant) {
            let near = nearest(variant, origins()).map(|near| format!("did you mean `{near}`?"));
            top.problem(span.clone(), format!("no score here is of the origin `{variant}`"), near);
        }
    }
}

/// The schedule's scales and the marked sessions have to be there.
fn check_names(top: &Section<'_, '_>, study: &Study) {
    let known = || study.scales.keys().map(ScaleName::as_str);
    let scheduled = study.sessions.iter().flat_map(|session| &session.tasks).filter_map(|task| task.scale.as_ref());
    let screened = study.screening.iter().flat_map(|screening| &screening.scales);
    let mut unknown: Vec<&ScaleName> =
        scheduled.chain(screened).filter(|scale| !study.scales.contains_key(*scale)).collect();
    unknown.sort();
    unknown.dedup();
    for scale in unknown {
        let near = nearest(scale.as_str(), known()).map(|near| format!("did you mean `{near}`?"));
        top.problem(top.span(), format!("the schedule names the scale `{scale}`, which is not defined here"), near);
    }
    let fixed = study.conditions.as_ref().and_then(|conditions| conditions.fixed_after.as_deref());
    if let Some(session) = fixed.filter(|session| study.session(session).is_none()) {
        let near = nearest(session, study.sessions.iter().map(|session| session.name.as_str()));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        top.problem(
            top.span(),
            format!("`fixed_after` names the session `{session}`, which is not defined here"),
            hint,
        );
    }
}

fn screening(table: Section<'_, '_>) -> Screening {
    let mut scales = Vec::new();
    for (text, span) in table.texts("scales").unwrap_or_default() {
        match ScaleName::new(&text) {
            Ok(scale) => scales.push(scale),
            Err(error) => table.problem(span, error.to_string(), None),
        }
    }
    let screening =
        Screening { scales, sessions: plain(&table, "sessions"), key: table.required_text("key").unwrap_or_default() };
    table.end();
    screening
}

fn enrolment(table: Section<'_, '_>) -> Option<Enrolment> {
    let moment = |key| {
        let place = table.get(key).map_or(0..0, |value| value.span());
        let text = table.text(key)?;
        let moment = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M").ok();
        if moment.is_none() {
            table.problem(place, format!("`{key}` must be a moment like \"2019-03-18T17:00\""), None);
        }
        moment
    };
    let (from, until) = (moment("from"), moment("until"));
    let place = table.get("timezone").map_or_else(|| table.span(), |value| value.span());
    let zone = table.required_text("timezone")?;
    let timezone = zone.parse().ok();
    if timezone.is_none() {
        let hint = Some("a name of the tz database: \"America/New_York\"".to_owned());
        table.problem(place, format!("`{zone}` is no time zone"), hint);
    }
    let least = table.whole("least_participant", 0, u64::from(u32::MAX)).and_then(|least| i64::try_from(least).ok());
    table.end();
    Some(Enrolment { from, until, timezone: timezone?, least_participant: least })
}

fn conditions(table: Section<'_, '_>) -> Conditions {
    let conditions = Conditions {
        column: table.required_text("column").unwrap_or_default(),
        control: plain(&table, "control"),
        treatment: plain(&table, "treatment"),
        before: plain(&table, "before"),
        fixed_after: table.text("fixed_after"),
    };
    table.end();
    conditions
}

fn rules(section: &Section<'_, '_>) -> BTreeMap<String, Settings> {
    let severities = [("error", Severity::Error), ("warning", Severity::Warning), ("notice", Severity::Notice)];
    let mut all = BTreeMap::new();
    for (name, span, value) in section.entries() {
        let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
            let near = nearest(name, RULES.iter().map(|rule| rule.name)).unwrap_or("R10");
            section.problem(span, format!("there is no rule `{name}`"), Some(format!("did you mean `{near}`?")));
            continue;
        };
        let Some(table) = section.below(name, value) else { continue };
        let threshold = |(name, ..): &(&'static str, f64, &str)| {
            let value = table.get(name)?;
            Some(((*name).to_owned(), number(&table, name, value)?))
        };
        let settings = Settings {
            off: table.boolean("off").unwrap_or(false),
            severity: table.word("severity", &severities),
            thresholds: rule.thresholds.iter().filter_map(threshold).collect(),
            columns: plain(&table, "columns"),
        };
        table.end();
        all.insert(name.to_owned(), settings);
    }
    all
}

fn sessions(top: &Section<'_, '_>) -> Vec<Session> {
    let Some(elements) = top.get("session").and_then(|value| value.elements()) else { return Vec::new() };
    let mut sessions: Vec<Session> = Vec::new();
    for element in elements {
        let Some(table) = top.below("session", element) else { continue };
        let place = table.get("name").map_or_else(|| table.span(), |value| value.span());
        let name = table.required_text("name").unwrap_or_default();
        if sessions.iter().any(|session| session.name == name) {
            table.problem(place, format!("the session `{name}` is there already"), None);
        }
        let tasks = table.get("tasks").and_then(|value| value.elements()).unwrap_or_default();
        let session = Session {
            display: table.text("display").unwrap_or_else(|| name.clone()),
            gap_days: table.get("gap_days").and_then(|value| number(&table, "gap_days", value)),
            tasks: tasks.into_iter().filter_map(|value| scheduled(&table, value)).collect(),
            name,
        };
        table.end();
        sessions.push(session);
    }
    sessions
}

fn scheduled(table: &Section<'_, '_>, value: Value<'_>) -> Option<ScheduledTask> {
    let task = table.below("tasks", value)?;
    let name = task.required_text("name")?;
    let place = task.get("scale").map_or(0..0, |value| value.span());
    let scale = task.text("scale").and_then(|scale| match ScaleName::new(&scale) {
        Ok(scale) => Some(scale),
        Err(error) => {
            task.problem(place, error.to_string(), None);
            None
        }
    });
    let scheduled = ScheduledTask { name, scale, tag: task.text("tag") };
    task.end();
    Some(scheduled)
}

fn number(table: &Section<'_, '_>, key: &str, value: Value<'_>) -> Option<f64> {
    let read = value.number();
    if read.is_none() {
        table.problem(value.span(), format!("`{key}` must be a number"), None);
    }
    read
}

/// `[LEAST, MOST]`.
fn range(table: &Section<'_, '_>) -> Option<(f64, f64)> {
    let value = table.get("range")?;
    let ends: Vec<f64> =
        value.elements().unwrap_or_default().into_iter().filter_map(|end| number(table, "range", end)).collect();
    if let [least, most] = ends.as_slice()
        && least <= most
    {
        return Some((*least, *most));
    }
    table.problem(value.span(), "`range` must be [LEAST, MOST]", None);
    None
}

fn read_scale(name: &ScaleName, table: &Section<'_, '_>, variants: &[(String, std::ops::Range<usize>)]) -> Scale {
    let kinds = [
        ("questionnaire", ScaleKind::Questionnaire),
        ("log", ScaleKind::Log),
        ("participants", ScaleKind::Participants),
        ("trials", ScaleKind::Trials),
    ];
    let (items, columns) = columns::read(table);
    let mut scale = Scale {
        title: table.text("title").unwrap_or_else(|| name.to_string()),
        kind: table.word("kind", &kinds).unwrap_or_default(),
        digest: String::new(),
        key: table
            .texts("key")
            .map_or_else(|| vec!["session".to_owned()], |key| key.into_iter().map(|(k, _)| k).collect()),
        times: table.whole("times", 1, 100).and_then(|times| usize::try_from(times).ok()).unwrap_or(1),
        scores: scores::read(table, &items, &columns),
        columns,
    };
    for score in &mut scale.scores {
        score.selected |= variants.iter().any(|(variant, _)| score.origins.contains(variant));
    }
    scale.digest = digest(&scale);
    scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::scale::ColumnKind::{Choice, Number};

    fn study(text: &str) -> (Option<Study>, Problems) {
        let problems = RefCell::new(Problems::default());
        let source = Source { path: "one.toml".into(), text: text.to_owned() };
        problems.borrow_mut().sources.push(source.clone());
        let study = read("one", &source, &problems);
        (study, problems.into_inner())
    }

    fn mistakes(text: &str) -> Vec<String> {
        study(text).1.problems.iter().map(|problem| problem.message.clone()).collect()
    }

    #[test]
    fn the_built_in_definitions_are_sound() {
        for (name, text) in BUILT_IN {
            let (study, problems) = study(text);
            let study = study.unwrap();
            assert!(problems.problems.is_empty(), "{name}: {problems}");
            assert!(study.sessions.len() > 4 && study.scales.len() > 10, "{name}");
            for (name, scale) in &study.scales {
                for score in &scale.scores {
                    assert!(score.items.iter().chain(&score.over).all(|item| scale.column(item).is_some()), "{name}");
                }
            }
        }
    }

    #[test]
    fn every_scale_of_both_studies_is_there() {
        let scales = |name: &str| {
            let text = BUILT_IN.iter().find(|(file, _)| *file == name).unwrap().1;
            study(text).0.unwrap().scales
        };
        let (managing, calm) = (scales("mindtrails.toml"), scales("calm.toml"));
        // 23 and 26 questionnaires, and the nine tables that every study has.
        assert_eq!((managing.len(), calm.len()), (23 + 9, 26 + 9));
        let range = |scale: &Scale, column: &str| scale.column(column).unwrap().kind.clone();
        let [rr, credibility] = ["RR", "Credibility"].map(|name| &managing[&ScaleName::new(name).unwrap()]);
        assert_eq!(range(rr, "job_NS"), Number { least: Some(0.0), most: Some(3.0) });
        assert_eq!(
            range(&calm[&ScaleName::new("RR").unwrap()], "job_NS"),
            Number { least: Some(1.0), most: Some(4.0) }
        );
        assert_eq!(range(credibility, "logical"), Choice(["0", "1", "2", "3", "5"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn every_score_stands_in_the_document() {
        let document = include_str!("../../docs/scoring.md");
        for (file, text) in BUILT_IN {
            for (scale, defined) in study(text).0.unwrap().scales {
                let part = document.split("\n### ").find(|part| part.starts_with(&format!("{scale}: ")));
                for score in defined.scores {
                    let name = format!("`{}`", score.name);
                    let least = format!(" | {} | ", score.min_valid);
                    let study = file.trim_end_matches(".toml");
                    let row = part.into_iter().flat_map(str::lines).find(|line| {
                        let cells: Vec<&str> = line.split(" | ").collect();
                        cells[0].contains(&name) && cells.get(1).is_some_and(|studies| studies.contains(study))
                    });
                    let row = row.unwrap_or_else(|| panic!("{file}: {scale} {name} is missing"));
                    assert!(score.method.is_of_scores() || row.contains(&least), "{file}: {name} in {row}");
                    let source = row.split(" | ").nth(5).unwrap();
                    let wanted = if score.selected { "mtdata".to_owned() } else { score.origins.join(", ") };
                    assert!(source == wanted || source == score.origins.join(", "), "{file}: {name} in {row}");
                }
            }
        }
    }

    #[test]
    fn comments_do_not_make_a_definition_another() {
        let text = "[scale.OA]\nitems = [\"a\"]\nrange = [0, 4]\n";
        let digest = |text: &str| study(text).0.unwrap().digest;
        assert_eq!(digest(text), digest(&format!("# why\n{text}")));
        assert_ne!(digest(text), digest(&text.replace('4', "5")));
    }

    #[test]
    fn variants_are_made_when_their_origin_is_named() {
        let text = "variants = [\"paper\"]\n[scale.OA]\nitems = [\"a\"]\n[[scale.OA.score]]\nname = \"x\"\nrule = \"sum\"\n\
                    origin = \"paper\"\nselected = false\n";
        let (one, problems) = study(text);
        assert!(problems.problems.is_empty(), "{problems}");
        assert!(one.unwrap().scales[&ScaleName::new("OA").unwrap()].scores[0].selected);
        let several = study(&text.replace("origin = \"paper\"", "origin = [\"thesis\", \"paper\"]"));
        assert!(several.0.unwrap().scales[&ScaleName::new("OA").unwrap()].scores[0].selected);
        assert_eq!(
            mistakes(&text.replace("origin = \"paper\"", "origin = 3"))[0],
            "`origin` must be a text, not integer"
        );
        assert_eq!(mistakes(&text.replace("[\"paper\"]", "[\"papers\"]")), ["no score here is of the origin `papers`"]);
    }

    #[test]
    fn mistakes_name_their_place() {
        let scale = "[scale.OA]\nitems = [\"a\", \"b\"]\n";
        for (text, message) in [
            (format!("{scale}rnage = [0, 4]\n"), "unknown key `rnage`"),
            (format!("{scale}range = [4, 0]\n"), "`range` must be [LEAST, MOST]"),
            (format!("{scale}[[scale.OA.score]]\nname = \"x\"\nrule = \"summ\"\n"), "`rule` must be one of"),
            (
                format!("{scale}[[scale.OA.score]]\nname = \"x\"\nrule = \"sum\"\nitems = [\"c\"]\n"),
                "the score `x` counts `c`, which this scale does not have",
            ),
            (
                format!("{scale}[[scale.OA.score]]\nname = \"x\"\nrule = \"sum\"\nreverse = [\"a\"]\n"),
                "`a` has no range to be reversed in",
            ),
            (
                format!(
                    "{scale}[[scale.OA.score]]\nname = \"x\"\nrule = \"sum\"\n\
                     [[scale.OA.score]]\nname = \"x_n_valid\"\nrule = \"sum\"\n"
                ),
                "the name `x_n_valid` is taken",
            ),
            (format!("{scale}[scale.OA.column]\nc = {{ range = [0, 1] }}\n"), "there is no column `c`"),
            ("[rule.R99]\noff = true\n".to_owned(), "there is no rule `R99`"),
            ("[rule.R17]\nminutse = 3\n".to_owned(), "unknown key `minutse`"),
            (
                "[[session]]\nname = \"a\"\ntasks = [{ name = \"x\", scale = \"XY\" }]\n".to_owned(),
                "the schedule names the scale `XY`, which is not defined here",
            ),
            ("[enrolment]\nfrom = \"soon\"\ntimezone = \"UTC\"\n".to_owned(), "`from` must be a moment"),
        ] {
            let found = mistakes(&text);
            assert!(found.len() == 1 && found[0].starts_with(message), "{text}: {found:?}");
        }
    }
}

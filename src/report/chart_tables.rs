//! The numbers behind the page's pictures, as tables.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Duration, NaiveDate};

use crate::report::column::ColumnStat;
use crate::report::histogram::{BESIDE, Bins, histogram};
use crate::report::model::{Model, percent};
use crate::report::sheet::{CountGroup, HIDDEN, Sheet};
use crate::report::trajectory::Trajectory;
use crate::study::disclosure_control::DisclosureControl;
use crate::study::scale::ScaleKind;

/// A week of the study.
#[derive(Debug, Clone, Copy)]
pub struct Week {
    pub monday: NaiveDate,
    /// Of questionnaires, dated in it.
    pub entries: u64,
    /// By its end.
    pub enrolled: u64,
}

/// From the first week with anything to the last; weeks without anything are there, too.
pub fn weeks(model: &Model) -> Vec<Week> {
    let monday = |day: NaiveDate| day - Duration::days(i64::from(day.weekday().num_days_from_monday()));
    let mut entries: BTreeMap<NaiveDate, u64> = BTreeMap::new();
    for table in model.tables.iter().filter(|table| table.kind == ScaleKind::Questionnaire) {
        for (day, count) in &table.days {
            *entries.entry(monday(*day)).or_default() += count;
        }
    }
    let mut enrolled: BTreeMap<NaiveDate, u64> = BTreeMap::new();
    let zone = model.now.map(|now| *now.offset());
    for person in model.journeys.people.iter().filter(|person| person.counts) {
        let moment = person.enrolled.and_then(DateTime::from_timestamp_millis).zip(zone);
        if let Some((moment, zone)) = moment {
            *enrolled.entry(monday(moment.with_timezone(&zone).date_naive())).or_default() += 1;
        }
    }
    let ends = entries.keys().chain(enrolled.keys());
    let (Some(first), Some(last)) = (ends.clone().min(), ends.max()) else { return Vec::new() };
    let mut so_far = 0;
    first
        .iter_weeks()
        .take_while(|week| week <= last)
        .map(|monday| {
            so_far += enrolled.get(&monday).copied().unwrap_or_default();
            Week { monday, entries: entries.get(&monday).copied().unwrap_or_default(), enrolled: so_far }
        })
        .collect()
}

/// weeks.csv
pub fn over_time(model: &Model) -> Sheet {
    let count = |count| model.disclosure.count(count);
    let row = |week: Week| vec![week.monday.to_string(), count(week.entries), count(week.enrolled)];
    Sheet { header: &["week", "entries", "enrolled"], rows: weeks(model).into_iter().map(row).collect() }
}

/// sessions.csv
pub fn sessions(model: &Model) -> Sheet {
    let header = &["questionnaire", "session", "due", "done", "missing", "percent_missing"];
    let mut rows = Vec::new();
    for scale in &model.scheduled {
        for (session, (name, _)) in model.sessions.iter().enumerate() {
            let presence = model.presence(scale, Some(session));
            if presence.due == 0 {
                continue;
            }
            let mut row = vec![scale.clone(), name.clone()];
            row.extend([presence.due, presence.done, presence.missing()].map(|count| count.to_string()));
            row.push(percent(presence.missing(), presence.due));
            rows.push(row);
        }
    }
    let group = CountGroup { counts: &["due", "done", "missing"], with: &["percent_missing"] };
    Sheet { header, rows }.suppress_small(model.disclosure, &[group])
}

/// Items whose answers are drawn: those with a range.
pub fn has_picture(column: &ColumnStat) -> bool {
    column.range.is_some() && column.entries > 0 && column.is_counted()
}

/// answers.csv
pub fn answers(model: &Model) -> Sheet {
    let header = &["questionnaire", "column", "answer", "times", "entries", "percent"];
    let mut rows = Vec::new();
    for table in &model.tables {
        for column in table.columns.iter().filter(|column| has_picture(column)) {
            let Some(bins) = column.range.map(Bins::new) else { continue };
            let counts = histogram(column, bins);
            let told = !counts.iter().any(|count| model.disclosure.hides(*count));
            let names = bins.names().into_iter().chain(BESIDE.map(str::to_owned));
            for (name, count) in names.zip(counts) {
                let mut row = vec![table.scale.clone(), column.name.clone(), name];
                row.extend(times(count, column.entries, told, model.disclosure));
                rows.push(row);
            }
        }
    }
    Sheet { header, rows }
}

/// `told`: false when a small count of the same item could be computed from exact ones.
fn times(count: u64, entries: u64, told: bool, disclosure: DisclosureControl) -> [String; 3] {
    let share = count as f64 * 100.0 / entries.max(1) as f64;
    match (told, disclosure.hides(count)) {
        (true, _) => [count.to_string(), entries.to_string(), percent(count, entries)],
        (false, true) => [disclosure.hidden(), HIDDEN.to_owned(), String::new()],
        (false, false) => [HIDDEN.to_owned(), HIDDEN.to_owned(), format!("{share:.0}")],
    }
}

/// What is said of a score in each session.
pub const POINT: [&str; 8] = ["session", "n", "mean", "least", "lower_quartile", "median", "upper_quartile", "most"];

/// A score, session by session.
pub fn points(score: &Trajectory, disclosure: DisclosureControl) -> Vec<Vec<String>> {
    let row = |point: &crate::report::trajectory::Point| {
        let mut row = vec![point.session.clone(), disclosure.count(point.n)];
        if disclosure.hides(point.n) {
            row.resize(POINT.len(), String::new());
            return row;
        }
        let numbers = [point.mean, point.least, point.lower, point.median, point.upper, point.most];
        row.extend(numbers.map(|number| format!("{number:.3}")));
        row
    };
    score.points.iter().map(row).collect()
}

/// scores.csv
pub fn scores(model: &Model) -> Sheet {
    let header =
        &["scale", "score", "session", "n", "mean", "least", "lower_quartile", "median", "upper_quartile", "most"];
    let all = model.scored.iter().flat_map(|scored| &scored.trajectories);
    let rows = all.flat_map(|score| {
        let of = [score.scale.clone(), score.score.clone()];
        points(score, model.disclosure).into_iter().map(move |row| of.iter().cloned().chain(row).collect())
    });
    Sheet { header, rows: rows.collect() }
}

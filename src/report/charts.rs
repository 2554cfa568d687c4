//! Pictures as SVG, drawn by plotters in placeholder colours that the page's style gives their meaning, light or dark.

use chrono::{Duration, NaiveDate};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::attrition::Arm;
use crate::report::trajectory::{Point, Trajectory};
use crate::study::disclosure_control::DisclosureControl;

/// The page's style knows these by their letters; no real colour is so dark.
const INK: RGBColor = RGBColor(1, 1, 1);
const LINE: RGBColor = RGBColor(2, 2, 2);
const SERIES: [RGBColor; 6] = [
    RGBColor(16, 16, 16),
    RGBColor(17, 17, 17),
    RGBColor(18, 18, 18),
    RGBColor(19, 19, 19),
    RGBColor(20, 20, 20),
    RGBColor(21, 21, 21),
];

/// Over the whole width of the page, and two beside each other.
const WIDE: u32 = 1080;
const HALF: u32 = 540;

type Drawn<T> = Result<T, Box<dyn std::error::Error>>;
type Area<'s> = DrawingArea<SVGBackend<'s>, Shift>;

/// Which series colour a line has.
pub fn series(number: usize) -> usize {
    number % SERIES.len()
}

/// Runs `draw` on an empty picture; `None` when it cannot be drawn.
fn picture(width: u32, height: u32, label: &str, draw: impl FnOnce(&Area<'_>) -> Drawn<()>) -> Option<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        draw(&root).ok()?;
        root.present().ok()?;
    }
    // The page gives the size; the drawing keeps its proportions.
    let start = svg.find("<svg")?;
    let label = maud::html! { (label) }.into_string();
    let size = format!("width=\"{width}\" height=\"{height}\"");
    Some(svg[start..].replacen(&size, &format!("role=\"img\" aria-label=\"{label}\""), 1).replace('\n', ""))
}

fn text<'t>() -> TextStyle<'t> {
    ("sans-serif", 12).into_font().color(&INK)
}

/// A chart with named places along the horizontal axis, and so many dots of room above it.
fn named<'a, 's>(
    root: &'a Area<'s>,
    names: &[String],
    heights: std::ops::Range<f64>,
    what: &str,
    above: u32,
) -> Drawn<
    ChartContext<
        'a,
        SVGBackend<'s>,
        Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
    >,
> {
    let last = names.len().saturating_sub(1) as f64;
    let decimals = usize::from(heights.end - heights.start < 5.0);
    let mut chart = ChartBuilder::on(root)
        .margin(10)
        .margin_top(10 + above)
        .margin_right(24)
        .x_label_area_size(30)
        .y_label_area_size(52)
        .build_cartesian_2d(-0.25..last + 0.25, heights)?;
    // About seven dots a letter.
    let letters = (root.dim_in_pixel().0 as usize / (names.len().max(1) * 7)).clamp(4, 20);
    let name = |at: &f64| {
        let place = at.round();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a place in the list, checked by get
        let name = (place >= 0.0 && (place - at).abs() < 0.01).then(|| names.get(place as usize)).flatten();
        name.map(|name| shorten(name, letters)).unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(LINE)
        .axis_style(LINE)
        .x_labels(names.len() * 4)
        .x_label_formatter(&name)
        .y_labels(8)
        .y_label_formatter(&|value| format!("{value:.decimals$}"))
        .y_desc(what)
        .axis_desc_style(text())
        .label_style(text())
        .draw()?;
    Ok(chart)
}

/// Leaves out the middle: what tells names apart often stands at their end.
fn shorten(name: &str, most: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return name.to_owned();
    }
    let end = most.saturating_sub(1) / 2;
    let start = most.saturating_sub(1) - end;
    letters[..start].iter().chain(&['…']).chain(&letters[letters.len() - end..]).collect()
}

/// Percent of those enrolled who reached each session, a line per condition.
pub fn survival(arms: &[Arm], sessions: &[String], disclosure: DisclosureControl) -> Option<String> {
    let lines: Vec<(usize, Vec<(f64, f64)>)> = arms
        .iter()
        .enumerate()
        .filter(|(_, arm)| arm.enrolled > 0)
        .map(|(number, arm)| {
            let share = |part: u64| part as f64 * 100.0 / arm.enrolled as f64;
            let told = arm.stages.iter().enumerate().filter(|(_, stage)| stage.is_told(disclosure));
            (number, told.map(|(place, stage)| (place as f64, share(stage.reached))).collect())
        })
        .collect();
    if sessions.is_empty() || lines.is_empty() {
        return None;
    }
    picture(WIDE, 320, "Percent of those enrolled who reached each session", |root| {
        let mut chart = named(root, sessions, 0.0..105.0, "percent of those enrolled", 0)?;
        for (number, points) in &lines {
            let color = SERIES[series(*number)];
            let width = if *number == 0 { 3 } else { 2 };
            chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(width)))?;
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, color.filled())))?;
        }
        Ok(())
    })
}

/// Entries per week as bars and everyone enrolled so far as a line, each against its own axis.
pub fn over_time(weeks: &[(NaiveDate, u64, u64)]) -> Option<String> {
    let (first, last) = (weeks.first()?.0, weeks.last()?.0 + Duration::days(7));
    let most = weeks.iter().map(|week| week.1).max().unwrap_or_default().max(1);
    let enrolled = weeks.last()?.2.max(1);
    picture(WIDE, 300, "Entries per week, and participants enrolled so far", |root| {
        let days = 0.0..(last - first).num_days() as f64;
        let mut chart = ChartBuilder::on(root)
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(52)
            .right_y_label_area_size(52)
            .build_cartesian_2d(days.clone(), 0.0..most as f64 * 1.05)?
            .set_secondary_coord(days, 0.0..enrolled as f64 * 1.05);
        #[allow(clippy::cast_possible_truncation)] // days of a study
        let date = |at: &f64| (first + Duration::days(*at as i64)).format("%-d %b %Y").to_string();
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(LINE)
            .axis_style(LINE)
            .x_labels(6)
            .x_label_formatter(&date)
            .y_labels(5)
            .y_label_formatter(&|value| format!("{value:.0}"))
            .y_desc("entries per week")
            .axis_desc_style(text())
            .label_style(text())
            .draw()?;
        chart
            .configure_secondary_axes()
            .axis_style(LINE)
            .y_labels(5)
            .y_label_formatter(&|value| format!("{value:.0}"))
            .y_desc("enrolled")
            .axis_desc_style(text())
            .label_style(text())
            .draw()?;
        let at = |day: NaiveDate| (day - first).num_days() as f64;
        chart.draw_series(weeks.iter().map(|(day, entries, _)| {
            Rectangle::new([(at(*day) + 0.5, 0.0), (at(*day) + 6.5, *entries as f64)], SERIES[0].filled())
        }))?;
        let line = weeks.iter().map(|(day, _, enrolled)| (at(*day) + 7.0, *enrolled as f64));
        chart.draw_secondary_series(LineSeries::new(line, SERIES[1].stroke_width(3)))?;
        Ok(())
    })
}

/// A score over the sessions: the middle half as a band, the median as a line, the mean as points.
pub fn trajectory(score: &Trajectory, disclosure: DisclosureControl) -> Option<String> {
    let told = || score.points.iter().filter(|point| !disclosure.hides(point.n));
    let names: Vec<String> = told().map(|point| point.session.clone()).collect();
    let least = told().map(|point| point.least).min_by(f64::total_cmp)?.min(0.0);
    let most = told().map(|point| point.most).max_by(f64::total_cmp)?.max(least + 1.0);
    picture(
        HALF,
        250,
        &format!("{} over the sessions: median, middle half, mean and number of answers", score.score),
        |root| {
            // The numbers of answers stand in a line of their own above the picture.
            let mut chart = named(root, &names, least..most, "", 14)?;
            let all: Vec<&Point> = told().collect();
            let places = || all.iter().enumerate().map(|(place, point)| (place as f64, point));
            let upper = places().map(|(place, point)| (place, point.upper));
            let lower = places().rev().map(|(place, point)| (place, point.lower));
            let band: Vec<(f64, f64)> = upper.chain(lower).collect();
            chart.draw_series([Polygon::new(band, SERIES[0].mix(0.25))])?;
            let median = places().map(|(place, point)| (place, point.median));
            chart.draw_series(LineSeries::new(median, SERIES[0].stroke_width(3)))?;
            chart
                .draw_series(places().map(|(place, point)| Circle::new((place, point.mean), 4, SERIES[1].filled())))?;
            let count = text().pos(Pos::new(HPos::Center, VPos::Top));
            for (place, point) in places() {
                let across = chart.backend_coord(&(place, most)).0;
                root.draw(&Text::new(format!("n {}", point.n), (across, 6), count.clone()))?;
            }
            Ok(())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_keep_what_tells_them_apart() {
        assert_eq!(shorten("PostFollowUp2", 10), "PostF…wUp2");
        assert_eq!(shorten("PostFollowUp", 10), "PostF…owUp");
        assert_eq!(shorten("preTest", 10), "preTest");
        assert_eq!(shorten("ätherisch", 4), "ät…h");
    }
}

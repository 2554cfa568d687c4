//! Pictures as SVG, small enough to stand in the page.

use plotters::prelude::*;

use crate::report::model::SessionStat;

/// The attrition bars: reached and completed, session by session. `None` when there is nothing to draw.
#[must_use]
pub fn attrition(sessions: &[SessionStat]) -> Option<String> {
    let most = sessions.iter().map(|session| session.reached).max().filter(|most| *most > 0)?;
    let mut svg = String::new();
    draw(sessions, most, &mut svg).ok()?;
    // The page gives the size; the drawing keeps its proportions.
    let start = svg.find("<svg")?;
    Some(svg[start..].replacen("width=\"760\" height=\"280\"", "role=\"img\" aria-label=\"Attrition\"", 1))
}

fn draw(sessions: &[SessionStat], most: u64, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (760, 280)).into_drawing_area();
    let count = u32::try_from(sessions.len())?;
    let mut chart = ChartBuilder::on(&root)
        .margin(8)
        .x_label_area_size(34)
        .y_label_area_size(40)
        .build_cartesian_2d(0_f64..f64::from(count), 0_f64..most as f64 * 1.05)?;
    let name = |at: &f64| {
        let index = (0..sessions.len()).find(|index| (*index as f64 - at).abs() < 0.01);
        index.map(|index| sessions[index].name.clone()).unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(128, 138, 150).mix(0.25))
        .axis_style(RGBColor(128, 138, 150))
        .x_labels(sessions.len() + 1)
        .x_label_formatter(&name)
        .x_label_offset(30)
        .y_labels(5)
        .y_label_formatter(&|value| format!("{value:.0}"))
        .label_style(("sans-serif", 11).into_font().color(&RGBColor(110, 120, 135)))
        .draw()?;
    let bar = |from: f64, to: f64, height: u64, color: RGBColor| {
        Rectangle::new([(from, 0.0), (to, height as f64)], color.filled())
    };
    for (index, session) in sessions.iter().enumerate() {
        let x = index as f64;
        chart.draw_series([bar(x + 0.12, x + 0.48, session.reached, RGBColor(143, 170, 204))])?;
        chart.draw_series([bar(x + 0.52, x + 0.88, session.completed, RGBColor(46, 94, 153))])?;
    }
    root.present()?;
    drop(chart);
    Ok(())
}

//! The missingness pictures: questionnaire by session, and participant by questionnaire.

use maud::{Markup, html};

use super::sheets::json;
use super::{heat, shown_percent};
use crate::report::journey::Presence;
use crate::report::model::{Model, percent};
use crate::study::disclosure_control::DisclosureControl;

pub fn missing(model: &Model) -> Markup {
    html! {
        h2 id="missing" { "Missing questionnaires" }
        @if model.scheduled.is_empty() { p { "No questionnaire of a schedule has a table yet." } } @else {
            h3 id="by-session" { "By session" }
            p { "Percent of the participants for whom it was due and who lack it; the stronger the colour, the more. A dash: not due there for anyone." }
            (by_session(model))
            h3 id="by-participant" { "By participant" }
            p { "How many of the due ones are missing. A pale cell: all there. A dot: not due yet." }
            (by_participant(model))
        }
    }
}

fn by_session(model: &Model) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-labelledby="by-session" {
            table.heat data-csv="missing-by-session" {
                thead { tr { th scope="col" { "questionnaire" } @for (name, display) in &model.sessions { th scope="col" title=(display) { (name) } } th scope="col" { "all" } } }
                tbody {
                    @for scale in &model.scheduled {
                        tr {
                            th scope="row" { (scale) }
                            @for session in 0..model.sessions.len() { (cell(model.presence(scale, Some(session)), model.disclosure)) }
                            (cell(model.presence(scale, None), model.disclosure))
                        }
                    }
                }
            }
        }
    }
}

fn cell(presence: Presence, disclosure: DisclosureControl) -> Markup {
    if [presence.due, presence.missing(), presence.done].into_iter().any(|count| disclosure.hides(count)) {
        let title = format!("a count of fewer than {}", disclosure.least_cell);
        return html! { td.none title=(title) { (disclosure.hidden()) } };
    }
    let title = format!(
        "{} of {} missing ({})",
        presence.missing(),
        presence.due,
        shown_percent(presence.missing(), presence.due)
    );
    heat(presence.missing(), presence.due, &percent(presence.missing(), presence.due), &title)
}

/// Pairs of due and missing as one letter: the script reads them back.
fn letter(presence: Presence) -> char {
    // More due than this is told in proportion.
    const MOST: u64 = 25;
    let (due, missing) = match presence.due {
        due if due > MOST => (MOST, (presence.missing() * MOST).div_ceil(due)),
        due => (due, presence.missing()),
    };
    let place = u32::try_from(due * (due + 1) / 2 + missing).unwrap_or_default();
    let letters = (35..127_u8).map(char::from).filter(|letter| !"\\<>&".contains(*letter));
    let count = 92 - 4;
    match usize::try_from(place) {
        Ok(place) if place < count => letters.clone().nth(place).unwrap_or('#'),
        _ => char::from_u32(161 + place - 88).unwrap_or('#'),
    }
}

fn by_participant(model: &Model) -> Markup {
    let people: Vec<_> = model.journeys.people.iter().filter(|person| person.due > 0).collect();
    let ids: Vec<&str> = people.iter().map(|person| person.id.as_str()).collect();
    let shares: Vec<String> = people.iter().map(|person| percent(person.missing(), person.due)).collect();
    let codes: Vec<String> =
        people.iter().map(|person| person.by_scale.iter().map(|presence| letter(*presence)).collect()).collect();
    let columns = serde_json::json!([
        {"name": "participant", "values": ids},
        {"name": "percent_missing", "numeric": true, "values": shares},
        {"name": "code", "values": codes},
    ]);
    html! {
        div id="map" data-table="map" data-label="participants" data-example="participant=100" data-size="40"
            data-scales=(serde_json::json!(model.scheduled)) {
            div.scroll tabindex="0" role="region" aria-labelledby="by-participant" {
                table.heat.people {
                    thead { tr { th scope="col" { "participant" } @for scale in &model.scheduled { th scope="col" { span { (scale) } } } } }
                    tbody {}
                }
            }
            script type="application/json" { (json(&columns)) }
        }
        noscript { p { "The map needs the page's script; its numbers are in participants.csv." } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_its_own_letter_and_none_ends_a_script() {
        let mut seen = std::collections::BTreeSet::new();
        for due in 0..=25 {
            for missing in 0..=due {
                let letter = letter(Presence { due, done: due - missing, lost: 0 });
                assert!(seen.insert(letter), "{due} {missing} {letter}");
                assert!(!"\"\\<>&".contains(letter) && !letter.is_control());
            }
        }
        assert_eq!(letter(Presence { due: 100, done: 0, lost: 0 }), letter(Presence { due: 25, done: 0, lost: 0 }));
    }
}

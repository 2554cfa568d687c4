//! Tables of the page: the rows of the CSV files, the long ones as compact data that the script sorts and filters.

use std::collections::HashMap;

use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use crate::report::sheet::Sheet;

/// More different texts than this are written row by row.
const DICTIONARY: usize = 400;
/// Rows that stand in the page itself, for readers without script.
const READY: usize = 25;

/// One column as the script reads it.
#[derive(Serialize)]
struct SheetColumn<'s> {
    name: &'s str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    numeric: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'s Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<Cell<'s>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<Vec<&'s str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Vec<usize>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Cell<'s> {
    Whole(u32),
    Text(&'s str),
}

/// Where the cells of a column lead to.
#[derive(Serialize)]
pub struct Link {
    #[serde(skip)]
    pub from: &'static str,
    /// Another table of the page.
    table: &'static str,
    /// Its columns that have to equal columns of this row: theirs, ours.
    by: &'static [(&'static str, &'static str)],
}

impl Link {
    pub const fn new(from: &'static str, table: &'static str, by: &'static [(&'static str, &'static str)]) -> Self {
        Self { from, table, by }
    }
}

fn numeric(cell: &str) -> bool {
    cell.is_empty() || cell.parse::<f64>().is_ok()
}

fn column<'s>(sheet: &'s Sheet, place: usize, to: Option<&'s Link>) -> SheetColumn<'s> {
    let cells = || sheet.rows.iter().map(|row| row[place].as_str());
    let name = sheet.header[place];
    let numeric = cells().all(numeric) && cells().any(|cell| !cell.is_empty());
    let mut of: Vec<&str> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut at = Vec::with_capacity(sheet.rows.len());
    for cell in cells() {
        let next = of.len();
        let found = *places.entry(cell).or_insert(next);
        if found == next {
            of.push(cell);
        }
        at.push(found);
        if of.len() > DICTIONARY {
            break;
        }
    }
    // A dictionary pays only when texts come again.
    if of.len() * 2 < sheet.rows.len() && at.len() == sheet.rows.len() && !numeric {
        return SheetColumn { name, numeric, to, values: None, of: Some(of), at: Some(at) };
    }
    let whole = |cell: &'s str| match cell.parse::<u32>() {
        Ok(number) if number.to_string() == cell => Cell::Whole(number),
        _ => Cell::Text(cell),
    };
    SheetColumn { name, numeric, to, values: Some(cells().map(whole).collect()), of: None, at: None }
}

/// Data that stands in a script element: nothing in it can end the element.
pub fn json(value: &impl Serialize) -> PreEscaped<String> {
    let text = serde_json::to_string(value).unwrap_or_else(|_| "[]".to_owned());
    PreEscaped(text.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"))
}

/// A table that the script sorts, filters and pages.
pub fn data(name: &str, label: &str, example: &str, sheet: &Sheet, links: &[Link]) -> Markup {
    let to = |column: &str| links.iter().find(|link| link.from == column);
    let columns: Vec<SheetColumn<'_>> =
        sheet.header.iter().enumerate().map(|(place, header)| column(sheet, place, to(header))).collect();
    html! {
        div id=(name) data-table=(name) data-label=(label) data-example=(example) {
            div.scroll tabindex="0" role="region" aria-label=(label) {
                table {
                    thead { tr { @for (header, column) in sheet.header.iter().zip(&columns) { (head(header, column.numeric)) } } }
                    tbody { @for row in sheet.rows.iter().take(READY) { (line(row, &columns)) } }
                }
            }
            script type="application/json" { (json(&columns)) }
        }
    }
}

/// A table as it stands.
pub fn plain(name: &str, label: &str, sheet: &Sheet) -> Markup {
    let columns: Vec<SheetColumn<'_>> = (0..sheet.header.len()).map(|place| column(sheet, place, None)).collect();
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table data-csv=(name) {
                thead { tr { @for (header, column) in sheet.header.iter().zip(&columns) { (head(header, column.numeric)) } } }
                tbody { @for row in &sheet.rows { (line(row, &columns)) } }
            }
        }
    }
}

fn head(name: &str, numeric: bool) -> Markup {
    let shown = name.replace('_', " ");
    html! { @if numeric { th scope="col" data-value=(name) { (shown) } } @else { th.t scope="col" data-value=(name) { (shown) } } }
}

fn line(row: &[String], columns: &[SheetColumn<'_>]) -> Markup {
    html! {
        tr {
            @for (place, cell) in row.iter().enumerate() {
                @if place == 0 { th scope="row" { (cell) } }
                @else if columns[place].numeric { td { (cell) } }
                @else { td.t { (cell) } }
            }
        }
    }
}

/// These columns only.
pub fn chosen(sheet: &Sheet, names: &'static [&'static str]) -> Sheet {
    let places: Vec<usize> =
        names.iter().filter_map(|name| sheet.header.iter().position(|header| header == name)).collect();
    let pick = |row: &Vec<String>| places.iter().map(|place| row[*place].clone()).collect();
    Sheet { header: names, rows: sheet.rows.iter().map(pick).collect() }
}

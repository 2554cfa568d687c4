//! A table of text for people: as many of its columns as the terminal is wide, numbers to the right, trouble in colour.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, TableStyle};

/// From this percentage missing on a cell is yellow, and from the second red.
const SOME: f64 = 5.0;
const MUCH: f64 = 20.0;

/// A line below the header, and nothing else that is no data.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// How a table is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// In letters; `None` where nothing is as narrow as a terminal.
    pub width: Option<usize>,
    pub colour: bool,
}

/// Header and rows as text.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Sheet {
    fn numeric(&self, column: usize) -> bool {
        self.rows.iter().all(|row| row[column].is_empty() || row[column].parse::<f64>().is_ok())
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].chars().count());
        cells.chain([self.header[column].chars().count()]).max().unwrap_or_default()
    }

    /// The columns that fit side by side, those named in `first` before the others; always at least one.
    fn fitting(&self, first: &[&str], manner: Manner) -> Vec<usize> {
        let Some(most) = manner.width else { return (0..self.header.len()).collect() };
        let named = first.iter().filter_map(|name| self.header.iter().position(|header| header == name));
        let rest = (0..self.header.len()).filter(|column| !first.contains(&self.header[*column].as_str()));
        let mut left = most;
        named
            .chain(rest)
            .enumerate()
            .take_while(|(place, column)| {
                // A blank at either side, and one to the next.
                let width = self.width(*column) + 3;
                let fits = *place == 0 || width <= left;
                left = left.saturating_sub(width);
                fits
            })
            .map(|(_, column)| column)
            .collect()
    }

    /// The table, and below it how many columns had no room.
    pub fn show(&self, first: &[&str], manner: Manner) -> String {
        let columns = self.fitting(first, manner);
        let mut table = Table::new();
        table.load_style(STYLE);
        match manner.width.map(u16::try_from) {
            Some(Ok(width)) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
            _ => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        if manner.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let head = |column: &usize| Cell::new(&self.header[*column]).add_attribute(Attribute::Bold);
        table.set_header(columns.iter().map(head));
        for row in &self.rows {
            table.add_row(columns.iter().map(|column| self.cell(*column, &row[*column])));
        }
        for (place, column) in columns.iter().enumerate() {
            if let (true, Some(shown)) = (self.numeric(*column), table.column_mut(place)) {
                shown.set_cell_alignment(CellAlignment::Right);
            }
        }
        let hidden = self.header.len() - columns.len();
        if hidden == 0 {
            return table.to_string();
        }
        let noun = if hidden == 1 { "column" } else { "columns" };
        format!("{table}\n{hidden} more {noun}: a wider terminal or --csv shows all")
    }

    fn cell(&self, column: usize, text: &str) -> Cell {
        let cell = Cell::new(text);
        let missing = self.header[column].starts_with("percent") && self.header[column].ends_with("missing");
        match text.parse::<f64>() {
            Ok(share) if missing && share >= MUCH => cell.fg(Color::Red),
            Ok(share) if missing && share >= SOME => cell.fg(Color::Yellow),
            _ => cell,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sheet() -> Sheet {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        Sheet {
            header: words(&["participant", "test_account", "standing", "percent_missing"]),
            rows: vec![words(&["100", "false", "dropped out", "25.0"]), words(&["7", "false", "active", ""])],
        }
    }

    #[test]
    fn what_matters_first_gets_the_room() {
        let shown = sheet().show(&["participant", "percent_missing"], Manner { width: Some(50), colour: false });
        let header = shown.lines().find(|line| line.contains("participant")).unwrap();
        assert!(header.contains("percent_missing") && !header.contains("standing"), "{shown}");
        assert!(shown.ends_with("1 more column: a wider terminal or --csv shows all"), "{shown}");
    }

    #[test]
    fn without_a_terminal_all_is_there_and_plain() {
        let shown = sheet().show(&[], Manner::default());
        assert!(["standing", "test_account", "25.0"].iter().all(|word| shown.contains(word)), "{shown}");
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn much_missing_is_red() {
        let shown = sheet().show(&[], Manner { width: None, colour: true });
        let line = shown.lines().find(|line| line.contains("25.0")).unwrap();
        assert!(line.contains("\u{1b}[38;5;9m"), "{line:?}");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(width in 20_usize..200, cells in prop::collection::vec("[a-zäß漢0-9 ]{0,30}", 4)) {
            let mut sheet = sheet();
            sheet.rows.push(cells);
            let shown = sheet.show(&["standing"], Manner { width: Some(width), colour: false });
            let table = shown.lines().filter(|line| !line.contains("--csv"));
            prop_assert!(table.clone().all(|line| line.chars().count() <= width), "{shown}");
        }
    }
}

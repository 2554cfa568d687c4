//! What changed in a table's shape: told on the day on which a column is new, gone, or holds values of another kind.
//!
//! A day's table is set beside those of the days before it and beside its own former state, so that each change is told
//! once. What changed for good stands in checks.csv and the report (rule S8), with the day since when.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::code::Code;
use crate::study::cell::{KINDS, kind};
use crate::table::rows::{Cells, Rows};
use crate::task::Warning;

/// So many days back.
pub const DAYS: usize = 14;
/// So many rows of a table are looked at.
const ROWS: u64 = 1000;
/// Fewer rows say nothing about what a column lacks or usually holds.
const LEAST: u64 = 20;

/// The shape of one or some tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    rows: u64,
    /// How many cells of each kind a column has.
    columns: BTreeMap<String, [u64; KINDS.len()]>,
}

impl Shape {
    /// Takes in the beginning of a table.
    pub fn see(&mut self, table: &Path) -> io::Result<()> {
        let mut rows = Rows::open(table)?;
        let mut cells = Cells::default();
        let Some((_, row)) = rows.next_row()? else { return Ok(()) };
        cells.split(row);
        let names: Vec<String> =
            (0..cells.len()).map(|at| String::from_utf8_lossy(cells.get(row, at)).into_owned()).collect();
        let mut kinds = vec![[0; KINDS.len()]; names.len()];
        let mut seen = 0;
        while let Some((_, row)) = rows.next_row()?.filter(|_| seen < ROWS) {
            seen += 1;
            cells.split(row);
            for (at, kinds) in kinds.iter_mut().enumerate() {
                match cells.get(row, at) {
                    b"" => {}
                    cell => kinds[kind(cell)] += 1,
                }
            }
        }
        self.rows += seen;
        for (name, kinds) in names.into_iter().zip(kinds) {
            let all = self.columns.entry(name).or_default();
            all.iter_mut().zip(kinds).for_each(|(all, more)| *all += more);
        }
        Ok(())
    }

    /// The only kind of a column's values, when there are enough of them.
    fn only(&self, column: &str) -> Option<usize> {
        let kinds = self.columns.get(column)?;
        let place = kinds.iter().position(|count| *count > 0)?;
        let others = kinds.iter().skip(place + 1).any(|count| *count > 0);
        (kinds[place] >= LEAST && !others).then_some(place)
    }

    /// What this day's table has and those `before` it do not, or the reverse; nothing that its `own` former state had.
    fn changes(&self, before: &Self, own: &Self) -> Vec<String> {
        let names = |shape: &Self| shape.columns.keys().cloned().collect::<BTreeSet<String>>();
        let (now, then, own_names) = (names(self), names(before), names(own));
        let mut all = Vec::new();
        if before.rows == 0 || self.rows == 0 {
            return all;
        }
        for name in now.difference(&then).filter(|name| !own_names.contains(*name)) {
            all.push(format!("column `{name}` is new"));
        }
        let enough = |shape: &Self| shape.rows >= LEAST;
        if enough(self) && enough(before) && (!enough(own) || then.is_subset(&own_names)) {
            all.extend(then.difference(&now).map(|name| format!("column `{name}` is gone")));
        }
        for (name, kinds) in &self.columns {
            let Some(was) = before.only(name) else { continue };
            let told = |is: &usize| own.columns.get(name).is_some_and(|kinds| kinds[*is] > 0);
            // Text may look like anything.
            let other = (0..KINDS.len()).find(|is| *is != was && KINDS[was] != "text" && kinds[*is] > 0 && !told(is));
            if let Some(is) = other {
                all.push(format!("column `{name}` holds {}, where it held {}", KINDS[is], KINDS[was]));
            }
        }
        all
    }
}

/// What to say of a day's new table; nothing when it has the shape of the days before.
pub fn look(table: &Path, before: &[PathBuf], own: &Shape, what: &str) -> io::Result<Option<Warning>> {
    let mut now = Shape::default();
    now.see(table)?;
    let mut then = Shape::default();
    for table in before {
        then.see(table)?;
        if then.rows > 2 * ROWS {
            break;
        }
    }
    let changes = now.changes(&then, own);
    let message = format!("{what}: {}; the server may have been changed", changes.join(", "));
    Ok((!changes.is_empty()).then_some(Warning::new(Code::SchemaDrift, message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(header: &str, row: &str, rows: usize) -> Shape {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{header}\n{}", format!("{row}\n").repeat(rows))).unwrap();
        let mut shape = Shape::default();
        shape.see(file.path()).unwrap();
        shape
    }

    #[test]
    fn each_change_is_told_once() {
        let (none, before) = (Shape::default(), shape("a,gone,id", "1,x,7", 30));
        let now = shape("a,id,new", "one,7,true", 30);
        let all = ["column `new` is new", "column `gone` is gone", "column `a` holds text, where it held number"];
        assert_eq!(now.changes(&before, &none), all);
        assert!(now.changes(&before, &now).is_empty());
        assert!(now.changes(&none, &none).is_empty());
        assert!(before.changes(&before, &none).is_empty());
        // Few entries may lack what the next will have.
        assert_eq!(shape("a,id", "1,7", 3).changes(&before, &none), Vec::<String>::new());
        let few = shape("a,id", "1,7", 3);
        assert_eq!(shape("a,id", "1,7", 25).changes(&before, &few), ["column `gone` is gone"]);
        // An answer in words among texts is none.
        assert!(shape("a,gone,id", "1,5,7", 30).changes(&before, &none).is_empty());
    }
}

//! The few texts that come again and again in a table - sessions, tags, tasks - each known by a number.

use rustc_hash::FxHashMap;

/// Numbers for the texts of some cells together.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    known: FxHashMap<Vec<u8>, u32>,
    /// What was asked for last, and its number: rows that follow each other often have the same.
    asked: Vec<u8>,
    number: Option<u32>,
}

impl Labels {
    /// The number that was given to these cells.
    pub fn find<'c>(&mut self, cells: impl IntoIterator<Item = &'c [u8]> + Clone) -> Option<u32> {
        if self.number.is_none() || !self.was_asked(cells.clone()) {
            self.asked.clear();
            for cell in cells {
                self.asked.extend_from_slice(cell);
                self.asked.push(0);
            }
            self.number = self.known.get(&self.asked).copied();
        }
        self.number
    }

    fn was_asked<'c>(&self, cells: impl IntoIterator<Item = &'c [u8]>) -> bool {
        let mut rest = self.asked.as_slice();
        for cell in cells {
            match rest.strip_prefix(cell) {
                Some([0, after @ ..]) => rest = after,
                _ => return false,
            }
        }
        rest.is_empty()
    }

    /// Gives the cells that were asked for last a number.
    pub fn learn(&mut self, number: u32) {
        self.known.insert(self.asked.clone(), number);
        self.number = Some(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_told_apart_by_where_they_end() {
        let mut labels = Labels::default();
        assert_eq!(labels.find([&b"pre"[..], b"Test"]), None);
        labels.learn(7);
        for _ in 0..2 {
            assert_eq!(labels.find([&b"pre"[..], b"Test"]), Some(7));
        }
        assert_eq!(labels.find([&b"preTest"[..], b""]), None);
        assert_eq!(labels.find([&b"preT"[..], b"est"]), None);
        assert_eq!(labels.find([&b"pre"[..], b"Test"]), Some(7));
    }
}

//! A value for each participant, by their numbers, and for each participant at each place.

/// Grows with the highest participant it was asked for.
#[derive(Debug, Clone, Default)]
pub struct Each<T>(Vec<T>);

impl<T: Clone + Default> Each<T> {
    pub fn at(&mut self, person: u32) -> &mut T {
        let place = person as usize;
        if place >= self.0.len() {
            self.0.resize(place + 1, T::default());
        }
        &mut self.0[place]
    }

    pub fn get(&self, person: u32) -> T {
        self.0.get(person as usize).cloned().unwrap_or_default()
    }

    /// Past the highest participant.
    pub fn end(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

impl<T> IntoIterator for Each<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// By place, then participant.
#[derive(Debug, Clone, Default)]
pub struct Grid<T>(Vec<Each<T>>);

impl<T: Clone + Default> Grid<T> {
    pub fn at(&mut self, place: usize, person: u32) -> &mut T {
        if place >= self.0.len() {
            self.0.resize(place + 1, Each(Vec::new()));
        }
        self.0[place].at(person)
    }

    pub fn get(&self, place: usize, person: u32) -> T {
        self.0.get(place).map(|each| each.get(person)).unwrap_or_default()
    }

    /// Past the highest participant at a place.
    pub fn end(&self, place: usize) -> u32 {
        self.0.get(place).map_or(0, Each::end)
    }
}

impl<T> IntoIterator for Grid<T> {
    type Item = Each<T>;
    type IntoIter = std::vec::IntoIter<Each<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_never_asked_for_has_the_usual_value() {
        let mut grid = Grid::default();
        *grid.at(2, 3) += 5_u8;
        assert_eq!((grid.get(2, 3), grid.get(2, 4), grid.get(7, 0)), (5, 0, 0));
        assert_eq!((grid.end(2), grid.end(1), grid.end(9)), (4, 0, 0));
    }
}

//! Paths, targets and other texts of the state, each kept once and named by a small number.

use std::collections::HashMap;
use std::sync::Arc;

/// A text of [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub(super) u32);

impl Name {
    /// For tables indexed by name.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// All texts, in the order they were first seen.
#[derive(Debug, Clone, Default)]
pub struct Names {
    texts: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, Name>,
}

impl Names {
    /// The name of a text, made if it is new.
    ///
    /// # Panics
    /// Beyond four thousand million texts.
    pub fn intern(&mut self, text: &str) -> Name {
        if let Some(&name) = self.ids.get(text) {
            return name;
        }
        let name =
            Name(u32::try_from(self.texts.len()).expect("a graph of 4 thousand million texts does not fit memory"));
        let text: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&text));
        self.ids.insert(text, name);
        name
    }

    #[must_use]
    pub fn find(&self, text: &str) -> Option<Name> {
        self.ids.get(text).copied()
    }

    #[must_use]
    pub fn text(&self, name: Name) -> &Arc<str> {
        &self.texts[name.index()]
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Texts from the given number on, in order.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = &Arc<str>> {
        self.texts[first..].iter()
    }
}

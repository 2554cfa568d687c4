//! Paths, targets and other texts of the state, each kept once and named by a small number.

use string_interner::symbol::{Symbol, SymbolU32};
use string_interner::{DefaultBackend, StringInterner};

/// A text of [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub(super) u32);

impl Name {
    /// For tables indexed by name.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    fn symbol(self) -> SymbolU32 {
        SymbolU32::try_from_usize(self.index()).expect("every name was made from a symbol")
    }
}

/// All texts, in the order they were first seen.
#[derive(Debug, Clone, Default)]
pub struct Names {
    texts: StringInterner<DefaultBackend>,
}

impl Names {
    /// The name of a text, made if it is new.
    ///
    /// # Panics
    /// Beyond four thousand million texts, which do not fit memory.
    pub fn intern(&mut self, text: &str) -> Name {
        named(self.texts.get_or_intern(text))
    }

    #[must_use]
    pub fn find(&self, text: &str) -> Option<Name> {
        self.texts.get(text).map(named)
    }

    /// # Panics
    /// For a name of other texts.
    #[must_use]
    pub fn text(&self, name: Name) -> &str {
        self.texts.resolve(name.symbol()).expect("a name is used only with the texts that made it")
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
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = &str> {
        (first..self.len()).filter_map(|index| self.texts.resolve(SymbolU32::try_from_usize(index)?))
    }
}

fn named(symbol: SymbolU32) -> Name {
    Name(u32::try_from(symbol.to_usize()).expect("a symbol has 32 bits"))
}

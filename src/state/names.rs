//! Paths, targets and other texts of the state, each kept once and named by a small number.

use string_interner::symbol::{Symbol, SymbolU32};
use string_interner::{DefaultBackend, StringInterner};

/// A text of [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub(super) u32);

impl Name {
    /// For tables indexed by name.
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
    /// With room for so many texts.
    pub(super) fn with_room(texts: usize) -> Self {
        Self { texts: StringInterner::with_capacity(texts) }
    }

    /// The name of a text, made if it is new.
    ///
    /// # Panics
    /// Beyond four thousand million texts, which do not fit memory.
    pub fn intern(&mut self, text: &str) -> Name {
        named(self.texts.get_or_intern(text))
    }

    pub fn find(&self, text: &str) -> Option<Name> {
        self.texts.get(text).map(named)
    }

    /// # Panics
    /// For a name of other texts.
    pub fn text(&self, name: Name) -> &str {
        self.texts.resolve(name.symbol()).expect("a name is used only with the texts that made it")
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// A view to which texts can be added while others read these.
    pub fn fork(&self) -> Fork<'_> {
        Fork { base: self, fresh: Self::default() }
    }

    /// Adds what a fork of these added; its names hold then.
    pub fn adopt(&mut self, fresh: &Fresh) {
        debug_assert_eq!(self.len(), fresh.after, "nothing else was added since the fork");
        for text in fresh.texts.from(0) {
            self.intern(text);
        }
    }

    /// Texts from the given number on, in order.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = &str> {
        (first..self.len()).filter_map(|index| self.texts.resolve(SymbolU32::try_from_usize(index)?))
    }
}

/// Names with others after them that they do not know yet.
#[derive(Debug)]
pub struct Fork<'n> {
    base: &'n Names,
    fresh: Names,
}

/// The texts that a fork added.
#[derive(Debug)]
pub struct Fresh {
    after: usize,
    texts: Names,
}

impl Fork<'_> {
    /// The name of a text, made if it is new.
    ///
    /// # Panics
    /// As [`Names::intern`].
    pub fn intern(&mut self, text: &str) -> Name {
        self.base.find(text).unwrap_or_else(|| {
            let number = self.base.len() + self.fresh.intern(text).index();
            Name(u32::try_from(number).expect("texts beyond four thousand million do not fit memory"))
        })
    }

    pub fn into_fresh(self) -> Fresh {
        Fresh { after: self.base.len(), texts: self.fresh }
    }
}

fn named(symbol: SymbolU32) -> Name {
    Name(u32::try_from(symbol.to_usize()).expect("a symbol has 32 bits"))
}

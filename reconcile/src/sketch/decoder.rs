//! Reads the items out of a difference of two sets' symbols.
//!
//! A symbol that holds a single item tells it; taken out of all other symbols, it leaves others with a single one.
//! Nothing is left once every symbol is empty. Symbol 0, which holds every item, is not asked alone: whoever may write
//! a few hundred entries can choose some whose sum is nothing, and peers are not to blame for them.

use super::item::{Item, Places};
use super::symbol::{Symbol, Way};

/// A decoding that goes on as symbols come.
#[derive(Debug, Default)]
pub struct Decoder {
    symbols: Vec<Symbol>,
    found: Vec<Known>,
}

/// An item read out, and where it goes on in symbols that are not here yet.
#[derive(Debug)]
struct Known {
    item: Item,
    way: Way,
    places: Places,
}

/// What the symbols so far amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything is read out.
    Done,
    /// More symbols are needed.
    Stuck,
}

/// Symbols that no two sets have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The items that two sets differ in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Those that only the subtracted-from set has.
    pub plus: Vec<Item>,
    /// Those that only the subtracted set has.
    pub minus: Vec<Item>,
}

impl Decoder {
    /// Symbols taken so far; the next ones begin there.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether nothing was taken yet.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Takes the next symbols of the difference and reads out what can be.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if no two sets have such symbols.
    pub fn extend(&mut self, symbols: impl IntoIterator<Item = Symbol>) -> Result<Progress, Malformed> {
        let before = self.symbols.len();
        self.symbols.extend(symbols);
        let Self { symbols, found } = self;
        for known in found {
            let marks = known.item.marks();
            while let Some(at) = known.places.below(symbols.len()) {
                symbols[at].take(&known.item, &marks, known.way.back());
            }
        }
        let singles = (before..self.symbols.len()).filter(|at| self.symbols[*at].may_be_single()).collect();
        self.read_out(singles)?;
        match self.symbols.first() {
            Some(_) if self.symbols.iter().all(Symbol::is_empty) => Ok(Progress::Done),
            Some(_) | None => Ok(Progress::Stuck),
        }
    }

    fn read_out(&mut self, mut singles: Vec<usize>) -> Result<(), Malformed> {
        while let Some(at) = singles.pop() {
            let Some((item, marks, way)) = self.symbols[at].single() else { continue };
            // Sets that differ in more items than there are symbols can't be read; nor do honest ones give an item
            // twice. So this also ends symbols made to go round for ever.
            if self.found.len() >= self.symbols.len() {
                return Err(Malformed);
            }
            let mut places = Places::new(&marks);
            while let Some(at) = places.below(self.symbols.len()) {
                let symbol = &mut self.symbols[at];
                symbol.take(&item, &marks, way.back());
                if symbol.may_be_single() {
                    singles.push(at);
                }
            }
            self.found.push(Known { item, way, places });
        }
        Ok(())
    }

    /// What was read out.
    pub fn found(&self) -> Found {
        let of = |way| self.found.iter().filter(move |known| known.way == way).map(|known| known.item);
        Found { plus: of(Way::In).collect(), minus: of(Way::Out).collect() }
    }
}

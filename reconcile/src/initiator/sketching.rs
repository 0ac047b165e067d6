//! Finding the difference by sketches: of everything first, and of parts where that is too much for the symbols kept.

use std::collections::VecDeque;

use lattice::ids::{KeyHash, StateRoot};
use lattice::tree::prefix::Prefix;

use super::work::ours_of;
use crate::index::Index;
use crate::limits::{
    KEPT_SYMBOLS, PART_DIFFERENCES, SKETCH_ATTEMPTS_MAX, SKETCH_PARTS_MAX, SKETCH_WALK_MAX, SYMBOLS_COLD, SYMBOLS_MAX,
    WHOLE_DIFFERENCES_MAX,
};
use crate::message::{Flight, Request, Stretch};
use crate::outcome::PeerFault;
use crate::sketch::{Decoder, Estimator, Found, Item, Malformed, Progress, Symbol, place_of, symbols_for};
use crate::view::{KeyLeaf, Summary};

/// One walk through the difference by sketches.
#[derive(Debug)]
pub(super) struct Sketching<T> {
    /// Our state when it began: symbols are of one moment, whatever moves meanwhile.
    base: Index<T>,
    /// Entries of the peer when it began.
    theirs: u64,
    /// About how many entries differ, as far as is known now.
    differences: u64,
    waiting: VecDeque<Part>,
    /// Symbols to ask for in a part that is asked for the first time.
    part_symbols: u64,
}

/// A part of the state that is being read.
#[derive(Debug)]
pub(super) struct Part {
    prefix: Prefix,
    decoder: Decoder,
    /// The peer's root when the symbols so far were read.
    read_at: StateRoot,
    /// Symbols that shall do.
    wanted: u64,
    attempts: u32,
}

/// What became of a part that was asked for.
pub(super) enum Read {
    /// Its difference: items that the peer has more, and entries that it has less.
    Found { plus: Vec<Item>, minus: Vec<KeyLeaf> },
    /// More symbols will be asked for.
    More,
    /// Sketches don't help here.
    Descend(Prefix),
    /// The symbols say what can't be. Entries made for it could do that to two honest nodes, so nobody is blamed; the
    /// descent shows who lies.
    Misread(Prefix),
}

impl Part {
    fn new(prefix: Prefix, wanted: u64) -> Self {
        Self { prefix, decoder: Decoder::default(), read_at: StateRoot::ZERO, wanted, attempts: 0 }
    }

    fn is_whole(&self) -> bool {
        self.prefix.bits() == 0
    }

    /// What to ask for next.
    fn stretch(&self) -> Stretch {
        let from = self.decoder.len() as u64;
        Stretch { prefix: self.prefix, from, count: self.wanted.saturating_sub(from).max(1) }
    }

    /// A quarter more each time, an estimate is seldom off by more; or as many as a better estimate says.
    fn want_more(&mut self, differences: u64) {
        self.wanted += (self.wanted / 4).max(SYMBOLS_COLD / 2);
        let most = if self.is_whole() {
            self.wanted = self.wanted.max(symbols_with_margin(differences));
            KEPT_SYMBOLS
        } else {
            SYMBOLS_MAX
        };
        self.wanted = self.wanted.min(most as u64);
    }
}

/// Symbols for the first answer of a session: enough for what is foretold, none if that is out of reach.
pub(super) fn first_flight(foretold: Option<u64>) -> u64 {
    match foretold {
        None => SYMBOLS_COLD,
        Some(differences) if differences > WHOLE_DIFFERENCES_MAX => 0,
        Some(differences) => symbols_with_margin(differences),
    }
}

/// Symbols that do although the estimate may be some too low. A larger margin would cost more bytes in every session
/// than the second round trip that it saves in one of three.
fn symbols_with_margin(estimate: u64) -> u64 {
    symbols_for(estimate.saturating_add(estimate / 12))
}

impl<T: Copy> Sketching<T> {
    /// Begins with the first flight. `None` if so much differs that whole listings are cheaper; the prefix of such
    /// differences is everything.
    pub(super) fn begin(base: Index<T>, theirs: &Summary, flight: &Flight, foretold: Option<u64>) -> Option<Self> {
        let estimate = flight.estimator.as_ref().map(|theirs| theirs.difference(base.sketch().estimator()));
        // The counts alone show a difference, whatever was foretold.
        let differences = estimate.or(foretold).unwrap_or(0).max(base.len().abs_diff(theirs.entries));
        let is_one_empty = base.len().min(theirs.entries) == 0;
        let waiting = VecDeque::new();
        let mut sketching = Self { base, theirs: theirs.entries, differences, waiting, part_symbols: 0 };
        if is_one_empty || sketching.is_mostly_different() {
            return None;
        }
        if differences <= WHOLE_DIFFERENCES_MAX || !flight.symbols.is_empty() {
            sketching.waiting.push_back(Part::new(Prefix::ALL, symbols_with_margin(differences)));
        } else {
            sketching.split();
        }
        Some(sketching)
    }

    /// Whether so much differs that listing whole stretches is cheaper.
    fn is_mostly_different(&self) -> bool {
        self.differences > self.base.len().max(self.theirs) / 2 + SYMBOLS_COLD
    }

    /// The symbols that came with the opening, if they are for the whole state.
    pub(super) fn take_first(&mut self, root: StateRoot, symbols: Vec<Symbol>) -> Result<Option<Read>, PeerFault> {
        let Some(mut part) = self.waiting.pop_front_if(|part| part.is_whole() && !symbols.is_empty()) else {
            return Ok(None);
        };
        part.wanted = symbols.len() as u64;
        self.read(part, root, symbols).map(Some)
    }

    /// Goes on with parts, each with so few differences that one answer reads several.
    fn split(&mut self) {
        let differences = self.differences.max(WHOLE_DIFFERENCES_MAX);
        let entries = self.base.len().max(self.theirs);
        let mut bits = 1;
        while bits < 16 && (differences >> bits > PART_DIFFERENCES || entries >> bits > SKETCH_WALK_MAX / 8) {
            bits += 1;
        }
        self.part_symbols = symbols_with_margin(differences >> bits);
        let wanted = self.part_symbols;
        let key = |part: u64| {
            let mut key = KeyHash::ZERO;
            key.0[..8].copy_from_slice(&(part << (64 - bits)).to_be_bytes());
            key
        };
        self.waiting = (0..1 << bits).map(|part| Part::new(Prefix::of(&key(part), bits), wanted)).collect();
    }

    /// Takes note of a fresh estimate.
    pub(super) fn estimate(&mut self, theirs: &Estimator) {
        self.differences = theirs.difference(self.base.sketch().estimator());
    }

    /// Whether a part has symbols and needs more: what is pushed now would change the peer's row under it.
    pub(super) fn is_half_read(&self) -> bool {
        self.waiting.front().is_some_and(|part| !part.decoder.is_empty())
    }

    /// Whether everything was read or given over to the descent.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    /// As many parts as one answer may hold, and the request for them.
    pub(super) fn next_request(&mut self) -> Option<(Request, Vec<Part>)> {
        let (mut symbols, mut walked) = (0, 0);
        let mut asked: Vec<Part> = Vec::new();
        let entries = self.base.len().max(self.theirs);
        while let Some(part) = self.waiting.pop_front_if(|part| {
            symbols += part.stretch().count;
            // Key hashes are uniform, so a part of `b` bits holds its share of the entries, and a tenth more at most.
            walked += if part.is_whole() { 0 } else { (entries >> part.prefix.bits()) * 11 / 10 };
            let fits = symbols <= SYMBOLS_MAX as u64 && walked <= SKETCH_WALK_MAX && asked.len() < SKETCH_PARTS_MAX;
            fits || asked.is_empty()
        }) {
            asked.push(part);
        }
        let parts: Vec<_> = asked.iter().map(Part::stretch).collect();
        (!parts.is_empty()).then_some((Request::Symbols { parts }, asked))
    }

    /// Reads an answer. Parts that were left out are asked for again.
    pub(super) fn take(
        &mut self,
        mut asked: Vec<Part>,
        root: StateRoot,
        parts: Vec<Vec<Symbol>>,
    ) -> Result<Vec<Read>, PeerFault> {
        if parts.is_empty() || parts.len() > asked.len() {
            return Err(PeerFault::BadSymbols);
        }
        for part in asked.split_off(parts.len()).into_iter().rev() {
            self.waiting.push_front(part);
        }
        let mut read = Vec::with_capacity(parts.len());
        for (part, symbols) in asked.into_iter().zip(parts) {
            read.push(self.read(part, root, symbols)?);
        }
        self.learn(&read);
        Ok(read)
    }

    fn read(&mut self, mut part: Part, root: StateRoot, symbols: Vec<Symbol>) -> Result<Read, PeerFault> {
        if symbols.is_empty() {
            return Ok(Read::Descend(part.prefix));
        }
        if symbols.len() as u64 != part.stretch().count {
            return Err(PeerFault::BadSymbols);
        }
        part.attempts += 1;
        let from = part.decoder.len();
        if from > 0 && part.read_at != root {
            // The peer has written since: these go on another row than those before. Begin again with all of them.
            part.decoder = Decoder::default();
            return Ok(self.again(part));
        }
        part.read_at = root;
        let Some(ours) = self.base.symbols(&part.prefix, from, symbols.len()) else {
            return Ok(Read::Descend(part.prefix));
        };
        let difference = symbols.iter().zip(&ours).map(|(theirs, ours)| theirs.less(ours));
        match part.decoder.extend(difference) {
            Err(Malformed) => Ok(Read::Misread(part.prefix)),
            Ok(Progress::Done) => Ok(self.found(&part)),
            Ok(Progress::Stuck) => {
                if part.decoder.len() as u64 >= part.wanted {
                    part.want_more(self.differences);
                }
                Ok(self.again(part))
            }
        }
    }

    /// What was read out of a part, if all of it can be: entries in their place, and ours among ours.
    fn found(&self, part: &Part) -> Read {
        let Found { plus, minus } = part.decoder.found();
        // Else a peer could show the same entries in each part, and have them pushed again and again.
        let is_within = |item: &Item| part.prefix.covers(&place_of(&item.short_key()).first_key());
        match ours_of(&self.base, &minus) {
            Some(minus) if plus.iter().all(is_within) && minus.iter().all(|at| part.prefix.covers(&at.key)) => {
                Read::Found { plus, minus }
            }
            Some(_) | None => Read::Misread(part.prefix),
        }
    }

    /// Asks for a part again, or gives it up: the whole for its parts, a part for the descent.
    fn again(&mut self, part: Part) -> Read {
        if part.is_whole() && self.is_mostly_different() {
            return Read::Descend(part.prefix);
        }
        let is_beyond = symbols_for(self.differences) > KEPT_SYMBOLS as u64;
        let is_at_end = part.is_whole() && (part.decoder.len() >= KEPT_SYMBOLS || is_beyond);
        if part.attempts < SKETCH_ATTEMPTS_MAX && part.decoder.len() < SYMBOLS_MAX && !is_at_end {
            // First in line, so that few parts keep symbols at any time.
            self.waiting.push_front(part);
            Read::More
        } else if is_at_end {
            self.split();
            Read::More
        } else {
            Read::Descend(part.prefix)
        }
    }

    /// Sizes the parts to come by those that were read: hashes spread differences evenly.
    fn learn(&mut self, read: &[Read]) {
        let found = |read: &Read| match read {
            Read::Found { plus, minus } => Some((plus.len() + minus.len()) as u64),
            Read::More | Read::Descend(_) | Read::Misread(_) => None,
        };
        let sizes: Vec<u64> = read.iter().filter_map(found).collect();
        let Some(mean) = sizes.iter().sum::<u64>().checked_div(sizes.len() as u64) else { return };
        // Three standard deviations of a Poisson number.
        self.part_symbols = symbols_for(mean + 3 * mean.isqrt()).min(SYMBOLS_MAX as u64);
        let fresh = self.waiting.iter_mut().filter(|part| part.decoder.is_empty() && part.attempts == 0);
        fresh.for_each(|part| part.wanted = self.part_symbols);
    }

    /// Our root when it began.
    pub(super) fn began_at(&self) -> StateRoot {
        self.base.root()
    }
}

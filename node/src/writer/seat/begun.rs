//! Whether everything is here that a term began with: up to the cut of each term before it (V7).

use lattice::ids::AuthorId;

use super::Seat;
use super::job::Holdings;
use crate::writer::state::State;

impl Seat {
    /// The highest term of which everything that it began with is here; 0 if there is none.
    pub(super) fn begun(&self) -> u64 {
        self.begun.map_or(0, |(term, _)| term)
    }
}

impl State {
    /// Looks whether what further terms began with has come, into the state or staged. What was here once stays here: only what
    /// is beyond a cut is ever taken away. So each term is looked at until it is found to be whole, and again after a start.
    pub(in crate::writer) fn look_for_begun(&mut self) {
        let seats = self.membership.seats();
        // A body names all before it by hash: as long as it is on the line, so are they.
        let known = self.seat.begun.filter(|(term, hash)| seats.term(*term).is_some_and(|known| known.hash == *hash));
        let mut line = seats.terms_from(known.map_or(0, |(term, _)| term)).peekable();
        let mut begun = known.or_else(|| line.peek().map(|first| (first.certificate.body.term, first.hash)));
        while let (Some(before), Some(next)) = (line.next(), line.peek()) {
            let (holder, term) = (before.certificate.body.holder, before.certificate.body.term);
            if !self.has_all_of(&holder, term, next.certificate.body.cut) {
                break;
            }
            begun = Some((next.certificate.body.term, next.hash));
        }
        self.seat.begun = begun;
    }

    /// Whether each commit of a term up to a number is here.
    fn has_all_of(&self, holder: &AuthorId, term: u64, upto: u64) -> bool {
        self.whole_of(holder, term, upto) >= upto
    }

    /// How much of a term is here.
    pub(super) fn holdings_of(&self, holder: &AuthorId, term: u64) -> Holdings {
        let (of_term, staged) = self.seat.staged.last().unwrap_or_default();
        let in_state = self.frontier.chain(holder, term).highest();
        let highest = if of_term == term { staged.max(in_state) } else { in_state };
        Holdings { whole: self.whole_of(holder, term, highest), highest }
    }

    /// The last number up to which no commit of a term is missing here, looked for up to a limit. One that others have replaced
    /// may be staged still where the one that replaced it came with a session: neither the state nor what is staged has them
    /// without a gap.
    fn whole_of(&self, holder: &AuthorId, term: u64, limit: u64) -> u64 {
        let chain = self.frontier.chain(holder, term);
        let is_staged = |seq| self.seat.staged.at((term, seq)).is_some_and(|it| it.commit.header().author == *holder);
        let mut seq = 0;
        while seq < limit {
            seq = match chain.covered_from(seq + 1) {
                Some(last) => last,
                None if is_staged(seq + 1) => seq + 1,
                None => break,
            };
        }
        seq
    }
}

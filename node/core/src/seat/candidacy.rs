//! What a node may stand for: the body of a new term, drafted by its shadow or by its holder.

use lattice::ids::AuthorId;
use lattice::merkle::Digest;
use lattice::seat::Body;

use super::named::NamedBody;

/// Where a mirror or holder stands in the chain of one term. Everything in it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The term whose chain is meant.
    pub term: u64,
    /// The last number of the holder's chain in that term that is staged or applied here, without a gap.
    pub staged_seq: u64,
    /// Whether everything is here up to the cut that opened that term.
    pub holds_opening_cut: bool,
    /// Records of the seat's log that are applied here.
    pub log_size: u64,
    /// The seat log's root at that size.
    pub log_root: Digest,
}

/// What a holder may change by a term of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The new shadow; `None` degrades.
    pub shadow: Option<AuthorId>,
    /// The new spares.
    pub spares: Vec<AuthorId>,
    /// The new voters, sorted.
    pub voters: Vec<AuthorId>,
}

/// Why a node may not stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotStand {
    /// No certificate is known.
    #[error("no term of this seat is settled as far as is known here")]
    NoSeat,
    /// Another is the shadow.
    #[error("this node is not the shadow of term {term}")]
    NotShadow {
        /// The highest term known here.
        term: u64,
    },
    /// Another is the holder.
    #[error("this node does not hold the seat in term {term}")]
    NotHolder {
        /// The highest term known here.
        term: u64,
    },
    /// Its copy is of another term.
    #[error("the copy here has not come into term {term}")]
    OtherTerm {
        /// The highest term known here.
        term: u64,
    },
    /// It lacks what the old term handed on (V7).
    #[error("the copy here lacks commits or records that term {term} began with")]
    LacksOpening {
        /// The highest term known here.
        term: u64,
    },
}

/// What is for people in a body, and the number of its term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// Above every term that this node knows of.
    pub term: u64,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// One line.
    pub reason: String,
}

/// The body that the shadow stands with: the first spare becomes the shadow, else the old holder; the old holder goes to
/// the end of the spares. The cut is what this node has staged: all that was ever acknowledged at `shadow`.
///
/// # Errors
///
/// [`CannotStand`].
pub fn takeover(
    me: AuthorId,
    certified: Option<&NamedBody>,
    position: &Position,
    heading: Heading,
) -> Result<Body, CannotStand> {
    let before = certified.ok_or(CannotStand::NoSeat)?;
    if before.shadow != Some(me) {
        return Err(CannotStand::NotShadow { term: before.term });
    }
    // Whose copy was never made has no names of clients' writes, and would begin the seat's log anew below what was signed.
    if position.log_size < before.log_size {
        return Err(CannotStand::LacksOpening { term: before.term });
    }
    let mut mirrors = before.spares.iter().copied().chain([before.holder]);
    let change = Change { shadow: mirrors.next(), spares: mirrors.collect(), voters: before.voters.clone() };
    next_body(me, before, position, change, heading)
}

/// The body that the holder stands with, to change shadow, spares or voters. The cut is all that it has staged itself.
///
/// # Errors
///
/// [`CannotStand`].
pub fn change(
    me: AuthorId,
    certified: Option<&NamedBody>,
    position: &Position,
    change: Change,
    heading: Heading,
) -> Result<Body, CannotStand> {
    let before = certified.ok_or(CannotStand::NoSeat)?;
    if before.holder != me {
        return Err(CannotStand::NotHolder { term: before.term });
    }
    next_body(me, before, position, change, heading)
}

fn next_body(
    me: AuthorId,
    before: &NamedBody,
    position: &Position,
    change: Change,
    heading: Heading,
) -> Result<Body, CannotStand> {
    if position.term != before.term {
        return Err(CannotStand::OtherTerm { term: before.term });
    }
    if !position.holds_opening_cut {
        return Err(CannotStand::LacksOpening { term: before.term });
    }
    Ok(Body {
        lattice: before.lattice,
        seat: before.seat.clone(),
        term: heading.term,
        holder: me,
        shadow: change.shadow,
        spares: change.spares,
        voters: change.voters,
        electors: before.voters.clone(),
        follows: Some(before.name()),
        cut: position.staged_seq,
        log_size: position.log_size,
        log_root: position.log_root,
        time_ms: heading.time_ms,
        reason: heading.reason,
    })
}

#[cfg(test)]
mod tests;

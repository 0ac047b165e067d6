//! When a node that has started signs again: its database may be an older copy than it knows.
//!
//! Who goes on from an older copy gives its numbers twice, and everybody takes it for one that forked its chain. Copies are
//! told apart by what lies beside the database ([`doubt`]); a whole machine that was set back shows nothing of it. So the
//! others are asked at every start what they hold of this node's chain, and [`may_sign`] says how long for.

/// Milliseconds that a node with no sign of an older copy waits for others before it signs: enough to dial and greet
/// those that are there. Without it nodes whose peers are all away would take no writes.
pub const USUAL_WAIT_MS: u64 = 3_000;

/// Milliseconds that a node which may be an older copy waits for the rest once half of the others have answered: one that
/// is connected answers in a few round trips.
pub const REST_WAIT_MS: u64 = 3_000;

/// Milliseconds after which a node that may be an older copy, and knows of nobody else, takes itself to be alone: others
/// that knew it dial it within this time.
pub const ALONE_WAIT_MS: u64 = 10_000;

/// What speaks for an older copy of the database, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// Nothing; a start is a start.
    Usual,
    /// The directory is a copy. It may be the latest there was.
    Copied,
    /// The database is older than what this node has signed, or was restored from a backup.
    Restored,
}

/// How far the database had come when that was last written down beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HighWater {
    /// Records in the node's own log.
    pub log_size: u64,
    /// Number of its last commit.
    pub seq: u64,
    /// What a copy of the directory does not keep: which file it was that marks it, and since when.
    pub place: String,
}

/// What the marks of a directory say of the database that was found there.
pub fn doubt(marked: Option<&HighWater>, found: &HighWater) -> Doubt {
    match marked {
        Some(marked) if found.log_size < marked.log_size || found.seq < marked.seq => Doubt::Restored,
        Some(marked) if marked.place == found.place => Doubt::Usual,
        Some(_) | None => Doubt::Copied,
    }
}

/// What a node knows of the others since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Other members.
    pub others: usize,
    /// Those of them that have said what they hold of this node's chain.
    pub told: usize,
    /// Whether it knows of no other node, member or not.
    pub is_alone: bool,
    /// Milliseconds since the start.
    pub waited_ms: u64,
}

/// Whether a node goes on with its chain.
pub fn may_sign(doubt: Doubt, heard: Heard) -> bool {
    let Heard { others, told, is_alone, waited_ms } = heard;
    let have_half_told = told >= others.div_ceil(2);
    match doubt {
        Doubt::Usual => have_half_told || waited_ms >= USUAL_WAIT_MS,
        Doubt::Copied | Doubt::Restored if others == 0 => is_alone && waited_ms >= ALONE_WAIT_MS,
        Doubt::Copied | Doubt::Restored => told >= others || (have_half_told && waited_ms >= REST_WAIT_MS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(log_size: u64, seq: u64, place: &str) -> HighWater {
        HighWater { log_size, seq, place: place.to_owned() }
    }

    #[test]
    fn an_older_database_and_a_copied_directory_are_told_apart() {
        let marked = at(10, 5, "here");
        for (found, expected) in [
            (at(10, 5, "here"), Doubt::Usual),
            (at(12, 6, "here"), Doubt::Usual),
            (at(9, 5, "here"), Doubt::Restored),
            (at(10, 4, "here"), Doubt::Restored),
            (at(10, 5, "there"), Doubt::Copied),
            (at(9, 5, "there"), Doubt::Restored),
        ] {
            assert_eq!(doubt(Some(&marked), &found), expected, "{found:?}");
        }
        assert_eq!(
            doubt(None, &at(9, 5, "here")),
            Doubt::Copied,
            "a version that wrote no mark, or a mark that is lost"
        );
    }

    #[test]
    fn a_node_signs_once_it_was_told_enough_and_never_waits_for_ever_without_a_reason() {
        let heard = |others, told, waited_ms| Heard { others, told, is_alone: others == 0, waited_ms };
        for (doubt, heard, expected) in [
            (Doubt::Usual, heard(0, 0, 0), true),
            (Doubt::Usual, heard(4, 1, 0), false),
            (Doubt::Usual, heard(4, 2, 0), true),
            (Doubt::Usual, heard(4, 0, USUAL_WAIT_MS), true),
            (Doubt::Copied, heard(4, 1, u64::MAX), false),
            (Doubt::Copied, heard(4, 2, 0), false),
            (Doubt::Copied, heard(4, 2, REST_WAIT_MS), true),
            (Doubt::Restored, heard(4, 4, 0), true),
            (Doubt::Restored, heard(1, 0, u64::MAX), false),
            (Doubt::Restored, heard(0, 0, 0), false),
            (Doubt::Restored, heard(0, 0, ALONE_WAIT_MS), true),
        ] {
            assert_eq!(may_sign(doubt, heard), expected, "{doubt:?} {heard:?}");
        }
        let known = Heard { others: 0, told: 0, is_alone: false, waited_ms: u64::MAX };
        assert!(
            !may_sign(Doubt::Restored, known),
            "it met others once, and a backup may be older than their membership"
        );
    }
}

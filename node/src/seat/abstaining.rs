//! A node that lost its database, or runs on an older one, does not know what it voted for: it votes and grants leases again
//! once a higher term is settled than any that it could have voted for.

use lattice::log::note::KeyName;

use crate::home::{ABSTAINING, Home};

/// Whether this node abstains, and why.
pub(super) struct Abstention {
    /// Where the mark of a lost database stands, while it stands.
    home: Home,
    until: Option<Until>,
    /// The name of this node's log when it was last looked at.
    origin: KeyName,
}

/// Until when.
enum Until {
    /// It does not know the highest term yet either.
    Unknown,
    /// Until a higher term than this is settled.
    Above(u64),
}

impl Abstention {
    /// As a node starts whose log has this name.
    pub(super) fn start(home: Home, origin: KeyName) -> Self {
        let until = home.path(ABSTAINING).exists().then_some(Until::Unknown);
        Self { home, until, origin }
    }

    /// Whether this node may have voted without knowing it.
    pub(super) fn holds(&self) -> bool {
        self.until.is_some()
    }

    /// The highest term that this node may have voted for, 0 while it does not know; `None` if it does not abstain.
    pub(super) fn above(&self) -> Option<u64> {
        self.until.as_ref().map(|until| match until {
            Until::Unknown => 0,
            Until::Above(term) => *term,
        })
    }

    /// After a change of the state: its log's name, whether it is still getting back what it lost, and the highest term.
    pub(super) fn look(&mut self, origin: &KeyName, is_catching_up: bool, term: u64) {
        if *origin != self.origin {
            // Others hold more of its log than it has: its votes may be gone as well.
            self.origin = origin.clone();
            self.until = Some(Until::Unknown);
            let words = b"the database is older than what this node signed\n";
            if let Err(error) = self.home.write(ABSTAINING, 0o644, words) {
                tracing::error!(%error, "a restart would let this node vote again, and it may have voted before");
            }
        }
        match self.until {
            Some(Until::Unknown) if !is_catching_up => self.until = Some(Until::Above(term)),
            Some(Until::Above(lost)) if term > lost => {
                match self.home.remove(ABSTAINING) {
                    Ok(()) => tracing::info!(term, "this node votes on the seat again"),
                    Err(error) => tracing::warn!(%error, "the mark of a lost database stays behind"),
                }
                self.until = None;
            }
            Some(Until::Unknown | Until::Above(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(name: &str) -> KeyName {
        name.parse().expect("a name")
    }

    #[test]
    fn a_lost_database_abstains_until_a_term_above_all_that_it_may_have_voted_for() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("node.key"), "").expect("written");
        let home = Home::open(dir.path()).expect("there is a key");
        let mut abstention = Abstention::start(home.clone(), origin("a/1"));
        abstention.look(&origin("a/1"), false, 3);
        assert!(!abstention.holds());
        abstention.look(&origin("a/2"), true, 3);
        assert!(abstention.holds(), "others hold more of its log");
        // What it had voted for is below the highest term only once it knows that.
        let mut again = Abstention::start(home.clone(), origin("a/2"));
        for (is_catching_up, term, holds) in [(true, 4, true), (true, 5, true), (false, 6, true), (false, 6, true)] {
            again.look(&origin("a/2"), is_catching_up, term);
            assert_eq!(again.holds(), holds, "{term}");
        }
        again.look(&origin("a/2"), false, 7);
        assert!(!again.holds() && !Abstention::start(home, origin("a/2")).holds());
    }
}

//! May a verified commit enter the state now, later, or never?

use lattice::commit::VerifiedCommit;
use lattice::fault::Fault;
use lattice::genesis::Genesis;
use lattice::ids::LatticeId;
use lattice::membership::{Membership, NotAdmitted};

/// What to do with a verified commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Apply it.
    Now,
    /// Keep it for a while: a membership change or the clock may make it valid.
    Later(Wait),
    /// Refuse it.
    Never(NotAdmitted),
}

/// What a parked commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// A membership change that names its author, or the certificate of its term.
    Change,
    /// This wall time, in milliseconds since 1970.
    Until(u64),
}

/// Judges one verified commit by the membership and the clock.
pub fn judge(
    genesis: &Genesis,
    lattice: LatticeId,
    membership: &Membership,
    commit: &VerifiedCommit,
    now_ms: u64,
) -> Admission {
    let max_drift_ms = genesis.limits.max_drift_ms;
    let time = commit.header().time;
    match membership.admit(genesis, lattice, commit) {
        Err(NotAdmitted::UnknownAuthor { .. } | NotAdmitted::UnknownTerm { .. }) => Admission::Later(Wait::Change),
        Err(refused) => Admission::Never(refused),
        Ok(()) if time.ahead_of(now_ms) > max_drift_ms => Admission::Later(Wait::Until(time.millis() - max_drift_ms)),
        Ok(()) => Admission::Now,
    }
}

impl Admission {
    /// Who is at fault, if the commit can't enter now.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Now => None,
            Self::Later(_) => Some(Fault::Nobody),
            Self::Never(refused) => Some(refused.fault()),
        }
    }
}

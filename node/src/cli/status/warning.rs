//! What `status` may warn of. Each has its place in `docs/RUNBOOK.md`, where cause, check and cure stand.

/// What a healthy node does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Warning {
    /// It does not serve right answers now.
    NotReady,
    /// It refuses writes.
    Writes,
    /// Commits wait.
    Waiting,
    /// Roots differ, or a stored entry is damaged.
    Divergence,
    /// An author signed two commits for one place.
    Equivocation,
    /// A log has two histories.
    Fork,
    /// Frames or commits were refused.
    Refused,
    /// A peer over HTTP is left alone for a while.
    Breaker,
    /// No checkpoints are signed.
    Withheld,
    /// The log has a new name.
    OpenedAnew,
    /// Nobody could take the seat over.
    Takeover,
    /// A cut took away what nobody has looked at.
    Quarantine,
}

impl Warning {
    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 12] = [
        Self::NotReady,
        Self::Writes,
        Self::Waiting,
        Self::Divergence,
        Self::Equivocation,
        Self::Fork,
        Self::Refused,
        Self::Breaker,
        Self::Withheld,
        Self::OpenedAnew,
        Self::Takeover,
        Self::Quarantine,
    ];

    /// The words by which the block of `status` says it, and by which the runbook is searched.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::NotReady => "not ready",
            Self::Writes => "writes",
            Self::Waiting => "waiting",
            Self::Divergence => "DIVERGENCE",
            Self::Equivocation => "EQUIVOCATION",
            Self::Fork => "FORK",
            Self::Refused => "refused",
            Self::Breaker => "breaker",
            Self::Withheld => "withheld",
            Self::OpenedAnew => "opened anew",
            Self::Takeover => "TAKEOVER",
            Self::Quarantine => "QUARANTINE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbook_has_cause_check_and_cure_of_each() {
        let runbook = include_str!("../../../../docs/RUNBOOK.md");
        for warning in Warning::ALL {
            let heading = format!("\n### {}\n", warning.words());
            let (_, entry) = runbook.split_once(&heading).unwrap_or_else(|| panic!("no entry{heading}"));
            let entry = entry.split("\n### ").next().expect("a part");
            for part in ["**Cause.**", "**Check.**", "**Cure.**"] {
                assert!(entry.contains(part), "{part} of {}", warning.words());
            }
        }
    }
}

//! The one line of `status`: what would be lost if the holder died now, and whether a takeover is possible, and if not why.

use std::fmt;

use super::timing::BootMs;

/// What a node knows about the chance of a takeover. The holder sees it best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// Whether the term names a shadow.
    pub has_shadow: bool,
    /// When the shadow was last heard of, if ever.
    pub shadow_heard: Option<BootMs>,
    /// Whether the shadow copies this term: else it still lacks what the term began with, or stood for another.
    pub shadow_in_term: bool,
    /// Whether the shadow looks healthy: what is wrong with it, if not.
    pub shadow_ill: Option<String>,
    /// Commits staged at the holder, and at the shadow.
    pub staged: (u64, u64),
    /// Records in the holder's log, and in the shadow's.
    pub records: (u64, u64),
    /// Voters but the holder that answered lately and do not abstain, and how many votes a majority is.
    pub voters: (usize, usize),
    /// Voters but the holder that answered lately, and abstain.
    pub abstaining: usize,
    /// Until when takeovers are paused.
    pub paused: Option<BootMs>,
}

/// What a takeover would lose: nothing that was acknowledged at `shadow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Commits that the shadow has not staged: acknowledged at `local` at most, found in the old holder's quarantine.
    pub commits: u64,
    /// Records that the shadow has yet to apply: nothing lost, only time.
    pub records_behind: u64,
}

/// Why nobody could take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNot {
    /// The term names no shadow. Everything since would be lost with the holder's disk.
    NoShadow,
    /// The shadow was never heard of in this term.
    ShadowUnknown,
    /// The shadow is silent.
    ShadowSilent {
        /// Milliseconds.
        ms: u64,
    },
    /// The shadow lacks what the term began with.
    ShadowSeeding,
    /// The shadow is not well.
    ShadowIll(String),
    /// Too few voters answer.
    TooFewVoters {
        /// That answer and do not abstain, the holder not counted.
        answering: usize,
        /// That abstain.
        abstaining: usize,
        /// That are needed.
        needed: usize,
    },
    /// Takeovers are paused.
    Paused {
        /// Milliseconds.
        ms: u64,
    },
}

/// Whether the shadow could take over now, and what would be lost.
///
/// # Errors
///
/// The first of [`WhyNot`] that holds.
pub fn takeover_possible(now: BootMs, silent_ms: u64, outlook: &Outlook) -> Result<Loss, WhyNot> {
    if !outlook.has_shadow {
        return Err(WhyNot::NoShadow);
    }
    let heard = outlook.shadow_heard.ok_or(WhyNot::ShadowUnknown)?;
    if now.since_ms(heard) > silent_ms {
        return Err(WhyNot::ShadowSilent { ms: now.since_ms(heard) });
    }
    if !outlook.shadow_in_term {
        return Err(WhyNot::ShadowSeeding);
    }
    if let Some(ill) = &outlook.shadow_ill {
        return Err(WhyNot::ShadowIll(ill.clone()));
    }
    let (answering, needed) = outlook.voters;
    if answering < needed {
        return Err(WhyNot::TooFewVoters { answering, abstaining: outlook.abstaining, needed });
    }
    if let Some(until) = outlook.paused.filter(|until| *until > now) {
        return Err(WhyNot::Paused { ms: until.remaining_ms(now) });
    }
    let behind = |(holder, shadow): (u64, u64)| holder.saturating_sub(shadow);
    Ok(Loss { commits: behind(outlook.staged), records_behind: behind(outlook.records) })
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commits, records_behind } = self;
        match commits {
            0 => f.write_str("the shadow can take over; nothing would be lost")?,
            1 => f.write_str("the shadow can take over; 1 commit, acknowledged at `local` at most, would be lost")?,
            _ => write!(
                f,
                "the shadow can take over; {commits} commits, acknowledged at `local` at most, would be lost"
            )?,
        }
        if *records_behind > 0 { write!(f, " ({records_behind} records yet to apply)") } else { Ok(()) }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoShadow => {
                f.write_str("the term has no shadow; all that is only on the holder's disk would be lost")
            }
            Self::ShadowUnknown => f.write_str("the shadow was not heard of in this term"),
            Self::ShadowSilent { ms } => write!(f, "the shadow has been silent for {ms} ms"),
            Self::ShadowSeeding => f.write_str("the shadow lacks what the term began with"),
            Self::ShadowIll(what) => write!(f, "the shadow is not well: {what}"),
            Self::TooFewVoters { answering, abstaining, needed } => {
                write!(f, "{answering} voters beside the holder could vote, {needed} are needed")?;
                match abstaining {
                    0 => Ok(()),
                    _ => write!(f, "; {abstaining} may have forgotten their votes, and abstain until the next term"),
                }
            }
            Self::Paused { ms } => write!(f, "takeovers are paused for another {ms} ms"),
        }
    }
}

#[cfg(test)]
mod tests;

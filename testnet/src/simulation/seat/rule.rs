//! Rules of carrying out what the seat's controller wants that a simulation can switch off, to see that it notices.

/// One rule; without it a simulated node does what it should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SeatRule {
    /// A client is answered at `shadow` once the shadow has staged the write, not as soon as the holder has.
    AnswerAfterShadow,
    /// A commit enters the state once the shadow has staged it, not as soon as the holder has.
    ApplyAfterShadow,
    /// A read takes the value first and looks at the lease afterwards.
    LeaseAfterValue,
    /// A read takes its value in a term that has begun at its node, not before what the term began with is applied.
    ValueOfBegunTerm,
    /// A term shows nothing before a majority of its voters know its certificate.
    OpenWhenKnown,
    /// A mirror comes to rest before its node stands.
    RestBeforeStanding,
    /// A candidate's cut is all that it has staged, and not what it has applied.
    CutWhatIsStaged,
    /// A vote is stored before it is given.
    StoreBallots,
    /// What is staged beyond a term's cut goes to quarantine, not into the state.
    QuarantineBeyondCut,
    /// A holder that starts again offers its mirrors what it has staged.
    OfferStagedAgain,
    /// The client's name of a write comes with it to every mirror, whichever way it comes.
    NamesTravel,
    /// A condition that fails because of a write that is still staged is told once that write is in the state.
    ConditionsWait,
    /// A candidate holds all that its line counts, and not only the end of the term before its own.
    HoldWholeLine,
    /// A candidate learns the certificate that a voter sends along when it refuses.
    LearnFromRefusals,
    /// A mirror that was told of a term, and lacks those before it, asks for them.
    AskForMissingTerms,
    /// A mirror that can't take over what comes next is seeded, even if its copy is sound as far as it goes.
    SeedWhenApart,
    /// A mirror that ended by itself says that it is at rest when it is asked to stop.
    EndedMirrorsAnswer,
}

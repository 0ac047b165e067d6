//! Safety rules of a node that a simulation can switch off, to see that it notices.

/// One rule; without it a simulated node does what it should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SafetyRule {
    /// A client is answered once its write is durable, not before.
    AnswerAfterDurable,
    /// Others are told of a commit of ours once it is durable, not before.
    TellAfterDurable,
    /// A frontier is told with the root of the same moment, and not with one from before.
    FrontierOfItsRoot,
    /// Commits are judged by membership and clock before they are applied.
    JudgeBeforeApply,
    /// Of two operations on a key the greater version wins, not the one that came last.
    GreatestVersionWins,
    /// A cut removes what lies beyond it.
    CutsRemove,
    /// What gossip loses, reconcile brings.
    ReconcileHeals,
}

//! Who is to blame for a refusal. Each error says so; gossip verdict, peer penalty and HTTP status follow.

/// The one at fault when something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The bytes could not have been made by an honest, current peer: reject, penalise.
    Sender,
    /// This node can't do its part (disk full, read-only, overloaded): keep quiet, blame nobody else.
    Us,
    /// Honest nodes may differ here for a while (unknown author, clock ahead): ignore, do not penalise.
    Nobody,
}

//! Whose logs are followed, and with which keys: those of members, by the names that their nodes give them.

use lattice::genesis::Member;
use lattice::ids::LatticeId;
use lattice::log::checkpoint::origin;
use lattice::log::note::{KeyKind, KeyName, VerifierKey};
use lattice::membership::Membership;

/// The member whose log has this origin, and the key that signs it. `None` for a log of nobody here.
pub fn log_of<'a>(membership: &'a Membership, lattice: &LatticeId, name: &str) -> Option<(&'a Member, VerifierKey)> {
    let member = membership.members().find(|member| {
        let first = origin(lattice, &member.author, 1);
        // Logs opened later have a number behind the name of the first.
        let rest = name.strip_prefix(first.as_str()).map(|rest| rest.strip_prefix('/').unwrap_or(rest));
        rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    })?;
    let name: KeyName = name.parse().ok()?;
    Some((member, VerifierKey::new(name, KeyKind::Log, member.log_key.0).ok()?))
}

/// The key with which a member's node cosigns the logs of others; `None` if its log key is no key.
pub fn cosigner_of(member: &Member, lattice: &LatticeId) -> Option<VerifierKey> {
    VerifierKey::new(origin(lattice, &member.author, 1), KeyKind::Cosigner, member.log_key.0).ok()
}

/// How many other members must have said what they hold of a node's log before it signs again after a start: half of
/// them, rounded up. A node whose database is an old copy must learn that before it contradicts itself.
pub fn told_enough(membership: &Membership, own: &lattice::ids::AuthorId, told: usize) -> bool {
    let others = membership.members().filter(|member| member.author != *own && membership.is_active(&member.author));
    told >= others.count().div_ceil(2)
}

#[cfg(test)]
mod tests {
    use lattice::genesis::Genesis;
    use lattice::keys::NodeKeys;

    use super::*;

    #[test]
    fn a_log_is_known_by_its_members_name_and_nobody_elses() {
        let keys = NodeKeys::from_seed([1; 32]);
        let genesis = Genesis::founded_by("test", "one", &keys, vec![0; 38]);
        let (lattice, membership) = (genesis.id(), Membership::of(&genesis, []));
        let author = keys.author.id();
        for opening in [1, 2, 1_700_000_000_000] {
            let name = origin(&lattice, &author, opening);
            let (member, key) = log_of(&membership, &lattice, name.as_str()).expect("a member's log");
            assert_eq!((member.author, key.name(), key.public()), (author, &name, &keys.log_key().0));
        }
        let other = origin(&lattice, &NodeKeys::from_seed([2; 32]).author.id(), 1);
        for name in [other.as_str(), "", "x", &format!("{}/x", origin(&lattice, &author, 1))] {
            assert!(log_of(&membership, &lattice, name).is_none(), "{name:?}");
        }
        assert!(told_enough(&membership, &author, 0), "there is nobody else");
    }
}

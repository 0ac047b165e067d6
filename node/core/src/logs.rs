//! Whose logs are followed, and with which keys: those of members, by the names that their nodes give them.

use lattice::genesis::Member;
use lattice::ids::LatticeId;
use lattice::log::checkpoint::origin;
use lattice::log::note::{KeyKind, KeyName, VerifierKey};
use lattice::membership::Membership;

use crate::resume::Doubt;

/// Logs that a witness follows of one member: the first, and those that its node opened since because it had lost track of
/// what it signed, which is once or twice in a long life (a guess). Beyond it the one opened first gives way to a later one.
pub const LOGS_EACH_MAX: usize = 4;

/// The member whose log has this origin, and the key that signs it. `None` for a log of nobody here, and for a name in
/// another form than a node gives its log: each would be another log.
pub fn log_of<'a>(membership: &'a Membership, lattice: &LatticeId, name: &str) -> Option<(&'a Member, VerifierKey)> {
    let opening = opening(name);
    let is_its = |member: &&Member| origin(lattice, &member.author, opening).as_str() == name;
    let member = membership.members().find(is_its)?;
    let name: KeyName = name.parse().ok()?;
    Some((member, VerifierKey::new(name, KeyKind::Log, member.log_key.0).ok()?))
}

/// The number behind the name of a node's log; 1 for the first, which has none.
pub fn opening(name: &str) -> u64 {
    name.splitn(3, '/').nth(2).and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// The name of the first log of the node whose log has this name: what all its logs have in common.
pub fn first_of(name: &str) -> &str {
    name.match_indices('/').nth(1).map_or(name, |(at, _)| &name[..at])
}

/// Whether there is room for one more log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// There is, or it is held already.
    Free,
    /// In the place of this log of the same member, which was opened before all its others.
    InsteadOf(String),
    /// As many are held, and all were opened later. One that gave way never comes back: whoever forgot what it cosigned
    /// would cosign another history.
    None,
}

/// Whether a log gets a place among those `held`, each of a member's node by its name.
pub fn room_for<'a>(held: impl Iterator<Item = &'a str>, name: &str) -> Room {
    let of_member: Vec<&str> = held.filter(|held| first_of(held) == first_of(name)).collect();
    let oldest = of_member.iter().copied().min_by_key(|held| opening(held));
    match oldest {
        _ if of_member.contains(&name) || of_member.len() < LOGS_EACH_MAX => Room::Free,
        Some(oldest) if opening(oldest) < opening(name) => Room::InsteadOf(oldest.to_owned()),
        Some(_) | None => Room::None,
    }
}

/// The key with which a member's node cosigns the logs of others; `None` if its log key is no key.
pub fn cosigner_of(member: &Member, lattice: &LatticeId) -> Option<VerifierKey> {
    VerifierKey::new(origin(lattice, &member.author, 1), KeyKind::Cosigner, member.log_key.0).ok()
}

/// Whether enough of the other members have said what they hold of a node's log for it to sign again after a start: half of
/// them, or more than half where something speaks for an older copy. Whoever trusts a checkpoint wants cosignatures of half
/// of them, and one that cosigned what this node forgot must be among those that were asked.
pub fn told_enough(others: usize, told: usize, doubt: Doubt) -> bool {
    match doubt {
        Doubt::Usual => 2 * told >= others,
        Doubt::Copied | Doubt::Restored => 2 * told > others || others == 0,
    }
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
        for name in [other.as_str(), "", "x"] {
            assert!(log_of(&membership, &lattice, name).is_none(), "{name:?}");
        }
        // Each was taken for another log of the same member, who could fill every table with them.
        let own = origin(&lattice, &author, 1);
        for behind in ["/x", "/", "/0", "/1", "/007", "/2/3", "7", "/18446744073709551616"] {
            assert!(log_of(&membership, &lattice, &format!("{own}{behind}")).is_none(), "{behind:?}");
        }
    }

    #[test]
    fn who_may_have_forgotten_a_checkpoint_asks_one_more_than_could_have_cosigned_it() {
        for (others, usual, copied) in [(0, 0, 0), (1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 3)] {
            let least = |doubt| (0..=others).find(|told| told_enough(others, *told, doubt));
            assert_eq!((least(Doubt::Usual), least(Doubt::Copied)), (Some(usual), Some(copied)), "{others}");
            assert_eq!(least(Doubt::Restored), Some(copied));
        }
    }

    #[test]
    fn a_member_has_so_many_places_and_one_that_gave_way_gets_none() {
        let held = ["l/a/3", "l/a/10", "l/b", "l/a/9", "l/a"];
        let room = |name| room_for(held.into_iter(), name);
        assert_eq!(room("l/a/9"), Room::Free, "it is held");
        assert_eq!(room("l/a/11"), Room::InsteadOf("l/a".to_owned()));
        assert_eq!(room("l/a/2"), Room::InsteadOf("l/a".to_owned()));
        assert_eq!((room("l/b/2"), room("l/c")), (Room::Free, Room::Free), "others have places of their own");
        let later = ["l/a/3", "l/a/10", "l/a/9", "l/a/11"];
        assert_eq!(room_for(later.into_iter(), "l/a"), Room::None, "what it cosigned of that is forgotten");
    }
}

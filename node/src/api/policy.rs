//! What an auditor needs once, over a channel that is trusted: the lattice's trust policy and its founding document.
//!
//! Neither proves itself to somebody who has it from the node that is to be audited: whoever relies on a policy compares
//! it with those of other members, or takes it from a person.

use std::collections::{BTreeMap, HashSet};

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use lattice::genesis::Member;
use lattice::ids::{AuthorId, LatticeId};
use lattice::log::checkpoint::origin;
use lattice::log::note::{KeyKind, KeyName, VerifierKey};
use lattice::log::policy::{NoPolicy, Policy};
use lattice::membership::Membership;
use node_core::logs::{log_of, opening};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::problem::{Kind, Problem, ProblemView};
use crate::service::Service;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(policy)).routes(routes!(genesis))
}

/// The lattice's trust policy in the grammar of C2SP tlog-policy: the logs of all active members, each member a witness,
/// half of them the quorum.
#[utoipa::path(get, path = "/api/v1/policy", tag = "proofs",
    responses((status = OK, body = String, content_type = "text/plain"), (status = "default", body = ProblemView)))]
async fn policy(State(service): State<Service>) -> Result<Response, Problem> {
    let (published, identity) = (service.inner.writer.published(), &service.inner.identity);
    let heard = service.inner.logs.all();
    let heard = heard.iter().map(|signed| signed.checkpoint().origin());
    let known = heard.chain(published.witnessed.keys().map(String::as_str)).chain([published.origin.as_str()]);
    let found = of_lattice(&identity.lattice, &published.membership, known)
        .map_err(|error| Problem::new(Kind::Conflict, format!("these members make no policy: {error}")))?;
    let mut text = format!("# lattice {}\n", identity.lattice).into_bytes();
    found.left_out.iter().for_each(|line| text.extend_from_slice(format!("# left out: {line}\n").as_bytes()));
    text.extend(found.policy.encode());
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-cache")], text).into_response())
}

/// The founding document in canonical bytes; their SHA-256 is the lattice id. It never changes.
#[utoipa::path(get, path = "/api/v1/genesis", tag = "proofs",
    responses((status = OK, body = Vec<u8>, content_type = "application/octet-stream")))]
async fn genesis(State(service): State<Service>) -> Response {
    ([(CONTENT_TYPE, "application/octet-stream")], service.inner.identity.genesis.encode()).into_response()
}

/// A policy, and the members that have no place in it.
struct Found {
    policy: Policy,
    /// One line each.
    left_out: Vec<String>,
}

/// The policy of a lattice. `known` are names of logs that were heard of: that of a member is another one than the first
/// if its node lost track of what it had signed, and of several the one opened last counts.
fn of_lattice<'a>(
    lattice: &LatticeId,
    membership: &Membership,
    known: impl Iterator<Item = &'a str>,
) -> Result<Found, NoPolicy> {
    let mut last: BTreeMap<AuthorId, (u64, KeyName)> = BTreeMap::new();
    for name in known {
        let Some((member, key)) = log_of(membership, lattice, name) else { continue };
        let opening = opening(name);
        if last.get(&member.author).is_none_or(|(before, _)| *before < opening) {
            last.insert(member.author, (opening, key.name().clone()));
        }
    }
    let (mut logs, mut witnesses, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    let mut taken = HashSet::new();
    for member in membership.members().filter(|member| membership.is_active(&member.author)) {
        let first = origin(lattice, &member.author, 1);
        let current = last.get(&member.author).map_or(&first, |(_, name)| name);
        let key = |name: &KeyName, kind| VerifierKey::new(name.clone(), kind, member.log_key.0);
        match (key(current, KeyKind::Log), key(&first, KeyKind::Cosigner)) {
            (Ok(log), Ok(witness)) if taken.insert(member.log_key) => {
                logs.push(log);
                witnesses.push((member.name.clone(), witness));
            }
            (Ok(_), Ok(_)) => left_out.push(told(member, "its log key is another member's")),
            (Err(_), _) | (_, Err(_)) => left_out.push(told(member, "its log key is no key that can be trusted")),
        }
    }
    let threshold = logs.len() / 2;
    // Nobody vouches for a lone node.
    witnesses.truncate(if threshold == 0 { 0 } else { witnesses.len() });
    Ok(Found { policy: Policy::of_members(logs, witnesses, threshold)?, left_out })
}

fn told(member: &Member, why: &str) -> String {
    // Names have no control characters.
    format!("member {} ({}), {why}", member.name, member.author)
}

#[cfg(test)]
mod tests {
    use lattice::genesis::Genesis;
    use lattice::ids::LogKey;
    use lattice::keys::NodeKeys;
    use lattice::membership::Change;

    use super::*;

    fn member(seed: u8, name: &str) -> Member {
        Genesis::founded_by("t", name, &NodeKeys::from_seed([seed; 32]), vec![1; 38]).members.remove(0)
    }

    fn policy_of(members: Vec<Member>, cut: &[AuthorId]) -> (Policy, Vec<String>) {
        let genesis = Genesis::founded_by("t", "one", &NodeKeys::from_seed([1; 32]), vec![1; 38]);
        let cuts = cut.iter().map(|author| Change::Revoke { author: *author, last_seq: 0 });
        let membership = Membership::of(&genesis, members.into_iter().map(Change::Add).chain(cuts));
        let found = of_lattice(&genesis.id(), &membership, std::iter::empty()).expect("few members");
        (found.policy, found.left_out)
    }

    #[test]
    fn half_of_the_members_are_the_quorum_and_a_lone_node_needs_none() {
        for (members, quorum) in
            [(0, None), (1, Some("group members 1 ")), (2, Some("group members 1 ")), (4, Some("group members 2 "))]
        {
            let others = (0..members).map(|n| member(n + 2, &format!("node-{n}"))).collect();
            let (policy, left_out) = policy_of(others, &[]);
            let text = policy.to_string();
            assert_eq!((policy.logs().len(), left_out.len()), (usize::from(members) + 1, 0), "{text}");
            match quorum {
                Some(group) => assert!(text.contains(group) && text.contains("quorum members"), "{text}"),
                None => assert!(text.contains("quorum none") && policy.witnesses().is_empty(), "{text}"),
            }
            assert_eq!(Policy::parse(text.as_bytes()), Ok(policy), "{text}");
        }
    }

    #[test]
    fn cut_members_and_keys_that_are_not_their_own_have_no_place() {
        let (honest, gone) = (member(2, "two"), member(3, "gone"));
        let copied = Member { log_key: honest.log_key, ..member(4, "copies") };
        let weak = Member { log_key: LogKey([0; 32]), ..member(5, "weak") };
        let cut = gone.author;
        let (policy, left_out) = policy_of(vec![honest, gone, copied, weak], &[cut]);
        assert_eq!((policy.logs().len(), left_out.len()), (2, 2), "{left_out:?}");
    }

    #[test]
    fn the_name_of_a_log_opened_anew_is_the_one_that_is_accepted() {
        let genesis = Genesis::founded_by("t", "one", &NodeKeys::from_seed([1; 32]), vec![1; 38]);
        let author = genesis.members[0].author;
        let name = |opening| origin(&genesis.id(), &author, opening);
        let known = [name(7), name(9), name(1)];
        let known = known.iter().map(KeyName::as_str);
        let found = of_lattice(&genesis.id(), &Membership::of(&genesis, []), known).expect("one member");
        assert_eq!(found.policy.logs()[0].key.name(), &name(9));
    }
}

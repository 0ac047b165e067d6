//! The fixed seeds and the two lattices that all cases are built from.

use ed25519_dalek::SigningKey;
use lattice::genesis::{Genesis, Member, Role};
use lattice::keys::NodeKeys;
use lattice::limits::Limits;
use serde_json::{Value, json};

use crate::json;

/// The keys of node `n`: its seed is 32 bytes of `n`.
pub(crate) fn keys(n: u8) -> NodeKeys {
    NodeKeys::from_seed([n; 32])
}

/// libp2p's name for an ed25519 key: an identity multihash over the key's protobuf form.
fn peer_id(keys: &NodeKeys) -> Vec<u8> {
    let public = SigningKey::from_bytes(&keys.p2p.0).verifying_key().to_bytes();
    [&[0x00, 0x24, 0x08, 0x01, 0x12, 0x20], public.as_slice()].concat()
}

pub(crate) fn member(n: u8, roles: &[Role]) -> Member {
    let keys = keys(n);
    Member {
        name: format!("node {n}"),
        author: keys.author.id(),
        log_key: keys.log_key(),
        peer_id: peer_id(&keys),
        roles: roles.iter().copied().collect(),
    }
}

/// A lattice as `init` founds it: one node, defaults.
pub(crate) fn founded() -> Genesis {
    let keys = keys(1);
    Genesis::founded_by("example", "node 1", &keys, peer_id(&keys))
}

/// A lattice of three admins and four members with limits of its own.
pub(crate) fn written() -> Genesis {
    let mut members = vec![
        member(1, &[Role::Witness, Role::Voter]),
        member(2, &[Role::Voter]),
        member(3, &[Role::Witness]),
        member(4, &[]),
    ];
    members.sort_by_key(|member| member.author);
    Genesis {
        name: "Gemüse".into(),
        admins: [1, 2, 3].map(|n| keys(n).author.id()).into(),
        members,
        seat_prefixes: ["green/".to_owned(), "blue/".to_owned()].into(),
        limits: Limits { key_bytes: 200, value_bytes: 1_000, commit_ops: 10, commit_bytes: 4_096, max_drift_ms: 5_000 },
    }
}

pub(crate) fn keys_file() -> Value {
    let case = |n: u8| {
        let keys = keys(n);
        json!({
            "seed": json::hex([n; 32]),
            "p2p_secret": json::hex(keys.p2p.0),
            "peer_id": json::hex(peer_id(&keys)),
            "author": json::hex(keys.author.id().0),
            "log_key": json::hex(keys.log_key().0),
        })
    };
    json!({ "cases": [case(1), case(2), case(3), case(255)] })
}

pub(crate) fn genesis_file() -> Value {
    let case = |name: &str, genesis: &Genesis| {
        let limits = &genesis.limits;
        json!({
            "name": name,
            "genesis": {
                "name": genesis.name,
                "admins": genesis.admins.iter().map(|author| json::hex(author.0)).collect::<Vec<_>>(),
                "members": genesis.members.iter().map(json::member).collect::<Vec<_>>(),
                "seat_prefixes": genesis.seat_prefixes,
                "limits": [
                    limits.key_bytes,
                    limits.value_bytes,
                    limits.commit_ops,
                    limits.commit_bytes,
                    limits.max_drift_ms,
                ],
            },
            "bytes": json::hex(genesis.encode()),
            "lattice_id": json::hex(genesis.id().0),
        })
    };
    let mut bare = written();
    bare.members.clear();
    bare.seat_prefixes.clear();
    json!({
        "cases": [
            case("one founder, default limits", &founded()),
            case("three admins, limits of its own", &written()),
            case("no members, no seats", &bare),
        ]
    })
}

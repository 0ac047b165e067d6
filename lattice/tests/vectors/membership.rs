//! Membership changes, and the signatures that bring an admin down.

use lattice::genesis::Role;
use lattice::ids::AuthorId;
use lattice::membership::Change;
use serde_json::{Value, json};

use crate::json;
use crate::world::{keys, member, written};

fn change(change: &Change) -> Value {
    match change {
        Change::Add(member) => json!({ "add": json::member(member) }),
        Change::Revoke { author, last_seq } => {
            json!({ "revoke": json::hex(author.0), "last_seq": last_seq })
        }
        Change::Fall { admin, last_seq, approvals } => {
            let lattice = written().id();
            json!({
                "fall": json::hex(admin.0),
                "last_seq": last_seq,
                "message": json::hex(Change::fall_message(lattice, *admin, *last_seq)),
                "approvals": approvals
                    .iter()
                    .map(|(by, signature)| [json::hex(by.0), json::hex(signature)])
                    .collect::<Vec<_>>(),
            })
        }
        Change::Certify(_) => unreachable!("certificates have a file of their own"),
    }
}

pub(crate) fn file() -> Value {
    let lattice = written().id();
    let author = |n: u8| keys(n).author.id();
    let fall = |admin: AuthorId, by: &[u8]| Change::Fall {
        admin,
        last_seq: 41,
        approvals: by
            .iter()
            .map(|n| (author(*n), Change::approve_fall(&keys(*n).author, lattice, admin, 41)))
            .collect(),
    };
    let case = |(name, of): (&str, Change)| {
        json!({
            "name": name,
            "change": change(&of),
            "bytes": json::hex(of.encode()),
            "key": of.to_op().expect("within its bound").key().as_str(),
        })
    };
    let cases = [
        ("an addition", Change::Add(member(5, &[Role::Witness]))),
        ("an addition without roles", Change::Add(member(6, &[]))),
        ("a revocation", Change::Revoke { author: author(4), last_seq: 12 }),
        ("a revocation of all", Change::Revoke { author: author(4), last_seq: 0 }),
        ("a fall", fall(author(3), &[1, 2])),
    ];
    let cases = cases.map(case);
    json!({ "lattice": json::hex(lattice.0), "cases": cases })
}

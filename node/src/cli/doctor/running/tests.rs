//! A node that is well, and each thing that may be wrong with one.

use serde_json::{Value, json};

use super::*;
use crate::cli::doctor::finding::{Level, code};

fn status() -> Value {
    json!({
        "name": "n", "version": "1", "lattice_id": "00", "lattice_name": "l", "author": "aa", "peer_id": "p",
        "state_root": "00", "entries": 3,
        "checkpoint": { "origin": "o", "size": 9, "log_root": "r", "cosignatures": 2, "withheld": null },
        "confirmed_root": null, "forks": [],
        "seat": {
            "seat": null, "term": 0, "holder": null, "shadow": null, "spares": [], "voters": [], "role": "none", "doing": "",
            "is_serving": false, "staged": 0, "log_size": 0, "state_root": "", "lag": [], "takeover": null,
            "is_takeover_possible": null, "reason": ""
        },
        "log_size": 9, "mode": "p2p", "mode_since_ms": 0, "mode_reason": "a lattice peer is connected", "http_peers": [],
        "ready": true, "not_ready_reason": null, "write_refusal": null, "uptime_seconds": 9,
        "peers": { "configured": 1, "connected": 2, "lattice": 2, "mesh": 2, "in_sync": 2 },
        "members": 3, "seq": 1, "waiting": 0, "equivocations": [], "divergences": 0, "last_reconcile": null,
        "addresses": [], "refusals": {}
    })
}

fn peer() -> Value {
    json!({
        "peer_id": "12D3KooWpeer", "author": "bb", "name": "other", "configured": true, "connected": true, "lattice": true,
        "mesh": true, "in_sync": true, "connections": 1, "address": "/ip4/192.0.2.1/tcp/1", "direction": "outbound",
        "rtt_ms": 1.0, "state_root": "00", "entries": 3, "same_root": true, "head_age_ms": 900, "refusal": null, "error": null,
        "next_dial_ms": null, "clock_ahead_ms": 12
    })
}

/// Changes the values at these places.
fn with(mut value: Value, changes: &[(&str, Value)]) -> Value {
    for (place, new) in changes {
        *value.pointer_mut(place).expect(place) = new.clone();
    }
    value
}

fn judged(status: Value, peer: Value) -> Vec<Finding> {
    let status = serde_json::from_value(status).expect("a status");
    let peers = serde_json::from_value(json!({ "peers": [peer], "unanswered": [] })).expect("peers");
    judge(&status, &peers)
}

#[test]
fn a_node_that_is_well_gives_no_note() {
    let found = judged(status(), peer());
    assert!(found.iter().all(|finding| finding.level == Level::Well && finding.cure.is_none()), "{found:?}");
}

#[test]
fn what_is_wrong_with_a_node_is_named_with_a_cure() {
    for (check, changes) in [
        ("ready", vec![("/not_ready_reason", json!("syncing"))]),
        ("writes", vec![("/write_refusal", json!("the disk is full"))]),
        ("peers", vec![("/peers/lattice", json!(0))]),
        ("peers", vec![("/mode", json!("http"))]),
        ("divergence", vec![("/divergences", json!(1))]),
        ("log", vec![("/log_size", json!(50_000))]),
        ("forks", vec![("/forks", json!(["o"]))]),
        ("forks", vec![("/equivocations", json!([{ "author": "aa", "term": 0, "seq": 4, "commits": ["1", "2"] }]))]),
        ("seat", vec![("/seat/seat", json!("green"))]),
        (
            "seat",
            vec![
                ("/seat/seat", json!("green")),
                ("/seat/shadow", json!("bb")),
                ("/seat/is_takeover_possible", json!(false)),
            ],
        ),
    ] {
        let found = judged(with(status(), &changes), peer());
        let wrong: Vec<_> = found.iter().filter(|finding| finding.level == Level::Wrong).collect();
        assert!(wrong.len() == 1 && wrong[0].check == check && wrong[0].cure.is_some(), "{changes:?}: {wrong:?}");
        assert_eq!(code(&found), 1);
    }
}

#[test]
fn what_is_wrong_with_a_peer_is_named_with_a_cure() {
    for (check, level, changes) in [
        ("clock", Level::Note, vec![("/clock_ahead_ms", json!(-6_000))]),
        ("clock", Level::Wrong, vec![("/clock_ahead_ms", json!(70_000))]),
        ("clock", Level::Note, vec![("/clock_ahead_ms", json!(null))]),
        ("peers", Level::Note, vec![("/refusal", json!("of another lattice"))]),
        ("peers", Level::Note, vec![("/head_age_ms", json!(40_000))]),
        ("peers", Level::Wrong, vec![("/connected", json!(false)), ("/error", json!("connection refused"))]),
    ] {
        let found = judged(status(), with(peer(), &changes));
        let bad: Vec<_> = found.iter().filter(|finding| finding.level != Level::Well).collect();
        assert!(bad.len() == 1 && bad[0].check == check && bad[0].level == level, "{changes:?}: {bad:?}");
    }
}

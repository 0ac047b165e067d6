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
        "quarantine": { "entries": 0, "staged_commits": 0 },
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
fn what_a_cut_took_away_is_noted_with_a_cure_and_is_nothing_wrong() {
    for kind in ["/quarantine/entries", "/quarantine/staged_commits"] {
        let found = judged(with(status(), &[(kind, json!(2))]), peer());
        let told: Vec<_> = found.iter().filter(|finding| finding.level != Level::Well).collect();
        assert!(told.len() == 1 && told[0].check == "quarantine" && told[0].level == Level::Note, "{kind}: {told:?}");
        assert!(told[0].found.starts_with("2 ") && told[0].cure.is_some(), "{told:?}");
        assert_eq!(code(&found), 0);
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

fn url(host: &str, author: Option<&str>, error: Option<&str>) -> Value {
    json!({
        "url": format!("http://{host}:4800"), "author": author, "published": false, "divergence_count": 0, "kind": null,
        "state_root": null, "answer_age_ms": null, "breaker": "closed", "error": error
    })
}

/// Levels of what is said of URLs, of a node of a lattice whose seat has the shadow `bb`.
fn of_urls(lattice: u64, urls: &[Value]) -> Vec<Level> {
    let changes = [
        ("/seat/seat", json!("green")),
        ("/seat/shadow", json!("bb")),
        ("/http_peers", json!(urls)),
        ("/peers/lattice", json!(lattice)),
    ];
    let found = judged(with(status(), &changes), peer());
    found.iter().filter(|finding| finding.check == "http peers").map(|finding| finding.level).collect()
}

#[test]
fn a_hidden_mirror_answers_at_no_url_and_that_is_nothing_wrong() {
    // A lattice that was well was said to be wrong at each of its nodes.
    let refused = Some("Connection refused");
    let (well, unknown) = (url("well", Some("cc"), None), url("one", None, refused));
    let (mirror, other) = (url("mirror", Some("bb"), refused), url("other", Some("dd"), refused));
    for (lattice, urls, expected) in [
        (2, vec![well.clone()], vec![]),
        (2, vec![well.clone(), unknown.clone()], vec![Level::Note]),
        (2, vec![mirror.clone()], vec![Level::Note]),
        (2, vec![other.clone()], vec![Level::Wrong]),
        (2, vec![mirror.clone(), other], vec![Level::Note, Level::Wrong]),
        (2, vec![mirror.clone(), unknown.clone()], vec![Level::Note, Level::Wrong]),
        (2, vec![unknown.clone(), url("two", None, refused)], vec![Level::Wrong]),
        (0, vec![mirror, unknown], vec![Level::Wrong]),
    ] {
        assert_eq!(of_urls(lattice, &urls), expected, "{lattice}: {urls:?}");
    }
}

#[test]
fn a_mirror_says_no_state_and_is_not_suspected_to_hang() {
    let silent = with(peer(), &[("/head_age_ms", json!(489_000))]);
    for (author, notes) in [("bb", 0), ("cc", 1)] {
        let changes = [("/seat/seat", json!("green")), ("/seat/shadow", json!(author))];
        let found = judged(with(status(), &changes), silent.clone());
        let told = found.iter().filter(|finding| finding.check == "peers" && finding.level == Level::Note);
        assert_eq!(told.count(), notes, "{author}: {found:?}");
    }
}

#[test]
fn a_node_that_is_alone_is_told_so_in_three_findings_and_nothing_of_clocks() {
    let refused = Some("Connection refused");
    let urls = [url("two", Some("cc"), refused), url("three", Some("dd"), refused)];
    let lonely = [("/peers/connected", json!(0)), ("/peers/lattice", json!(0)), ("/http_peers", json!(urls))];
    let gone = [("/connected", json!(false)), ("/lattice", json!(false)), ("/error", json!("refused"))];
    let peers: Vec<_> = ["two", "three"]
        .map(|name| with(with(peer(), &gone), &[("/name", json!(name)), ("/peer_id", json!(name))]))
        .into();
    let status = serde_json::from_value(with(status(), &lonely)).expect("a status");
    let peers = serde_json::from_value(json!({ "peers": peers, "unanswered": [] })).expect("peers");
    let found = judge(&status, &peers);
    let wrong: Vec<_> = found.iter().filter(|finding| finding.level == Level::Wrong).collect();
    assert!(wrong.len() == 3 && found.iter().all(|finding| finding.check != "clock"), "{found:?}");
    for part in ["none is connected", "2 peers can't be reached: two at", "http://two:4800, http://three:4800 (Con"] {
        assert!(wrong.iter().any(|finding| finding.found.contains(part)), "{part}: {wrong:?}");
    }
}

/// Told to take the address out of its settings, an operator took out that of the next holder.
#[test]
fn an_address_at_which_a_hidden_mirror_is_silent_is_not_wrong() {
    let silent = json!([{ "address": "/ip4/127.0.0.1/tcp/4801", "error": "Connection refused" }]);
    let judged = |status: Value| {
        let status = serde_json::from_value(status).expect("a status");
        let peers = serde_json::from_value(json!({ "peers": [peer()], "unanswered": silent })).expect("peers");
        let found = judge(&status, &peers);
        found.into_iter().find(|finding| finding.found.contains("nobody answers at")).expect("said").level
    };
    assert_eq!(judged(status()), Level::Wrong);
    let mirrored = with(status(), &[("/seat/seat", json!("green")), ("/seat/shadow", json!("cc"))]);
    assert_eq!(judged(mirrored), Level::Note);
}

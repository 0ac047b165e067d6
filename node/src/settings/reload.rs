//! Which settings change while a node runs, and why the others don't.

use super::Settings;

/// A setting that a running node takes on.
struct Free {
    name: &'static str,
    differs: fn(&Settings, &Settings) -> bool,
    take: fn(&mut Settings, &Settings),
}

/// A setting that needs a new start.
struct Fixed {
    name: &'static str,
    differs: fn(&Settings, &Settings) -> bool,
    why: &'static str,
}

const FREE: [Free; 9] = [
    Free { name: "log", differs: |a, b| a.log != b.log, take: |to, from| to.log.clone_from(&from.log) },
    Free { name: "peers", differs: |a, b| a.peers != b.peers, take: |to, from| to.peers.clone_from(&from.peers) },
    Free {
        name: "external",
        differs: |a, b| a.external != b.external,
        take: |to, from| to.external.clone_from(&from.external),
    },
    Free { name: "relays", differs: |a, b| a.relays != b.relays, take: |to, from| to.relays.clone_from(&from.relays) },
    Free {
        name: "nodes",
        differs: |a, b| a.heartbeat.nodes != b.heartbeat.nodes,
        take: |to, from| to.heartbeat.nodes.clone_from(&from.heartbeat.nodes),
    },
    Free {
        name: "http_url",
        differs: |a, b| a.heartbeat.own_url != b.heartbeat.own_url,
        take: |to, from| to.heartbeat.own_url.clone_from(&from.heartbeat.own_url),
    },
    Free {
        name: "checkpoint_ms",
        differs: |a, b| a.checkpoint_ms != b.checkpoint_ms,
        take: |to, from| to.checkpoint_ms = from.checkpoint_ms,
    },
    Free {
        name: "seat_no_shadow",
        differs: |a, b| a.seat.no_shadow != b.seat.no_shadow,
        take: |to, from| to.seat.no_shadow = from.seat.no_shadow,
    },
    Free {
        name: "on_seat_change",
        differs: |a, b| a.seat.on_change != b.seat.on_change,
        take: |to, from| to.seat.on_change.clone_from(&from.seat.on_change),
    },
];

const SOCKETS: &str = "whoever is connected there would be cut off";
const BEATS: &str = "counts and times of the running heartbeat are measured by it";

const FIXED: [Fixed; 17] = [
    Fixed { name: "name", differs: |a, b| a.name != b.name, why: "answers of one run should carry one name" },
    Fixed { name: "p2p", differs: |a, b| a.p2p != b.p2p, why: SOCKETS },
    Fixed { name: "http", differs: |a, b| a.http != b.http, why: SOCKETS },
    Fixed {
        name: "api_token_read",
        differs: |a, b| a.api_token_read != b.api_token_read,
        why: "readers that are connected would go on without a token",
    },
    Fixed { name: "lattice_http", differs: |a, b| a.lattice_http != b.lattice_http, why: SOCKETS },
    Fixed { name: "admin_http", differs: |a, b| a.admin_http != b.admin_http, why: SOCKETS },
    Fixed {
        name: "heartbeat_ms",
        differs: |a, b| a.heartbeat.numbers.tracker.interval_ms != b.heartbeat.numbers.tracker.interval_ms,
        why: BEATS,
    },
    Fixed {
        name: "heartbeat_jitter_percent",
        differs: |a, b| a.heartbeat.numbers.tracker.jitter_percent != b.heartbeat.numbers.tracker.jitter_percent,
        why: BEATS,
    },
    Fixed { name: "heartbeat_timeout_ms", differs: |a, b| a.heartbeat.timeout != b.heartbeat.timeout, why: BEATS },
    Fixed {
        name: "heartbeat_mismatches",
        differs: |a, b| a.heartbeat.numbers.tracker.mismatches != b.heartbeat.numbers.tracker.mismatches,
        why: BEATS,
    },
    Fixed {
        name: "http_mode_after_ms",
        differs: |a, b| a.heartbeat.numbers.http_after_ms != b.heartbeat.numbers.http_after_ms,
        why: BEATS,
    },
    Fixed {
        name: "seat_timing",
        differs: |a, b| a.seat.timing != b.seat.timing,
        why: "a lease that runs was granted by it",
    },
    Fixed { name: "relay", differs: |a, b| a.relay != b.relay, why: "nodes that are found here would be lost" },
    Fixed { name: "mdns", differs: |a, b| a.mdns != b.mdns, why: "the network is set up with it or without" },
    Fixed {
        name: "synchronous",
        differs: |a, b| a.synchronous != b.synchronous,
        why: "the database is open with it, and what was acknowledged so far was by it",
    },
    Fixed { name: "log_json", differs: |a, b| a.log_json != b.log_json, why: "a log of two forms is read by no tool" },
    Fixed { name: "dir", differs: |a, b| a.dir != b.dir, why: "that is another node" },
];

/// What became of new settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// What is in force now.
    pub settings: Settings,
    /// Names of those that were taken on.
    pub taken: Vec<&'static str>,
    /// Those that were not, and why.
    pub refused: Vec<(&'static str, &'static str)>,
}

/// Takes on what can change of `wanted`; the rest stays as it is `now`.
pub fn reload(now: &Settings, wanted: &Settings) -> Reloaded {
    let mut settings = now.clone();
    let mut taken = Vec::new();
    for free in FREE.iter().filter(|free| (free.differs)(now, wanted)) {
        (free.take)(&mut settings, wanted);
        taken.push(free.name);
    }
    let refused = FIXED.iter().filter(|fixed| (fixed.differs)(now, wanted)).map(|fixed| (fixed.name, fixed.why));
    Reloaded { settings, taken, refused: refused.collect() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::settings::typed::Typed;

    fn settings(text: &str) -> Settings {
        let typed: Typed = toml::from_str(text).expect(text);
        Settings::resolve("/d".into(), typed, true).expect(text)
    }

    #[test]
    fn every_option_is_taken_on_or_refused_with_a_reason() {
        let now = settings("");
        // `api_token_read` was in neither table: a reload said that nothing was new.
        let cases = [
            ("log = \"debug\"", Some("log"), None),
            ("peers = [\"/ip4/192.0.2.1/tcp/1\"]", Some("peers"), None),
            ("external = [\"/ip4/192.0.2.1/tcp/1\"]", Some("external"), None),
            ("nodes = [\"http://192.0.2.1:1\"]", Some("nodes"), None),
            ("http_url = \"http://192.0.2.1:1\"", Some("http_url"), None),
            ("checkpoint_ms = 500", Some("checkpoint_ms"), None),
            ("name = \"other\"", None, Some("name")),
            ("p2p = [\"127.0.0.1:1\"]", None, Some("p2p")),
            ("http = [\"127.0.0.1:1\"]", None, Some("http")),
            ("api_token_read = true", None, Some("api_token_read")),
            ("lattice_http = [\"127.0.0.1:1\"]", None, Some("lattice_http")),
            ("admin_http = [\"127.0.0.1:1\"]", None, Some("admin_http")),
            ("heartbeat_ms = 500", None, Some("heartbeat_ms")),
            ("heartbeat_jitter_percent = 1", None, Some("heartbeat_jitter_percent")),
            ("heartbeat_timeout_ms = 500", None, Some("heartbeat_timeout_ms")),
            ("heartbeat_mismatches = 7", None, Some("heartbeat_mismatches")),
            ("http_mode_after_ms = 5000", None, Some("http_mode_after_ms")),
            ("seat_no_shadow = \"degrade\"", Some("seat_no_shadow"), None),
            ("on_seat_change = [\"true\"]", Some("on_seat_change"), None),
            ("seat_timing = \"wan\"", None, Some("seat_timing")),
            ("relay = true", None, Some("relay")),
            ("mdns = false", None, Some("mdns")),
            ("synchronous = \"normal\"", None, Some("synchronous")),
            ("log_json = true", None, Some("log_json")),
            (
                "relays = [\"/ip4/192.0.2.1/tcp/1/p2p/12D3KooWGRUVh4MwSmEiWKkKt9Jcq9TBMcdjBCdQqWTrSnvMdPCe\"]",
                Some("relays"),
                None,
            ),
        ];
        let unknown = toml::from_str::<Typed>("unknown = 0").expect_err("no such option").to_string();
        let options: BTreeSet<_> = unknown.split('`').skip(3).step_by(2).collect();
        let covered: BTreeSet<_> = cases.iter().filter_map(|(text, ..)| text.split(' ').next()).collect();
        assert!(options.len() > 20 && options == covered, "options {options:?}, cases {covered:?}");
        for (text, taken, refused) in cases {
            let wanted = settings(text);
            let found = reload(&now, &wanted);
            assert_eq!(found.taken, Vec::from_iter(taken), "{text}");
            assert_eq!(
                found.refused.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
                Vec::from_iter(refused),
                "{text}"
            );
            assert_eq!(found.settings, if taken.is_some() { wanted } else { now.clone() }, "{text}");
        }
        assert_eq!(reload(&now, &now).taken, Vec::<&str>::new());
    }
}

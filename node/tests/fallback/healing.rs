//! What nodes do for each other without libp2p.

use testnet::client::ClientError;
use testnet::deadline;

use crate::world::{Apart, BEAT, SOON, event, holds, logs};

#[tokio::test(flavor = "multi_thread")]
async fn three_mismatches_in_a_row_heal_both_ways_and_the_counts_say_three() {
    let mut apart = Apart::of(2).await;
    let other = apart.start(1, &[]).await;
    other.put("theirs", "kept").await.expect("acknowledged");
    let url = apart.url(1);
    let one = apart.start(0, &["--node", &url]).await;
    one.put("ours", "kept").await.expect("acknowledged");
    let finished = event(&one, |event| event.kind == "reconcile-finished").await;
    assert_eq!((finished.fields["outcome"].as_str(), finished.fields["peer"].as_str()), ("equal", url.as_str()));
    let root = apart.equal_roots().await;
    assert_eq!(finished.text, format!("reconcile finished {root}"));
    holds(&one, "theirs").await;
    holds(&other, "ours").await;

    let events = one.events(0).await.expect("it answers");
    let told: Vec<_> = events.iter().filter(|event| event.number <= finished.number).collect();
    // A beat before our own write may have counted once, and then the state was another.
    let last: Vec<_> = told.iter().rev().take(5).rev().map(|event| event.kind.as_str()).collect();
    assert_eq!(last, ["divergence", "divergence", "divergence", "reconcile-started", "reconcile-finished"]);
    let counts: Vec<_> = told.iter().filter_map(|event| event.fields.get("count").cloned()).collect();
    assert!(counts.ends_with(&["1", "2", "3"].map(String::from)), "{counts:?}");
    let mismatch = told.iter().rev().find(|event| event.kind == "divergence").expect("three of them");
    let (ours, theirs) = (&mismatch.fields["ours"], &mismatch.fields["theirs"]);
    assert_eq!(mismatch.text, format!("divergence {url} 3 {ours} {theirs}"));
    assert_eq!(mismatch.fields["kind"], "lag", "each had written: nothing is damaged");
    let fallback = one.fallback().await.expect("it answers");
    assert_eq!((fallback.mode.as_str(), fallback.peers[0].breaker.as_str()), ("p2p", "closed"));
    assert!(other.events(0).await.expect("it answers").iter().all(|event| event.kind != "reconcile-started"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_goes_to_http_mode_pushes_and_pulls_at_each_beat_and_comes_back() {
    let mut apart = Apart::of(2).await;
    let url = apart.url(1);
    let other = apart.start(1, &[]).await;
    let one = apart.start(0, &["--node", &url, "--http-mode-after-ms", "2000", "--heartbeat-mismatches", "1000"]).await;
    let alone = event(&one, |event| event.text == "mode http").await;
    assert_eq!(alone.fields["reason"], "no lattice peer connected for 2 s");
    assert_eq!(event(&one, |event| event.kind == "peers").await.text, "[P2P] peers 0");
    for round in 0..3 {
        one.put(&format!("push/{round}"), "v").await.expect("acknowledged");
        other.put(&format!("pull/{round}"), "v").await.expect("acknowledged");
        holds(&other, &format!("push/{round}")).await;
        holds(&one, &format!("pull/{round}")).await;
    }
    assert!(apart.metrics(0).await.contains("lattice_mode{mode=\"http\"} 1"));
    let node = apart.node(0);
    let addresses = node.reached().expect("it runs").run.p2p;
    apart.node(1).stop().await;
    apart.node(1).launch_mut().peers = addresses;
    apart.start(1, &[]).await;
    let back = event(&one, |event| event.text == "mode p2p").await;
    assert_eq!(back.fields["reason"], "a lattice peer is connected");
    event(&one, |event| event.text == "[P2P] peers 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_found_by_the_urls_that_they_publish() {
    let mut apart = Apart::of(2).await;
    // Met over libp2p once more, so that each learns the other's URL.
    let urls = [apart.url(0), apart.url(1)];
    let one = apart.start(0, &["--http-url", &urls[0]]).await;
    apart.node(1).launch_mut().peers = apart.node(0).reached().expect("it runs").run.p2p;
    let other = apart.start(1, &["--http-url", &urls[1]]).await;
    for (client, own) in [(&one, &urls[0]), (&other, &urls[1])] {
        let learnt = testnet::deadline::until(SOON, async || {
            let peers = client.fallback().await.map_err(|error| error.to_string())?.peers;
            let found = peers.iter().any(|peer| peer.published && peer.url != *own && peer.state_root.is_some());
            if found { Ok(()) } else { Err(format!("{peers:?}")) }
        });
        learnt.await.unwrap_or_else(|late| panic!("{late}"));
    }
    let entries = one.entries("@url/").await.expect("it answers");
    let author = entries.keys().find(|key| entries[*key].shown() == urls[1]).expect("the other's URL").clone();
    for (key, value) in [(author.as_str(), "http://elsewhere:1"), ("@url/nobody", "http://elsewhere:1")] {
        match one.put(key, value).await {
            Err(ClientError::Refused { status: 422, detail, .. }) => assert!(detail.contains("author"), "{detail}"),
            other => panic!("{key}: {other:?}"),
        }
    }
    for number in [0, 1] {
        apart.node(number).stop().await;
    }
    apart.node(1).launch_mut().peers.clear();
    let one = apart.start(0, &[]).await;
    one.put("apart", "kept").await.expect("acknowledged");
    let other = apart.start(1, &[]).await;
    holds(&other, "apart").await;
    assert_eq!(other.status().await.expect("it answers").peers.connected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_withdrawn_by_a_start_without_it() {
    // Members asked there for ever.
    let mut apart = Apart::of(1).await;
    let url = apart.url(0);
    let urls = async |node: &testnet::client::Client, expected: usize| {
        let seen = testnet::deadline::until(SOON, async || {
            let entries = node.entries("@url/").await.map_err(|error| error.to_string())?;
            if entries.len() == expected { Ok(()) } else { Err(format!("{entries:?}")) }
        });
        seen.await.unwrap_or_else(|late| panic!("{late}"));
    };
    let node = apart.start(0, &["--http-url", &url]).await;
    urls(&node, 1).await;
    logs(apart.node(0), &["WARN", "only processes on this machine", &url]).await;
    apart.node(0).stop().await;
    apart.node(0).launch_mut().options = BEAT.map(String::from).to_vec();
    let node = apart.start(0, &[]).await;
    urls(&node, 0).await;
    logs(apart.node(0), &["INFO", "withdrew the URL"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_can_not_be_used_is_logged_with_why_and_so_is_its_return() {
    let mut apart = Apart::of(2).await;
    let (own, other) = (apart.url(0), apart.url(1));
    apart.start(0, &["--node", &other, "--node", &own]).await;
    logs(apart.node(0), &["WARN", "this HTTP peer can't be used", &other, "refused"]).await;
    logs(apart.node(0), &["INFO", "this URL leads to this node itself", &own]).await;
    apart.start(1, &[]).await;
    logs(apart.node(0), &["INFO", "this HTTP peer can be used again", &other]).await;
    let text = std::fs::read_to_string(apart.node(0).dir().join("stderr.log")).expect("its log");
    assert_eq!(text.matches("this HTTP peer can't be used").count(), 1, "not at each beat: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_database_gets_it_back_and_signs_again() {
    let mut apart = Apart::of(2).await;
    let other = apart.start(1, &[]).await;
    other.put("theirs", "kept").await.expect("acknowledged");
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        match std::fs::remove_file(apart.node(0).dir().join(file)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{file}: {error}"),
            _ => {}
        }
    }
    let url = apart.url(1);
    apart.node(0).launch_mut().options.extend(["--node".to_owned(), url]);
    // Not ready before it has caught up, so only until it listens.
    let one = apart.node(0).listen().await.expect("it listens").client;
    holds(&one, "theirs").await;
    apart.equal_roots().await;
    let written = testnet::deadline::until(SOON, async || {
        one.put("ours", "again").await.map(|_| ()).map_err(|error| error.to_string())
    });
    written.await.unwrap_or_else(|late| panic!("{late}"));
    holds(&other, "ours").await;
    assert_eq!(other.status().await.expect("it answers").equivocations, Vec::<serde_json::Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_cosigned_over_http_where_libp2p_does_not_pass() {
    let mut apart = Apart::of(2).await;
    let url = apart.url(1);
    apart.start(1, &[]).await;
    let one = apart.start(0, &["--node", &url]).await;
    let size = one.put("key", "value").await.expect("acknowledged").log_position.expect("it is in the log");
    let checkpoint = format!("{}/checkpoint", apart.url(0));
    let cosigned = deadline::until(SOON, async || {
        let text = reqwest::get(&checkpoint).await.map_err(|error| error.to_string())?.text().await;
        let text = text.map_err(|error| error.to_string())?;
        let signed: u64 = text.lines().nth(1).and_then(|line| line.parse().ok()).unwrap_or(0);
        if signed >= size && text.matches("\u{2014} ").count() == 2 { Ok(()) } else { Err(text) }
    });
    cosigned.await.unwrap_or_else(|late| panic!("{late}"));
}

//! What the page shows is what the API says, and what happens to the nodes shows.

use serde_json::{Value, json};
use testnet::deadline;

use crate::browser::Browser;
use crate::looks::folder;
use crate::page::{go, open, overview, rows};
use crate::world::{SOON, World, api, until};

/// What the overview must say of a status.
fn expected(status: &Value) -> Value {
    let text = |value: &Value| json!(value.to_string());
    let peers = &status["peers"];
    json!({
        "name": status["name"], "root": status["state_root"], "entries": text(&status["entries"]),
        "connected": text(&peers["connected"]), "lattice": text(&peers["lattice"]), "mesh": text(&peers["mesh"]),
        "In sync": text(&peers["in_sync"]), "Configured": text(&peers["configured"]), "Members": text(&status["members"]),
        "Version": status["version"], "Why": status["mode_reason"],
        "Log": format!("{} records", status["log_size"]),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_the_api_says_and_a_killed_peer_disappears() {
    let Some(browser) = Browser::open().await else { return };
    let mut world = World::of(3).await;
    for n in 0..5 {
        world.put(n % 3, &format!("fruit/{n}"), "ripe").await;
    }
    let url = world.url(0);
    open(&browser, &url, "overview").await;
    let same = deadline::until(SOON, async || {
        let (wanted, shown) = (expected(&api(&url, "/api/v1/status").await), overview(&browser).await);
        let wanted = wanted.as_object().expect("an object");
        match wanted.iter().find(|(name, value)| shown[name.as_str()] != **value) {
            None if shown["verdict"] == "good" => Ok(()),
            None => Err(format!("not well: {shown:#}")),
            Some((name, value)) => Err(format!("{name} is {} and not {value}", shown[name.as_str()])),
        }
    });
    same.await.unwrap_or_else(|late| panic!("{late}"));

    go(&browser, "peers").await;
    // The last heads may still be on their way.
    let all_same = "
        const same = Array.from(document.querySelectorAll('#reached [data-title=Same]'), (cell) => cell.textContent);
        return same.length === 2 && same.every((word) => word === 'same')";
    until(&browser, "both at the same root", all_same, vec![]).await;
    let peers = api(&url, "/api/v1/peers").await;
    let shown = rows(&browser, "#reached").await;
    assert_eq!(shown.len(), 2, "{shown:#?}");
    for peer in peers["peers"].as_array().expect("peers") {
        let row = shown.iter().find(|row| row["key"] == peer["peer_id"]).expect("each has a row");
        assert!(row["Peer"].as_str().expect("text").starts_with(peer["name"].as_str().expect("a name")), "{row}");
        assert_eq!(row["Direction"], peer["direction"], "{row}");
        assert!(peer["state_root"].as_str().expect("a root").starts_with(row["Root"].as_str().expect("text")), "{row}");
        assert_eq!((&row["Same"], &row["Strikes"]), (&json!("same"), &json!("0/10")), "{row}");
    }

    let gone = world.node(2).reached().expect("it runs").run.p2p[0].rsplit('/').next().expect("an id").to_owned();
    world.node(2).kill().await;
    let is_gone = "
        const of = (table) => Array.from(document.querySelectorAll(`${table} tbody tr`), (row) => row.dataset.key);
        return of('#reached').length === 1 && !of('#reached').includes(args[0]) && of('#away').includes(args[0])
            && document.querySelectorAll('.links line').length === 1;";
    until(&browser, "the killed peer gone", is_gone, vec![json!(gone)]).await;
    go(&browser, "overview").await;
    until(&browser, "one peer", "return document.querySelector('[data-count=lattice]').textContent === '1'", vec![])
        .await;

    // What happens to the node itself is said, too; and what was last known is no longer shown as if it were so now.
    browser.expect_quiet(&[&url], &[]).await;
    world.node(0).kill().await;
    let silent = "
        const verdict = document.querySelector('.verdict');
        return document.documentElement.dataset.link === 'bad' && verdict.dataset.level === 'bad'
            && /^No answer since [0-9:]{8} /.test(verdict.querySelector('p').textContent)
            && / No answer since /.test(document.getElementById('said').textContent);";
    until(&browser, "no answer", silent, vec![]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_divergence_shows_as_a_fork_and_its_healing_as_what_closed_it() {
    let Some(browser) = Browser::open().await else { return };
    let mut world = World::apart(2).await;
    let other = format!("http://{}", world.node(1).launch_mut().http);
    world.node(1).start().await.expect("started");
    for n in 0..3 {
        world.put(1, &format!("theirs/{n}"), "kept").await;
    }
    // Slow enough to be watched, fast enough for a test.
    let options = ["--node", &other, "--heartbeat-ms", "1500", "--heartbeat-mismatches", "5"].map(String::from);
    world.node(0).launch_mut().options = options.to_vec();
    world.node(0).listen().await.expect("it listens");
    let url = world.url(0);
    world.put(0, "ours", "kept").await;
    open(&browser, &url, "roots").await;
    let open_fork = "return document.querySelector('#forks tr[data-open=yes]') !== null && document.querySelector('.branches [data-open=yes]') !== null";
    until(&browser, "an open fork", open_fork, vec![]).await;
    go(&browser, "overview").await;
    let said = "return /Roots differ/.test(document.querySelector('.verdict').textContent) && document.querySelector('.verdict').dataset.level === 'bad'";
    until(&browser, "the verdict says so", said, vec![]).await;
    go(&browser, "roots").await;
    until(&browser, "a closed fork", "return document.querySelector('#forks tr[data-open=no]') !== null", vec![]).await;
    let fork = rows(&browser, "#forks").await.remove(0);
    assert_eq!(fork["Moved"], "3 entries received, 1 sent", "{fork}");
    assert!(fork["Closed by"].as_str().expect("text").starts_with("reconcile, equal"), "{fork}");
    let name = api(&other, "/api/v1/status").await["name"].clone();
    assert_eq!(fork["Node"], name);
    let nearer = "
        const choice = document.getElementById('roots-window');
        choice.value = '2';
        choice.dispatchEvent(new Event('change'));";
    browser.run(nearer, vec![]).await;
    browser.resize(1024, 900).await;
    let picture = browser.client.screenshot().await.expect("a picture");
    std::fs::write(folder().join("fork-1024.png"), picture).expect("written");

    go(&browser, "events").await;
    for kind in ["divergence", "reconcile-started", "reconcile-finished"] {
        until(
            &browser,
            kind,
            "return document.querySelector(`.events [data-kind=${args[0]}]`) !== null",
            vec![json!(kind)],
        )
        .await;
    }
    // The filter leaves what fits.
    let filtered = "
        document.querySelectorAll('.checks input').forEach((box) => { if (box.value !== 'divergence' && box.checked) box.click(); });
        const kinds = new Set(Array.from(document.querySelectorAll('.events li'), (item) => item.dataset.kind));
        return Array.from(kinds).join(' ');";
    assert_eq!(browser.run(filtered, vec![]).await, "divergence");
    browser.expect_quiet(&[&url], &[]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seat_shows_with_what_would_be_lost_and_its_hidden_mirror_serves_no_page() {
    let Some(browser) = Browser::open().await else { return };
    let mut world = World::of(4).await;
    let (url, mirror) = (world.url(0), world.url(1));
    let words = ["seat", "create", "--holder", "node-1", "--shadow", "node-2", "--voters", "node-1,node-3,node-4"];
    let created = world.node(0).output(&words).await.expect("it ran");
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    open(&browser, &url, "overview").await;
    let shown = deadline::until(SOON, async || {
        let (seat, shown) = (api(&url, "/api/v1/seat").await, overview(&browser).await);
        let is_shown = seat["is_takeover_possible"] == true
            && shown["Lost if the holder died now"] == seat["takeover"]
            && shown["Holder"] == "node-1"
            && shown["This node"] == "holder, serving under a lease"
            && shown["Lag"] == "node-2 has all";
        if is_shown { Ok(()) } else { Err(format!("{shown:#}\n{seat:#}")) }
    });
    shown.await.unwrap_or_else(|late| panic!("{late}"));
    // What a mirror stated before it hid is no root of now.
    let hidden =
        "return Array.from(document.querySelectorAll('.network .hash'), (one) => one.textContent).includes('hidden')";
    until(&browser, "the mirror in the picture", hidden, vec![]).await;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let refused = deadline::until(SOON, async || match client.get(&mirror).send().await {
        Err(error) if error.is_connect() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    refused.await.unwrap_or_else(|late| panic!("{late}"));
    browser.expect_quiet(&[&url], &[]).await;
    browser.close().await;
}

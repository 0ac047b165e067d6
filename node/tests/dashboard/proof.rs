//! A proof is checked in the browser: it holds, and one changed byte refutes it.

use serde_json::json;
use testnet::deadline;

use crate::browser::{Browser, ELSEWHERE};
use crate::page::open;
use crate::world::{SOON, World, api, until};

/// Opens the entry whose key is given.
const CHOOSE: &str = "
    const button = Array.from(document.querySelectorAll('.keys .key')).find((one) => one.firstChild.textContent === args[0]);
    button?.click();
    return Boolean(button);";

/// Asks for the proof, waits for the verdict, and gives it with the steps.
const CHECK: &str = "
    document.querySelector('#entry .main').click();
    const verdict = document.querySelector('.proof-verdict');
    while (!['good', 'bad', 'watch'].includes(verdict.dataset.level)) await new Promise((done) => setTimeout(done, 50));
    return { words: verdict.textContent, level: verdict.dataset.level,
        steps: Array.from(document.querySelectorAll('.steps li'), (step) => step.dataset.outcome) };";

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_holds_and_one_changed_byte_refutes_it() {
    let Some(browser) = Browser::open().await else { return };
    let world = World::of(3).await;
    world.put(1, "colour", "green").await;
    world.put(2, "shape", "round").await;
    let url = world.url(0);
    open(&browser, &url, "state").await;
    // Nothing is written any more: the last checkpoint gets its cosignatures, however slow the machine is.
    let signed = deadline::until(SOON, async || {
        let status = api(&url, "/api/v1/status").await;
        let (checkpoint, records) = (&status["checkpoint"], &status["log_size"]);
        let is_signed = checkpoint["size"] == *records && checkpoint["cosignatures"].as_u64() > Some(0);
        if is_signed { Ok(()) } else { Err(format!("{checkpoint}")) }
    });
    signed.await.unwrap_or_else(|late| panic!("{late}"));
    until(&browser, "the key in the list", CHOOSE, vec![json!("colour")]).await;
    until(&browser, "the entry", "return document.querySelector('#entry pre')?.textContent === 'green'", vec![]).await;
    let holds = browser.run(CHECK, vec![]).await;
    assert_eq!((&holds["level"], holds["steps"].as_array().map(Vec::len)), (&json!("good"), Some(7)), "{holds:#}");
    assert!(holds["words"].as_str().expect("text").starts_with("Proven"), "{holds:#}");

    // Of the very bundle, one letter at a time is another, wherever it stands.
    let flipped = "
        const { verify } = await import('/dashboard/proof/bundle.js');
        const bundle = await (await fetch('/api/v1/proof/entry?key=colour')).text();
        const policy = await (await fetch('/api/v1/policy')).text();
        const wrong = [];
        for (let at = 0; at < bundle.length; at += 7) {
            if (/\\s/.test(bundle[at])) continue;
            const letter = bundle[at] === 'A' ? 'B' : 'A';
            const { verdict } = await verify(bundle.slice(0, at) + letter + bundle.slice(at + 1), policy);
            if (verdict !== 'refuted') wrong.push([at, verdict]);
        }
        return wrong;";
    assert_eq!(browser.run(flipped, vec![]).await, json!([]));

    // And so it is told, should the node send such a bundle.
    let lie = "
        const honest = window.fetch;
        window.fetch = async (path, options) => {
            const response = await honest(path, options);
            if (!path.startsWith('/api/v1/proof/')) return response;
            const text = await response.text();
            const at = text.indexOf('extra ') + 200;
            return new Response(text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1));
        };";
    browser.run(lie, vec![]).await;
    let refuted = browser.run(CHECK, vec![]).await;
    assert_eq!(refuted["level"], "bad", "{refuted:#}");
    assert!(refuted["words"].as_str().expect("text").starts_with("Refuted"), "{refuted:#}");
    assert_eq!(refuted["steps"].as_array().and_then(|steps| steps.last().cloned()), Some(json!("fails")));
    browser.expect_quiet(&[&url], &[]).await;

    // A key that is not there: that is proven as well.
    open(&browser, &format!("{url}/?again"), "state").await;
    let absent = "
        document.querySelector('#prefix').value = 'nothing/here';
        document.querySelector('[role=search]').requestSubmit();
        const button = Array.from(document.querySelectorAll('.buttons button')).find((one) => /has no entry/.test(one.textContent));
        while (button.hidden) await new Promise((done) => setTimeout(done, 20));
        button.click();";
    browser.run(absent, vec![]).await;
    until(
        &browser,
        "no entry",
        "return document.querySelector('#entry:not([hidden]) h2')?.textContent === 'No such entry'",
        vec![],
    )
    .await;
    let proven = browser.run(CHECK, vec![]).await;
    assert_eq!(proven["words"], "Proven: the key has no entry, by the keys of the policy", "{proven:#}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_webcrypto_the_page_says_so_and_offers_the_bundle() {
    let Some(browser) = Browser::open().await else { return };
    let world = World::of(1).await;
    world.put(0, "colour", "green").await;
    let url = world.url(0).replace("127.0.0.1", ELSEWHERE);
    open(&browser, &url, "state").await;
    assert_eq!(browser.run("return globalThis.crypto.subtle === undefined", vec![]).await, true);
    until(&browser, "the key in the list", CHOOSE, vec![json!("colour")]).await;
    let said = "return document.querySelector('#entry .main')?.disabled && /WebCrypto/.test(document.querySelector('.proof').textContent)";
    until(&browser, "no WebCrypto", said, vec![]).await;
    // What is saved is the bundle.
    let saved = "
        let given;
        URL.createObjectURL = (blob) => { given = blob; return 'blob:nothing'; };
        HTMLAnchorElement.prototype.click = function () { this.dataset.clicked = this.download; window.saved = this.download; };
        Array.from(document.querySelectorAll('.proof button')).find((one) => one.textContent === 'Save the bundle').click();
        while (!given) await new Promise((done) => setTimeout(done, 20));
        return [window.saved, (await given.text()).split('\\n')[0]];";
    assert_eq!(browser.run(saved, vec![]).await, json!(["colour.proof", "lattice-proof/v1"]));
    browser.expect_quiet(&[&url], &[]).await;
    browser.close().await;
}

//! A page of which something did not come: it asks for it again, and is never blank meanwhile.

use serde_json::json;

use crate::browser::Browser;
use crate::page::shown;
use crate::world::{World, until};

async fn block(browser: &Browser, files: &[&str]) {
    browser.command("Network.enable", json!({})).await;
    browser.command("Network.setBlockedURLs", json!({ "urls": files })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_does_not_come_is_asked_for_again() {
    // On a busy machine one lost connection left a page that said nothing for ever.
    let Some(browser) = Browser::open().await else { return };
    let world = World::of(1).await;
    block(&browser, &["*/dashboard/lanes.js"]).await;
    browser.client.goto(&format!("{}/", world.url(0))).await.expect("the page");
    let again = "return document.getElementById('link-words').textContent === 'loading again'
        && document.querySelector('#main .waiting a').textContent === 'load it again'";
    until(&browser, "it loads again, and says so", again, vec![]).await;
    block(&browser, &[]).await;
    shown(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_style_that_does_not_come_is_asked_for_again() {
    let Some(browser) = Browser::open().await else { return };
    let world = World::of(1).await;
    block(&browser, &["*/dashboard/views.css"]).await;
    browser.client.goto(&format!("{}/", world.url(0))).await.expect("the page");
    shown(&browser).await;
    let has_style = "return getComputedStyle(document.querySelector('.verdict')).display === 'flex'";
    assert_eq!(browser.run(has_style, vec![]).await, false);
    block(&browser, &[]).await;
    until(&browser, "the style", has_style, vec![]).await;
    browser.close().await;
}

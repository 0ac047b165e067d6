//! How the page looks: each view at three widths, light and dark, kept as pictures for people and inspected for all.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::browser::Browser;
use crate::page::{go, open};
use crate::world::{World, until};

/// Widths of a telephone, a small and a large screen.
const WIDTHS: [u32; 3] = [360, 1024, 1600];

/// Height of the window, and the most that a picture shows.
const HEIGHT: u32 = 900;
const PICTURE_HEIGHT_MAX: u64 = 4_000;

const INSPECT: &str = include_str!("inspect.js");

/// Where people find the pictures.
pub(crate) fn folder() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("within target").join("dashboard");
    std::fs::create_dir_all(&target).expect("a folder");
    target
}

/// Brings a view to where it shows all that it has.
async fn ready(browser: &Browser, view: &str) {
    go(browser, view).await;
    let shown = match view {
        "overview" => "return document.querySelectorAll('.last-events li').length > 0 && document.querySelector('.spark .line').hasAttribute('d')",
        "peers" => "return document.querySelectorAll('#reached tbody tr').length > 0",
        "roots" => "return document.querySelectorAll('.lanes rect').length > 0",
        "state" => {
            "const key = Array.from(document.querySelectorAll('.keys .key')).find((one) => one.firstChild.textContent === 'fruit/1');
             if (document.querySelector('#entry')?.hidden) key?.click();
             const check = document.querySelector('#entry:not([hidden]) .main');
             if (check && document.querySelectorAll('.steps li').length === 0) check.click();
             return document.querySelector('.proof-verdict')?.dataset.level === 'good'"
        }
        _ => {
            "const first = document.querySelector('.events details');
             if (first) first.open = true;
             return first !== null"
        }
    };
    until(browser, view, shown, vec![]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_is_usable_at_every_width_light_and_dark() {
    let Some(browser) = Browser::open().await else { return };
    let mut world = World::of(4).await;
    for n in 0..60 {
        world.put(n % 4, &format!("fruit/{n}"), "ripe").await;
    }
    world.node(3).kill().await;
    let (url, folder) = (world.url(0), folder());
    browser.resize(WIDTHS[0], HEIGHT).await;
    open(&browser, &url, "overview").await;
    let mut findings = Vec::new();
    for view in ["overview", "peers", "roots", "state", "events"] {
        for width in WIDTHS {
            browser.resize(width, HEIGHT).await;
            for scheme in ["light", "dark"] {
                browser.scheme(scheme).await;
                ready(&browser, view).await;
                let found = browser.run(INSPECT, vec![]).await;
                let found = found.as_array().expect("a list").iter();
                findings
                    .extend(found.map(|what| format!("{view}, {width}, {scheme}: {}", what.as_str().unwrap_or("?"))));
                let height = browser.run("return document.documentElement.scrollHeight", vec![]).await;
                let height = height.as_u64().expect("a height").min(PICTURE_HEIGHT_MAX);
                browser.resize(width, u32::try_from(height).expect("bounded")).await;
                let picture = browser.client.screenshot().await.expect("a picture");
                std::fs::write(folder.join(format!("{view}-{width}-{scheme}.png")), picture).expect("written");
                browser.resize(width, HEIGHT).await;
            }
        }
    }
    println!("the pictures are in {}", folder.display());
    assert!(findings.is_empty(), "{findings:#?}");
    browser.expect_quiet(&[&url], &[]).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_reach_every_view_and_the_theme_is_remembered() {
    let Some(browser) = Browser::open().await else { return };
    let world = World::of(1).await;
    let url = world.url(0);
    open(&browser, &url, "overview").await;
    let press = "document.dispatchEvent(new KeyboardEvent('keydown', { key: args[0], bubbles: true }))";
    for (key, view) in [("2", "peers"), ("3", "roots"), ("4", "state"), ("5", "events"), ("1", "overview")] {
        browser.run(press, vec![json!(key)]).await;
        let there = "return document.querySelector('nav [aria-current]')?.getAttribute('href') === `#${args[0]}` && document.activeElement.id === 'main'";
        until(&browser, view, there, vec![json!(view)]).await;
    }
    browser.run(press, vec![json!("5")]).await;
    until(&browser, "events", "return document.querySelector('.events') !== null", vec![]).await;
    browser.run(press, vec![json!("/")]).await;
    assert_eq!(browser.run("return document.activeElement.id", vec![]).await, "event-search");
    browser.run("document.activeElement.blur()", vec![]).await;
    browser.run(press, vec![json!("?")]).await;
    assert_eq!(browser.run("return document.getElementById('keys').open", vec![]).await, true);
    browser.run("document.getElementById('keys').close()", vec![]).await;
    for theme in ["light", "dark"] {
        browser.run(press, vec![json!("t")]).await;
        assert_eq!(browser.run("return document.documentElement.dataset.theme", vec![]).await, theme);
    }
    open(&browser, &format!("{url}/?again"), "overview").await;
    assert_eq!(browser.run("return getComputedStyle(document.documentElement).colorScheme", vec![]).await, "dark");
    browser.expect_quiet(&[&url], &[]).await;
    browser.close().await;
}

//! The page's modules by themselves, among them the verifier on the known answers of the format.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::page::open;
use crate::world::World;

const UNITS: &str = include_str!("units.js");

const BUNDLES: &str = include_str!("../../../lattice/vectors/bundles.json");

#[tokio::test(flavor = "multi_thread")]
async fn each_module_does_what_it_says_and_the_verifier_knows_all_known_answers() {
    let Some(browser) = Browser::open().await else { return };
    let world = World::of(1).await;
    open(&browser, &world.url(0), "overview").await;
    let bundles: Value = serde_json::from_str(BUNDLES).expect("JSON");
    assert!(bundles["cases"].as_array().is_some_and(|cases| cases.len() > 50));
    assert_eq!(browser.run(UNITS, vec![bundles]).await, json!([]));
    browser.close().await;
}

//! What the page shows, read out of it as a person would.

use serde_json::Value;

use crate::browser::Browser;
use crate::world::until;

/// The figures of the overview, by name.
const OVERVIEW: &str = "
    const all = {};
    document.querySelectorAll('.overview .facts > div').forEach((line) => {
        all[line.children[0].textContent] = line.children[1].textContent;
    });
    document.querySelectorAll('[data-count]').forEach((one) => { all[one.dataset.count] = one.textContent; });
    all.root = document.querySelector('.root-line code').title;
    all.entries = document.querySelector('.numbers .number').textContent;
    all.verdict = document.querySelector('.verdict').dataset.level;
    all.words = document.querySelector('.verdict p').textContent;
    all.name = document.getElementById('name').textContent;
    return all;";

/// Rows of a table: each a map of its columns.
const ROWS: &str = "
    return Array.from(document.querySelectorAll(`${args[0]} tbody tr`), (row) => {
        const cells = Array.from(row.children, (cell) => [cell.dataset.title, cell.textContent]);
        return { ...Object.fromEntries(cells), key: row.dataset.key };
    });";

/// Opens a view of a node's page and waits until it shows something.
pub(crate) async fn open(browser: &Browser, url: &str, view: &str) {
    browser.client.goto(&format!("{url}/#{view}")).await.expect("the page");
    shown(browser).await;
}

/// Waits until the page is live.
pub(crate) async fn shown(browser: &Browser) {
    let live = "return document.querySelector('#main .view') !== null && document.getElementById('link').dataset.level === 'good'";
    until(browser, "a live page", live, Vec::new()).await;
}

/// Moves to another view of the page that is open.
pub(crate) async fn go(browser: &Browser, view: &str) {
    browser.run("location.hash = args[0]", vec![view.into()]).await;
    let there = "return document.querySelector('nav [aria-current]')?.getAttribute('href') === `#${args[0]}`";
    until(browser, view, there, vec![view.into()]).await;
}

pub(crate) async fn overview(browser: &Browser) -> Value {
    browser.run(OVERVIEW, Vec::new()).await
}

pub(crate) async fn rows(browser: &Browser, table: &str) -> Vec<Value> {
    browser.run(ROWS, vec![table.into()]).await.as_array().expect("rows").clone()
}

//! The environment as a source of options: `LATTICE_NAME`, `LATTICE_P2P`, … with lists separated by commas.
//!
//! An unknown `LATTICE_…` variable is told of and not refused, unlike an unknown key of the file: others set variables
//! too. Container platforms do so after the name of a service (`LATTICE_PORT=tcp://…`), which is not even told.

use std::fmt::Display;
use std::str::FromStr;

use super::typed::Typed;

/// What the names of all our variables begin with.
const PREFIX: &str = "LATTICE_";

/// Variables that are options.
const OPTIONS: [&str; 25] = [
    "LATTICE_NAME",
    "LATTICE_P2P",
    "LATTICE_HTTP",
    "LATTICE_API_TOKEN_READ",
    "LATTICE_PEERS",
    "LATTICE_EXTERNAL",
    "LATTICE_NODES",
    "LATTICE_HTTP_URL",
    "LATTICE_LATTICE_HTTP",
    "LATTICE_CHECKPOINT_MS",
    "LATTICE_HEARTBEAT_MS",
    "LATTICE_HEARTBEAT_JITTER_PERCENT",
    "LATTICE_HEARTBEAT_TIMEOUT_MS",
    "LATTICE_HEARTBEAT_MISMATCHES",
    "LATTICE_HTTP_MODE_AFTER_MS",
    "LATTICE_ADMIN_HTTP",
    "LATTICE_SEAT_TIMING",
    "LATTICE_SEAT_NO_SHADOW",
    "LATTICE_ON_SEAT_CHANGE",
    "LATTICE_RELAYS",
    "LATTICE_RELAY",
    "LATTICE_MDNS",
    "LATTICE_SYNCHRONOUS",
    "LATTICE_LOG",
    "LATTICE_LOG_JSON",
];

/// Variables that mean something beside the options.
const OTHERS: [&str; 3] = ["LATTICE_DIR", "LATTICE_URL", "LATTICE_WRITE_VECTORS"];

/// What the names of variables begin with that tests look at.
const TEST_PREFIX: &str = "LATTICE_TEST_";

/// Letters by which a name may differ from the one that was meant.
const TYPOS_MAX: usize = 2;

/// A variable that no one reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The one that may have been meant.
    pub nearest: Option<&'static str>,
}

/// Those of these variables that look like ours and are none.
pub fn unknown(names: impl IntoIterator<Item = String>) -> Vec<UnknownVariable> {
    let is_known = |name: &str| OPTIONS.contains(&name) || OTHERS.contains(&name) || name.starts_with(TEST_PREFIX);
    // `…_SERVICE_HOST`, `…_PORT`, `…_PORT_4800_TCP_ADDR`.
    let is_of_a_platform = |name: &str| name.split('_').any(|word| word == "SERVICE" || word == "PORT");
    let is_unknown = |name: &String| name.starts_with(PREFIX) && !is_known(name) && !is_of_a_platform(name);
    let mut unknown: Vec<_> =
        names.into_iter().filter(is_unknown).map(|name| UnknownVariable { nearest: nearest(&name), name }).collect();
    unknown.sort_by(|one, other| one.name.cmp(&other.name));
    unknown
}

/// The known name that another one is a beginning of, or a slip of the finger away from.
fn nearest(name: &str) -> Option<&'static str> {
    let known = || OPTIONS.into_iter().chain(OTHERS);
    let (typos, near) = known().map(|known| (typos(name, known), known)).min()?;
    let longer = || known().find(|known| name.len() > PREFIX.len() && known.starts_with(name));
    if typos <= TYPOS_MAX { Some(near) } else { longer() }
}

/// Letters to add, drop or change until one name is the other (Levenshtein, 1965).
fn typos(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.bytes().enumerate() {
        let mut before = std::mem::replace(&mut row[0], index + 1);
        for (column, other_letter) in other.bytes().enumerate() {
            let changed = before + usize::from(letter != other_letter);
            before = row[column + 1];
            row[column + 1] = changed.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// A variable's value can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {variable}: {why}")]
pub struct BadVariable {
    variable: &'static str,
    why: String,
}

/// Reads the options that `variable` knows, which gives the value of a variable by its name. An empty value
/// is silent, and so is an empty item of a list: a comma at its end, say.
///
/// # Errors
///
/// [`BadVariable`] names the first variable whose value is not valid.
pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Typed, BadVariable> {
    let value = |name: &str| variable(name).filter(|text| !text.is_empty());
    Ok(Typed {
        name: one("LATTICE_NAME", value("LATTICE_NAME"))?,
        p2p: list("LATTICE_P2P", value("LATTICE_P2P"))?,
        http: list("LATTICE_HTTP", value("LATTICE_HTTP"))?,
        api_token_read: one("LATTICE_API_TOKEN_READ", value("LATTICE_API_TOKEN_READ"))?,
        peers: list("LATTICE_PEERS", value("LATTICE_PEERS"))?,
        external: list("LATTICE_EXTERNAL", value("LATTICE_EXTERNAL"))?,
        nodes: list("LATTICE_NODES", value("LATTICE_NODES"))?,
        http_url: one("LATTICE_HTTP_URL", value("LATTICE_HTTP_URL"))?,
        lattice_http: list("LATTICE_LATTICE_HTTP", value("LATTICE_LATTICE_HTTP"))?,
        checkpoint_ms: one("LATTICE_CHECKPOINT_MS", value("LATTICE_CHECKPOINT_MS"))?,
        heartbeat_ms: one("LATTICE_HEARTBEAT_MS", value("LATTICE_HEARTBEAT_MS"))?,
        heartbeat_jitter_percent: one("LATTICE_HEARTBEAT_JITTER_PERCENT", value("LATTICE_HEARTBEAT_JITTER_PERCENT"))?,
        heartbeat_timeout_ms: one("LATTICE_HEARTBEAT_TIMEOUT_MS", value("LATTICE_HEARTBEAT_TIMEOUT_MS"))?,
        heartbeat_mismatches: one("LATTICE_HEARTBEAT_MISMATCHES", value("LATTICE_HEARTBEAT_MISMATCHES"))?,
        http_mode_after_ms: one("LATTICE_HTTP_MODE_AFTER_MS", value("LATTICE_HTTP_MODE_AFTER_MS"))?,
        admin_http: list("LATTICE_ADMIN_HTTP", value("LATTICE_ADMIN_HTTP"))?,
        seat_timing: one("LATTICE_SEAT_TIMING", value("LATTICE_SEAT_TIMING"))?,
        seat_no_shadow: one("LATTICE_SEAT_NO_SHADOW", value("LATTICE_SEAT_NO_SHADOW"))?,
        on_seat_change: list("LATTICE_ON_SEAT_CHANGE", value("LATTICE_ON_SEAT_CHANGE"))?,
        relays: list("LATTICE_RELAYS", value("LATTICE_RELAYS"))?,
        relay: one("LATTICE_RELAY", value("LATTICE_RELAY"))?,
        mdns: one("LATTICE_MDNS", value("LATTICE_MDNS"))?,
        synchronous: one("LATTICE_SYNCHRONOUS", value("LATTICE_SYNCHRONOUS"))?,
        // Its commas are its own.
        log: one("LATTICE_LOG", value("LATTICE_LOG"))?,
        log_json: one("LATTICE_LOG_JSON", value("LATTICE_LOG_JSON"))?,
    })
}

fn one<T: FromStr<Err: Display>>(variable: &'static str, value: Option<String>) -> Result<Option<T>, BadVariable> {
    value.map(|text| word(variable, &text)).transpose()
}

fn list<T: FromStr<Err: Display>>(
    variable: &'static str,
    value: Option<String>,
) -> Result<Option<Vec<T>>, BadVariable> {
    let items = |text: String| {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| word(variable, item)).collect()
    };
    value.map(items).transpose()
}

fn word<T: FromStr<Err: Display>>(variable: &'static str, text: &str) -> Result<T, BadVariable> {
    text.parse().map_err(|why: T::Err| BadVariable { variable, why: why.to_string() })
}

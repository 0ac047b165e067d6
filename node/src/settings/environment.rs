//! The environment as a source of options: `LATTICE_NAME`, `LATTICE_P2P`, … with lists separated by commas.
//!
//! An unknown `LATTICE_…` variable is left alone, unlike an unknown key of the file: container platforms set
//! variables of their own after the name of a service (`LATTICE_PORT=tcp://…`).

use std::fmt::Display;
use std::str::FromStr;

use super::typed::Typed;

/// A variable's value can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {variable}: {why}")]
pub struct BadVariable {
    variable: &'static str,
    why: String,
}

/// Reads the options that `variable` knows, which gives the value of a variable by its name. An empty value
/// is silent.
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
        peers: list("LATTICE_PEERS", value("LATTICE_PEERS"))?,
        external: list("LATTICE_EXTERNAL", value("LATTICE_EXTERNAL"))?,
        nodes: list("LATTICE_NODES", value("LATTICE_NODES"))?,
        http_url: one("LATTICE_HTTP_URL", value("LATTICE_HTTP_URL"))?,
        lattice_http: list("LATTICE_LATTICE_HTTP", value("LATTICE_LATTICE_HTTP"))?,
        heartbeat_ms: one("LATTICE_HEARTBEAT_MS", value("LATTICE_HEARTBEAT_MS"))?,
        heartbeat_jitter_percent: one("LATTICE_HEARTBEAT_JITTER_PERCENT", value("LATTICE_HEARTBEAT_JITTER_PERCENT"))?,
        heartbeat_timeout_ms: one("LATTICE_HEARTBEAT_TIMEOUT_MS", value("LATTICE_HEARTBEAT_TIMEOUT_MS"))?,
        heartbeat_mismatches: one("LATTICE_HEARTBEAT_MISMATCHES", value("LATTICE_HEARTBEAT_MISMATCHES"))?,
        http_mode_after_ms: one("LATTICE_HTTP_MODE_AFTER_MS", value("LATTICE_HTTP_MODE_AFTER_MS"))?,
        mdns: one("LATTICE_MDNS", value("LATTICE_MDNS"))?,
        synchronous: one("LATTICE_SYNCHRONOUS", value("LATTICE_SYNCHRONOUS"))?,
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
    value.map(|text| text.split(',').map(|item| word(variable, item.trim())).collect()).transpose()
}

fn word<T: FromStr<Err: Display>>(variable: &'static str, text: &str) -> Result<T, BadVariable> {
    text.parse().map_err(|why: T::Err| BadVariable { variable, why: why.to_string() })
}

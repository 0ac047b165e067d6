//! The second road's options: whom to ask over HTTP, how often, and after how much to act.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http_fallback::client::ANSWER_TIMEOUT;
use http_fallback::heartbeat::Config;
use http_fallback::mode::HTTP_AFTER_MS;
use http_fallback::tracker::{self, INTERVAL_MS, JITTER_PERCENT, MISMATCHES};
use lattice::address::{URL_BYTES_MAX, is_url};
use serde::Deserialize;

/// What the second road runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// URLs of nodes to ask, without a slash at the end.
    pub nodes: Vec<String>,
    /// Where others reach this node over HTTP; it is published to members.
    pub own_url: Option<String>,
    /// How often, and after how much to act.
    pub numbers: Config,
    /// Time for an answer.
    pub timeout: Duration,
}

/// The base of a node's URLs, such as `http://192.0.2.7:4800`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NodeUrl(String);

impl FromStr for NodeUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_url(text) {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(format!(
                "{text:?} is not a node's URL: write http://HOST:PORT or https://HOST, at most {URL_BYTES_MAX} bytes, \
                 without user, query or fragment"
            ))
        }
    }
}

impl TryFrom<String> for NodeUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<NodeUrl> for String {
    fn from(url: NodeUrl) -> Self {
        url.0
    }
}

/// A whole number within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Within<const LEAST: u64, const MOST: u64>(u64);

/// Milliseconds between two beats: no faster than ten a second, no slower than one an hour.
pub type BeatMs = Within<100, 3_600_000>;

/// Milliseconds to wait for an answer.
pub type TimeoutMs = Within<100, 60_000>;

/// Hundredths of the interval.
pub type JitterPercent = Within<0, 50>;

/// Mismatches in a row.
pub type Mismatches = Within<1, 1_000>;

/// Milliseconds alone until HTTP mode: at least two samples, at most a day.
pub type AloneMs = Within<2_000, 86_400_000>;

impl<const LEAST: u64, const MOST: u64> TryFrom<u64> for Within<LEAST, MOST> {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        if (LEAST..=MOST).contains(&number) { Ok(Self(number)) } else { Err(bad(&number, LEAST, MOST)) }
    }
}

impl<const LEAST: u64, const MOST: u64> FromStr for Within<LEAST, MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<u64>().map_err(|_| bad(&format!("{text:?}"), LEAST, MOST))?.try_into()
    }
}

fn bad(found: &dyn fmt::Display, least: u64, most: u64) -> String {
    format!("{found} is not a whole number from {least} to {most}")
}

/// The options of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TypedNumbers {
    pub(super) beat_ms: Option<BeatMs>,
    pub(super) jitter_percent: Option<JitterPercent>,
    pub(super) timeout_ms: Option<TimeoutMs>,
    pub(super) mismatches: Option<Mismatches>,
    pub(super) alone_ms: Option<AloneMs>,
}

impl Heartbeat {
    /// What was typed, with the defaults filled in.
    pub(super) fn resolve(nodes: Vec<String>, own_url: Option<String>, typed: &TypedNumbers) -> Self {
        let tracker = tracker::Config {
            interval_ms: typed.beat_ms.map_or(INTERVAL_MS, |ms| ms.0),
            jitter_percent: typed.jitter_percent.map_or(JITTER_PERCENT, |percent| percent.0),
            // At most 1000.
            mismatches: typed.mismatches.map_or(MISMATCHES, |count| count.0 as u32),
        };
        let http_after_ms = typed.alone_ms.map_or(HTTP_AFTER_MS, |ms| ms.0);
        let timeout = typed.timeout_ms.map_or(ANSWER_TIMEOUT, |ms| Duration::from_millis(ms.0));
        Self { nodes, own_url, numbers: Config { tracker, http_after_ms }, timeout }
    }
}

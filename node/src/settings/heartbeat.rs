//! The second road's options: whom to ask over HTTP, how often, and after how much to act.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use http_fallback::client::ANSWER_TIMEOUT;
use http_fallback::heartbeat::Config;
use http_fallback::mode::HTTP_AFTER_MS;
use http_fallback::tracker::{self, INTERVAL_MS, JITTER_PERCENT, MISMATCHES};
use lattice::address::{URL_BYTES_MAX, is_url};
use reqwest::Url;
use serde::Deserialize;

use super::within::Within;

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

/// The base of a node's URLs, such as `http://192.0.2.7:4800`; its scheme may be typed in capitals.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NodeUrl(String);

impl FromStr for NodeUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = match text.split_once("://") {
            Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
            None => text.to_owned(),
        };
        // What is a URL to the lattice need not be one to the client that asks: a host 300.0.0.1, say.
        if is_url(&url) && Url::parse(&url).is_ok() {
            Ok(Self(url.trim_end_matches('/').to_owned()))
        } else {
            Err(format!(
                "{text:?} is not a node's URL: write http://HOST:PORT or https://HOST, with a port from 1 to 65535, at \
                 most {URL_BYTES_MAX} bytes, without user, query or fragment"
            ))
        }
    }
}

/// Where other members reach this node over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OwnUrl(String);

impl FromStr for OwnUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = String::from(text.parse::<NodeUrl>()?);
        if ip(&url).is_some_and(|ip| ip.is_unspecified()) {
            return Err(format!(
                "{text:?} says on which interfaces a node listens, not where others reach it: write http://HOST:PORT \
                 with an address or name of this machine that other members can reach"
            ));
        }
        Ok(Self(url))
    }
}

/// Whether a URL leads back to the machine that asks.
pub fn is_loopback(url: &str) -> bool {
    let is_name = |host: &str| host == "localhost" || host.ends_with(".localhost");
    let by_name = Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(is_name));
    by_name || ip(url).is_some_and(|ip| ip.is_loopback())
}

/// The address in a URL, as the client that asks reads it: `http://0` is 0.0.0.0 to it.
fn ip(url: &str) -> Option<IpAddr> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    host.parse().ok().map(|ip: IpAddr| ip.to_canonical())
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

impl TryFrom<String> for OwnUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<OwnUrl> for String {
    fn from(url: OwnUrl) -> Self {
        url.0
    }
}

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
            interval_ms: typed.beat_ms.map_or(INTERVAL_MS, |ms| ms.get()),
            jitter_percent: typed.jitter_percent.map_or(JITTER_PERCENT, |percent| percent.get()),
            // At most 1000.
            mismatches: typed.mismatches.map_or(MISMATCHES, |count| count.get() as u32),
        };
        let http_after_ms = typed.alone_ms.map_or(HTTP_AFTER_MS, |ms| ms.get());
        let timeout = typed.timeout_ms.map_or(ANSWER_TIMEOUT, |ms| Duration::from_millis(ms.get()));
        Self { nodes, own_url, numbers: Config { tracker, http_after_ms }, timeout }
    }
}

//! Configuration in two types: what was typed ([`Typed`], per source) and what is meant ([`Settings`]).
//!
//! Each source is read once, at the edge, into a `Typed` whose values are already valid; a bad value is
//! refused where it stands, with the file's line or the variable's name. Then flags go over the environment,
//! the environment over the file, the file over the defaults, and the rest of the program sees only
//! `Settings`.
//!
//! # Reading order
//!
//! 1. [`typed`]: the options of a source, and which source wins. [`address`]: what counts as an address.
//!    [`heartbeat`], [`seat`], [`log`]: options that belong together. [`within`]: numbers that keep their bounds.
//! 2. [`environment`] and [`mod@file`]: two sources; the command line is the third.
//! 3. [`reload`]: what changes while a node runs. [`founding`]: the genesis as an operator writes it.

use std::net::SocketAddr;
use std::path::PathBuf;

use libp2p::Multiaddr;

pub mod typed;
pub mod address;
pub mod heartbeat;
pub mod seat;
pub mod log;
pub mod within;
pub mod environment;
pub mod file;
pub mod reload;
pub mod founding;

use address::{HttpListen, P2pListen};
use heartbeat::{Heartbeat, TypedNumbers};
use log::LogFilter;
use seat::SeatSettings;
use typed::{Synchronous, Typed};
use within::CheckpointMs;

/// Port of the HTTP API when none is given.
pub const HTTP_PORT_DEFAULT: u16 = 4800;

/// Port of both libp2p transports when none is given.
pub const P2P_PORT_DEFAULT: u16 = 4801;

/// Milliseconds between two checkpoints, unless told otherwise: auditors see a change within about a second.
pub const CHECKPOINT_MS_DEFAULT: u64 = 1_000;

/// What a node runs with, every value valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The node's directory.
    pub dir: PathBuf,
    /// What people call the node, if another name than the one it was founded or joined with.
    pub name: Option<String>,
    /// Addresses to listen on for other nodes.
    pub p2p: Vec<Multiaddr>,
    /// Addresses of the HTTP API.
    pub http: Vec<SocketAddr>,
    /// Whether readers of the API must show a token.
    pub api_token_read: bool,
    /// Addresses for other nodes' HTTP requests; none if they come to the API's.
    pub lattice_http: Vec<SocketAddr>,
    /// The second road.
    pub heartbeat: Heartbeat,
    /// Milliseconds between two checkpoints of a log that grows.
    pub checkpoint_ms: u64,
    /// Loopback addresses for orders about the seat, beside the admin socket.
    pub admin_http: Vec<SocketAddr>,
    /// How this node keeps its part in the seat.
    pub seat: SeatSettings,
    /// Peers to dial for ever, with or without their peer id at the end.
    pub peers: Vec<Multiaddr>,
    /// Addresses to announce beside those that others observe.
    pub external: Vec<Multiaddr>,
    /// Relays to be found at, each with its peer id.
    pub relays: Vec<Multiaddr>,
    /// Whether others are found here.
    pub relay: bool,
    /// Whether to look for peers on the local network.
    pub mdns: bool,
    /// How hard the store waits for the disk.
    pub synchronous: Synchronous,
    /// What is logged.
    pub log: LogFilter,
    /// Whether to log JSON lines.
    pub log_json: bool,
}

/// Why the settings, each valid by itself, can't be meant together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSettings {
    /// Strangers could reach the API, and no token would stop them from writing.
    #[error(
        "refusing to serve the API on {address}, which other machines can reach, without a token: {} does not \
         exist; use a loopback address such as 127.0.0.1:{HTTP_PORT_DEFAULT}, or run `lattice init` or \
         `lattice join`, which write the token",
        token.display()
    )]
    OpenWithoutToken {
        /// The address beyond loopback.
        address: SocketAddr,
        /// Where the token should be.
        token: PathBuf,
    },
    /// Orders would be taken from other machines.
    #[error("orders are taken on loopback only, and {0} is another address; for another machine, use a tunnel")]
    AdminBeyondLoopback(SocketAddr),
    /// An empty list where at least one address is needed.
    #[error("{option} names no address; give at least one, or leave it out for the default")]
    NoAddress {
        /// Name of the option.
        option: &'static str,
    },
}

impl Settings {
    /// What `typed` means for the node in `dir`, with the defaults filled in. `has_token`
    /// says whether the node's API token exists.
    ///
    /// # Errors
    ///
    /// [`BadSettings`].
    pub fn resolve(dir: PathBuf, typed: Typed, has_token: bool) -> Result<Self, BadSettings> {
        let http = at_least_one("http", typed.http, || vec![HttpListen::default_on_loopback()])?;
        let http = without_repeats(http.into_iter().map(SocketAddr::from).collect());
        if let (Some(&address), false) = (http.iter().find(|a| !a.ip().is_loopback()), has_token) {
            let token = dir.join("api.token");
            return Err(BadSettings::OpenWithoutToken { address, token });
        }
        let lattice_http = at_least_one("lattice_http", typed.lattice_http, Vec::new)?;
        let numbers = TypedNumbers {
            beat_ms: typed.heartbeat_ms,
            jitter_percent: typed.heartbeat_jitter_percent,
            timeout_ms: typed.heartbeat_timeout_ms,
            mismatches: typed.heartbeat_mismatches,
            alone_ms: typed.http_mode_after_ms,
        };
        let nodes = without_repeats(typed.nodes.into_iter().flatten().map(String::from).collect());
        let p2p = at_least_one("p2p", typed.p2p, || vec![P2pListen::default_for_all_interfaces()])?;
        Ok(Self {
            dir,
            name: typed.name.map(String::from),
            p2p: without_repeats(p2p.into_iter().flat_map(P2pListen::into_addresses).collect()),
            http,
            api_token_read: typed.api_token_read.unwrap_or(false),
            lattice_http: without_repeats(lattice_http.into_iter().map(SocketAddr::from).collect()),
            heartbeat: Heartbeat::resolve(nodes, typed.http_url.map(String::from), &numbers),
            checkpoint_ms: typed.checkpoint_ms.map_or(CHECKPOINT_MS_DEFAULT, CheckpointMs::get),
            admin_http: on_loopback(typed.admin_http)?,
            seat: SeatSettings::resolve(typed.seat_timing, typed.seat_no_shadow, typed.on_seat_change),
            peers: without_repeats(typed.peers.into_iter().flatten().map(Multiaddr::from).collect()),
            external: without_repeats(typed.external.into_iter().flatten().map(Multiaddr::from).collect()),
            relays: without_repeats(typed.relays.into_iter().flatten().map(Multiaddr::from).collect()),
            relay: typed.relay.unwrap_or(false),
            mdns: typed.mdns.unwrap_or(true),
            synchronous: typed.synchronous.unwrap_or_default(),
            log: typed.log.unwrap_or_default(),
            log_json: typed.log_json.unwrap_or(false),
        })
    }
}

/// The addresses for orders, if nobody reaches them from elsewhere.
fn on_loopback(typed: Option<Vec<HttpListen>>) -> Result<Vec<SocketAddr>, BadSettings> {
    let addresses =
        without_repeats(at_least_one("admin_http", typed, Vec::new)?.into_iter().map(SocketAddr::from).collect());
    match addresses.iter().find(|address| !address.ip().is_loopback()) {
        Some(address) => Err(BadSettings::AdminBeyondLoopback(*address)),
        None => Ok(addresses),
    }
}

fn at_least_one<T>(
    option: &'static str,
    typed: Option<Vec<T>>,
    default: impl FnOnce() -> Vec<T>,
) -> Result<Vec<T>, BadSettings> {
    match typed {
        None => Ok(default()),
        Some(list) if list.is_empty() => Err(BadSettings::NoAddress { option }),
        Some(list) => Ok(list),
    }
}

/// Keeps the first of equal items: binding one address twice would fail, dialling it twice is waste.
fn without_repeats<T: PartialEq>(list: Vec<T>) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    for item in list {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

#[cfg(test)]
mod tests;

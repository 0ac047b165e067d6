//! `lattice run`: runs a node with flags over environment over file, until it is told to stop.

use std::io::IsTerminal;

use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::exit::{Failure, usage};
use super::target::{Directory, TOKEN_FILE};
use crate::daemon;
use crate::settings::address::{DialAddress, HttpListen, P2pListen};
use crate::settings::heartbeat::{AloneMs, BeatMs, JitterPercent, Mismatches, NodeUrl, TimeoutMs};
use crate::settings::typed::{NodeName, Synchronous, Typed};
use crate::settings::{Settings, environment, file};
use crate::terminal;

/// What is logged unless `LATTICE_LOG` says otherwise, in the words of `tracing`'s filters. Kademlia warns
/// every few minutes of having no peers, which is how a lone node is.
const LOG_FILTER_DEFAULT: &str =
    "info,libp2p=warn,libp2p_gossipsub=error,libp2p_kad=error,sqlx=warn,quinn=warn,netlink=warn";

/// Where options come from, for `--help`.
const SOURCES: &str = "\
Options may also stand in DIR/lattice.toml, which explains each and its default, or in the environment as
LATTICE_NAME, LATTICE_P2P, LATTICE_NODES and so on: LATTICE_ and the option's name in lattice.toml (lists separated by
commas). Flags go over the environment, that goes over the file.
LATTICE_LOG chooses what is logged, such as \"info,node::sync=debug\".";

#[derive(Debug, clap::Args)]
#[command(after_help = SOURCES)]
pub(super) struct Args {
    #[command(flatten)]
    directory: Directory,
    /// Listens here for other nodes: IP:PORT (TCP and QUIC) or a multiaddr; repeatable
    #[arg(long, value_name = "ADDR")]
    p2p: Vec<P2pListen>,
    /// Serves the API here: IP:PORT; repeatable
    #[arg(long, value_name = "ADDR")]
    http: Vec<HttpListen>,
    /// Dials this node for ever: a multiaddr; repeatable
    #[arg(long = "peer", value_name = "MULTIADDR")]
    peers: Vec<DialAddress>,
    /// Announces this address of the node: a multiaddr; repeatable
    #[arg(long, value_name = "MULTIADDR")]
    external: Vec<DialAddress>,
    /// Asks this node over HTTP what it holds: http://HOST:PORT; repeatable
    #[arg(long = "node", value_name = "URL")]
    nodes: Vec<NodeUrl>,
    /// Tells members that this node is reached here over HTTP
    #[arg(long, value_name = "URL")]
    http_url: Option<NodeUrl>,
    /// Serves /api/lattice/* here and no longer with the API: IP:PORT; repeatable
    #[arg(long, value_name = "ADDR")]
    lattice_http: Vec<HttpListen>,
    /// Milliseconds between two questions to a node over HTTP
    #[arg(long, value_name = "MS")]
    heartbeat_ms: Option<BeatMs>,
    /// Hundredths of that time which are left to chance
    #[arg(long, value_name = "PERCENT")]
    heartbeat_jitter_percent: Option<JitterPercent>,
    /// Milliseconds to wait for the answer
    #[arg(long, value_name = "MS")]
    heartbeat_timeout_ms: Option<TimeoutMs>,
    /// Other roots in a row until this node reconciles over HTTP
    #[arg(long, value_name = "COUNT")]
    heartbeat_mismatches: Option<Mismatches>,
    /// Milliseconds without a libp2p peer of the lattice until each question reconciles
    #[arg(long, value_name = "MS")]
    http_mode_after_ms: Option<AloneMs>,
    /// Looks for nodes of this lattice on the local network
    #[arg(long, overrides_with = "no_mdns")]
    mdns: bool,
    /// Does not look for nodes on the local network
    #[arg(long, overrides_with = "mdns")]
    no_mdns: bool,
    /// What people call the node
    #[arg(long)]
    name: Option<NodeName>,
    /// How hard the store waits for the disk: full or normal
    #[arg(long, value_name = "MODE")]
    synchronous: Option<Synchronous>,
    /// Logs JSON lines
    #[arg(long)]
    log_json: bool,
}

impl Args {
    fn typed(self) -> Typed {
        let some = |given: bool, value: bool| given.then_some(value);
        Typed {
            name: self.name,
            p2p: given(self.p2p),
            http: given(self.http),
            peers: given(self.peers),
            external: given(self.external),
            nodes: given(self.nodes),
            http_url: self.http_url,
            lattice_http: given(self.lattice_http),
            heartbeat_ms: self.heartbeat_ms,
            heartbeat_jitter_percent: self.heartbeat_jitter_percent,
            heartbeat_timeout_ms: self.heartbeat_timeout_ms,
            heartbeat_mismatches: self.heartbeat_mismatches,
            http_mode_after_ms: self.http_mode_after_ms,
            mdns: some(self.mdns, true).or(some(self.no_mdns, false)),
            synchronous: self.synchronous,
            log_json: some(self.log_json, true),
        }
    }
}

fn given<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let settings = settings(args)?;
    log_to_standard_error(settings.log_json)?;
    let shutdown = CancellationToken::new();
    let watcher = tokio::spawn(stop_on_signal(shutdown.clone()));
    let result = daemon::run(settings, shutdown).await;
    watcher.abort();
    result.map_err(|error| Failure::No(format!("{error:#}")))
}

fn settings(args: Args) -> Result<Settings, Failure> {
    let dir = args.directory.path()?;
    let file = file::read(&dir).map_err(usage)?;
    let environment = environment::read(|name| std::env::var(name).ok()).map_err(usage)?;
    let has_token = dir.join(TOKEN_FILE).exists();
    Settings::resolve(dir, args.typed().over(environment).over(file), has_token).map_err(usage)
}

fn log_to_standard_error(json: bool) -> Result<(), Failure> {
    let filter = std::env::var("LATTICE_LOG").unwrap_or_else(|_| LOG_FILTER_DEFAULT.to_owned());
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        usage(format!("environment variable LATTICE_LOG: {error}; write one such as {LOG_FILTER_DEFAULT:?}"))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| terminal::Log);
    if json {
        log.json().init();
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).with_target(false).init();
    }
    Ok(())
}

/// Stops the node in order at Ctrl-C or SIGTERM; a second signal ends the process at once.
async fn stop_on_signal(shutdown: CancellationToken) {
    if signalled().await.is_ok() {
        shutdown.cancel();
    }
    if signalled().await.is_ok() {
        std::process::exit(1);
    }
}

async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

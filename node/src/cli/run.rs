//! `lattice run`: runs a node with flags over environment over file, until it is told to stop.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, reload};

use super::exit::{Failure, usage};
use super::target::{Directory, TOKEN_FILE};
use crate::daemon::{self, Launcher, LogBy};
use crate::home::HomeError;
use crate::settings::address::{DialAddress, HttpListen, P2pListen, RelayAddress};
use crate::settings::environment::UnknownVariable;
use crate::settings::heartbeat::{AloneMs, BeatMs, JitterPercent, Mismatches, NodeUrl, OwnUrl, TimeoutMs};
use crate::settings::log::LogFilter;
use crate::settings::seat::{SeatNoShadow, SeatTiming};
use crate::settings::typed::{NodeName, Synchronous, Typed};
use crate::settings::within::CheckpointMs;
use crate::settings::{Settings, environment, file};
use crate::terminal;

/// Where options come from, for `--help`.
const SOURCES: &str = "\
Options may also stand in DIR/lattice.toml, which explains each and its default, or in the environment as
LATTICE_NAME, LATTICE_P2P, LATTICE_NODES and so on: LATTICE_ and the option's name in lattice.toml (lists separated by
commas). Flags go over the environment, that goes over the file. SIGHUP, or `lattice reload`, has the file read again.";

#[derive(Debug, Clone, clap::Args)]
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
    /// Lets only those read the API and the dashboard who show the token in DIR/read.token, written if it is not there
    #[arg(long)]
    api_token_read: bool,
    /// Dials this node for ever: a multiaddr; repeatable
    #[arg(long = "peer", value_name = "MULTIADDR")]
    peers: Vec<DialAddress>,
    /// Announces this address of the node: a multiaddr; repeatable
    #[arg(long, value_name = "MULTIADDR")]
    external: Vec<DialAddress>,
    /// Asks this node over HTTP what it holds: http://HOST:PORT; repeatable
    #[arg(long = "node", value_name = "URL")]
    nodes: Vec<NodeUrl>,
    /// Tells members that this node is reached here over HTTP: http://HOST:PORT; a start without it withdraws that
    #[arg(long, value_name = "URL")]
    http_url: Option<OwnUrl>,
    /// Serves /api/lattice/* here and no longer with the API: IP:PORT; repeatable
    #[arg(long, value_name = "ADDR")]
    lattice_http: Vec<HttpListen>,
    /// Milliseconds between two questions to a node over HTTP, 100 to 3600000 [default: 10000]
    #[arg(long, value_name = "MS")]
    heartbeat_ms: Option<BeatMs>,
    /// Hundredths of that time which are left to chance, 0 to 50 [default: 10]
    #[arg(long, value_name = "PERCENT")]
    heartbeat_jitter_percent: Option<JitterPercent>,
    /// Milliseconds to wait for the answer, 100 to 60000 [default: 5000]
    #[arg(long, value_name = "MS")]
    heartbeat_timeout_ms: Option<TimeoutMs>,
    /// Other roots in a row until this node reconciles over HTTP, 1 to 1000 [default: 3]
    #[arg(long, value_name = "COUNT")]
    heartbeat_mismatches: Option<Mismatches>,
    /// Milliseconds without a libp2p peer of the lattice until each question reconciles, 2000 to 86400000
    /// [default: 60000]
    #[arg(long, value_name = "MS")]
    http_mode_after_ms: Option<AloneMs>,
    /// Milliseconds between two signed checkpoints of a log that grows, 100 to 3600000 [default: 1000]
    #[arg(long, value_name = "MS")]
    checkpoint_ms: Option<CheckpointMs>,
    /// Takes orders about the seat here too, on loopback, from whoever shows admin.token: IP:PORT; repeatable
    #[arg(long, value_name = "ADDR")]
    admin_http: Vec<HttpListen>,
    /// How fast a seat moves: lan or wan; all nodes alike [default: lan]
    #[arg(long, value_name = "PRESET")]
    seat_timing: Option<SeatTiming>,
    /// What happens to writes of the seat while its shadow is away: block or degrade [default: block]
    #[arg(long, value_name = "POLICY")]
    seat_no_shadow: Option<SeatNoShadow>,
    /// Runs this when the seat moves: a command, and its arguments by repeating the option
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    on_seat_change: Vec<String>,
    /// Is found at this relay, for a node that others can't dial: a multiaddr with /p2p/ID; repeatable
    #[arg(long = "use-relay", value_name = "MULTIADDR")]
    relays: Vec<RelayAddress>,
    /// Is a relay, at which nodes that others can't dial are found
    #[arg(long)]
    relay: bool,
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
    /// What is logged, such as "info,node::sync=debug"
    #[arg(long, value_name = "FILTER")]
    log: Option<LogFilter>,
    /// Logs JSON lines
    #[arg(long)]
    log_json: bool,
    /// Prints a ticket for one more node with what it prints at the start
    #[arg(long)]
    ticket: bool,
}

impl Args {
    fn typed(self) -> Typed {
        let some = |given: bool, value: bool| given.then_some(value);
        Typed {
            name: self.name,
            p2p: given(self.p2p),
            http: given(self.http),
            api_token_read: some(self.api_token_read, true),
            peers: given(self.peers),
            external: given(self.external),
            nodes: given(self.nodes),
            http_url: self.http_url,
            lattice_http: given(self.lattice_http),
            checkpoint_ms: self.checkpoint_ms,
            heartbeat_ms: self.heartbeat_ms,
            heartbeat_jitter_percent: self.heartbeat_jitter_percent,
            heartbeat_timeout_ms: self.heartbeat_timeout_ms,
            heartbeat_mismatches: self.heartbeat_mismatches,
            http_mode_after_ms: self.http_mode_after_ms,
            admin_http: given(self.admin_http),
            seat_timing: self.seat_timing,
            seat_no_shadow: self.seat_no_shadow,
            on_seat_change: given(self.on_seat_change),
            relays: given(self.relays),
            relay: some(self.relay, true),
            mdns: some(self.mdns, true).or(some(self.no_mdns, false)),
            synchronous: self.synchronous,
            log: self.log,
            log_json: some(self.log_json, true),
        }
    }
}

fn given<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let (settings, with_ticket) = (settings(args.clone())?, args.ticket);
    let log_by = log_to_standard_error(&settings)?;
    warn_of_unknown_variables();
    let read = Box::new(move || self::settings(args.clone()).map_err(|failure| failure.to_string()));
    let shutdown = CancellationToken::new();
    let watcher = tokio::spawn(stop_on_signal(shutdown.clone()));
    let result = daemon::run(settings, Launcher { read, log_by, tell: Arc::new(show), with_ticket }, shutdown).await;
    watcher.abort();
    result.map_err(|error| match error.downcast_ref() {
        Some(absent @ HomeError::Absent(_)) => usage(absent),
        Some(_) | None => Failure::No(format!("{error:#}")),
    })
}

/// On standard output, which no log is made of.
fn show(banner: &str) {
    // A reader that went away had enough.
    let _ = std::io::stdout().write_all(banner.as_bytes());
}

fn settings(args: Args) -> Result<Settings, Failure> {
    let dir = args.directory.path()?;
    let file = file::read(&dir).map_err(usage)?;
    let environment = environment::read(|name| std::env::var(name).ok()).map_err(usage)?;
    let has_token = dir.join(TOKEN_FILE).exists();
    Settings::resolve(dir, args.typed().over(environment).over(file), has_token).map_err(usage)
}

/// A variable with a slip in its name would otherwise be without effect and without a word.
fn warn_of_unknown_variables() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for UnknownVariable { name, nearest } in environment::unknown(names) {
        let meant = nearest.map_or(String::new(), |nearest| format!("; was {nearest} meant?"));
        tracing::warn!("no option is called {name}, so this environment variable has no effect{meant}");
    }
}

/// Begins to log; gives what changes the filter later.
fn log_to_standard_error(settings: &Settings) -> Result<LogBy, Failure> {
    let filter = EnvFilter::try_new(settings.log.as_str()).map_err(usage)?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_writer(|| terminal::Log);
    let subscriber = tracing_subscriber::registry().with(filter);
    if settings.log_json {
        subscriber.with(lines.json()).init();
    } else {
        subscriber.with(lines.with_ansi(std::io::stderr().is_terminal()).with_target(false)).init();
    }
    Ok(Box::new(move |filter| {
        let filter = EnvFilter::try_new(filter.as_str()).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    }))
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

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;
    use crate::settings::CHECKPOINT_MS_DEFAULT;
    use crate::settings::typed::Typed;

    #[test]
    fn the_help_gives_the_range_and_the_default_of_each_number() {
        let settings = Settings::resolve("/d".into(), Typed::default(), true).expect("defaults");
        let (heartbeat, command) = (settings.heartbeat, Args::augment_args(clap::Command::new("run")));
        let tracker = heartbeat.numbers.tracker;
        let timeout_ms = u64::try_from(heartbeat.timeout.as_millis()).expect("small");
        for (id, (least, most), default) in [
            ("heartbeat_ms", BeatMs::RANGE, tracker.interval_ms),
            ("heartbeat_jitter_percent", JitterPercent::RANGE, tracker.jitter_percent),
            ("heartbeat_timeout_ms", TimeoutMs::RANGE, timeout_ms),
            ("heartbeat_mismatches", Mismatches::RANGE, u64::from(tracker.mismatches)),
            ("http_mode_after_ms", AloneMs::RANGE, heartbeat.numbers.http_after_ms),
            ("checkpoint_ms", CheckpointMs::RANGE, CHECKPOINT_MS_DEFAULT),
        ] {
            let argument = command.get_arguments().find(|argument| argument.get_id() == id).expect(id);
            let help = argument.get_help().expect(id).to_string();
            let expected = format!("{least} to {most} [default: {default}]");
            assert!(help.contains(&expected), "{expected}: {help}");
        }
    }
}

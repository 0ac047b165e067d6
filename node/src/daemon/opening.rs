//! What a node finds when it starts: its database, proved, and the peers worth dialling.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Instant;

use indicatif::ProgressBar;
use lattice::membership::Membership;
use libp2p::Multiaddr;
use node_core::peers::PeerBook;
use node_core::resume::Doubt;

use crate::home::{Home, Start};
use crate::join::inviters;
use crate::metrics::Metrics;
use crate::net::address::split;
use crate::net::swarm::{NetConfig, keypair, name};
use crate::service::WriteError;
use crate::settings::{self, Settings};
use crate::store::open::{Opened, open};
use crate::store::rebuild::Progress;
use crate::writer::{Identity, Published, WriterHandle};
use crate::{addressbook, terminal};

/// Entries between two lines about a rebuild: about one a second.
const PROGRESS_ENTRIES: u64 = 200_000;

pub(super) async fn open_store(home: &Home, identity: &Identity, settings: &Settings) -> anyhow::Result<Opened> {
    let started = Instant::now();
    let bar = rebuild_bar();
    let is_hidden = bar.is_hidden();
    let mut told = 0;
    let show = |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        // Without a terminal, a line now and then.
        if is_hidden && progress.done >= told + PROGRESS_ENTRIES {
            told = progress.done;
            tracing::info!(done = progress.done, total = progress.total, "rebuilding the state tree");
        }
    };
    let synchronous = match settings.synchronous {
        settings::typed::Synchronous::Full => crate::store::open::Synchronous::Full,
        settings::typed::Synchronous::Normal => crate::store::open::Synchronous::Normal,
    };
    let opened = open(&home.path("state.db"), identity.lattice, identity.keys.log_key(), synchronous, show).await;
    bar.finish_and_clear();
    let opened = opened?;
    let (entries, took_ms) = (opened.rebuilt.tree.len(), started.elapsed().as_millis() as u64);
    tracing::info!(entries, took_ms, "state proved against its root");
    Ok(opened)
}

fn rebuild_bar() -> ProgressBar {
    if std::io::stderr().is_terminal() { terminal::entries_bar("rebuilding") } else { ProgressBar::hidden() }
}

/// Number of the last commit of this node that its database tells of.
pub(super) fn own_seq(opened: &Opened, identity: &Identity) -> u64 {
    opened.frontier.chain(&identity.keys.author.id(), 0).highest()
}

/// Says at once what keeps this node from writing: nobody else may be there to say it.
pub(super) fn warn_of_doubt(start: Start) {
    match start.doubt {
        _ if start.is_catching_up => tracing::warn!("{}", WriteError::CatchingUp),
        Some(doubt @ (Doubt::Copied | Doubt::Restored)) => tracing::warn!("{}", WriteError::Unsure(doubt)),
        Some(Doubt::Usual) | None => {}
    }
}

/// What the swarm is to do, by the settings.
pub(super) fn net_config(settings: &Settings, metrics: Arc<Metrics>) -> NetConfig {
    NetConfig {
        listen: settings.p2p.clone(),
        external: settings.external.clone(),
        mdns: settings.mdns,
        metrics,
        relays: settings.relays.clone(),
        is_relay: settings.relay,
    }
}

/// The book with everybody worth dialling: configured peers, inviters, and members met before.
pub(super) fn peer_book(
    home: &Home,
    settings: &Settings,
    identity: &Identity,
    membership: Arc<Membership>,
    is_catching_up: bool,
) -> anyhow::Result<PeerBook> {
    let own = keypair(identity).public().to_peer_id();
    let mut book = PeerBook::new(name(&own), membership);
    for (peer, address) in addressbook::load(home) {
        let bare = split(&address).0.to_string();
        if is_catching_up {
            // Without a state nobody is known to be a member; those met before are all there is to ask.
            book.configure(name(&peer), bare);
        } else {
            book.learn(name(&peer), bare);
        }
    }
    let ticket = home.ticket()?;
    let invited_by = ticket.iter().flat_map(inviters).map(|(_, address)| address);
    for address in settings.peers.iter().cloned().chain(invited_by) {
        configure(&mut book, &address);
    }
    Ok(book)
}

fn configure(book: &mut PeerBook, address: &Multiaddr) {
    match split(address) {
        (bare, Some(peer)) => book.configure(name(&peer), bare.to_string()),
        (bare, None) => book.configure_address(bare.to_string()),
    }
}

/// The name given at the start, or the one that the membership knows, or the author's first digits.
pub(super) fn node_name(settings: &Settings, writer: &WriterHandle, identity: &Identity) -> String {
    let author = identity.keys.author.id();
    let known = writer.published().membership.member(&author).map(|member| member.name.clone());
    settings.name.clone().or(known).unwrap_or_else(|| author.short())
}

/// Whether this node copies the holder of the seat, by what it knew when it stopped.
pub(super) fn is_mirror(identity: &Identity, published: &Published) -> bool {
    let own = identity.keys.author.id();
    let current = published.membership.seats().current().map(|term| &term.certificate.body);
    current.is_some_and(|body| body.mirrors().any(|mirror| *mirror == own))
}

//! A libp2p client that knows nothing of a lattice: it only identifies itself and answers pings.

use std::time::Duration;

use futures::StreamExt;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, SwarmBuilder, identify, noise, ping, tcp, yamux};

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

/// Its connections live until this is dropped.
pub(crate) struct Stray(tokio::task::JoinHandle<()>);

impl Drop for Stray {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects to the first TCP address among `addresses` as often as asked.
pub(crate) async fn connect(addresses: &[String], connections: u32) -> Stray {
    let tcp = addresses.iter().find(|address| address.contains("/tcp/")).expect("it listens on TCP");
    let address: Multiaddr = tcp.parse().expect("a multiaddr");
    let mut swarm = swarm();
    for _ in 0..connections {
        let dial = DialOpts::from(address.clone());
        let peer = dial.get_peer_id().expect("the address names the node");
        let dial = DialOpts::peer_id(peer).addresses(vec![address.clone()]);
        swarm.dial(dial.condition(PeerCondition::Always).build()).expect("dialling");
    }
    let mut established = 0;
    while established < connections {
        let event = swarm.select_next_some().await;
        if let SwarmEvent::OutgoingConnectionError { error, .. } = event {
            panic!("the node refuses connections: {error}");
        }
        established += u32::from(matches!(event, SwarmEvent::ConnectionEstablished { .. }));
    }
    Stray(tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    }))
}

fn swarm() -> Swarm<Behaviour> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("TCP with Noise and Yamux")
        .with_behaviour(|keys| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new("/stray/1".into(), keys.public())),
            ping: ping::Behaviour::default(),
        })
        .expect("a behaviour")
        // It never closes a connection itself: whether one stays is the node's choice.
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3600)))
        .build()
}

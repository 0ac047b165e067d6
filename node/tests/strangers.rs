//! Strangers that speak no protocol of ours: noise and silence on every port change nothing for anybody else.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use testnet::client::PeerCounts;
use testnet::cluster::{Cluster, wait_until_settled};
use testnet::process::Reached;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Connections that strangers make to each port: more than a node has members, fewer than a process has file handles.
const STRANGERS: usize = 200;

/// Bytes of noise on each connection: more than a first read takes.
const NOISE_BYTES: usize = 16 * 1024;

/// Time for the nodes to settle; a slow machine takes a while.
const SOON: Duration = Duration::from_secs(90);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lattice"))
}

/// The node's ports: TCP for nodes, UDP for nodes, TCP for clients.
fn ports(reached: &Reached) -> (SocketAddr, SocketAddr, SocketAddr) {
    let listening = |protocol: &str| {
        let address = reached.run.p2p.iter().find(|address| address.contains(protocol)).expect("it listens");
        let parts: Vec<&str> = address.split('/').collect();
        format!("{}:{}", parts[2], parts[4]).parse().expect("an address")
    };
    (listening("/tcp/"), listening("/udp/"), reached.run.http[0].parse().expect("an address"))
}

fn noise() -> Vec<u8> {
    let mut bytes = vec![0; NOISE_BYTES];
    getrandom::fill(&mut bytes).expect("random bytes");
    bytes
}

/// Sends noise over TCP and waits until the other side has had enough.
async fn noise_over_tcp(port: SocketAddr) {
    let mut stream = TcpStream::connect(port).await.expect("connected");
    // It may be cut off while it sends or while it waits; both are right.
    let _ = stream.write_all(&noise()).await;
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_on_every_port_do_no_harm() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut cluster = Cluster::start(program(), root.path(), 1).await.expect("started");
    let reached = cluster.nodes()[0].reached().expect("it runs");
    let (tcp, udp, http) = ports(&reached);
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    for _ in 0..20 {
        tokio::join!(noise_over_tcp(tcp), noise_over_tcp(http));
        socket.send_to(&noise()[..1200], udp).await.expect("sent");
    }
    let status = reached.client.status().await.expect("it answers");
    assert!(status.ready);
    assert_eq!(status.peers, PeerCounts::default(), "noise is no peer");
    reached.client.put("after", "noise").await.expect("acknowledged");
    cluster.admit().await.expect("joined");
    wait_until_settled(cluster.nodes(), SOON).await.expect("settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_stay_silent_keep_nobody_out() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut cluster = Cluster::start(program(), root.path(), 1).await.expect("started");
    let reached = cluster.nodes()[0].reached().expect("it runs");
    let (tcp, _, http) = ports(&reached);
    let mut silent = Vec::new();
    for _ in 0..STRANGERS {
        silent.push(TcpStream::connect(tcp).await.expect("connected"));
        let mut half = TcpStream::connect(http).await.expect("connected");
        half.write_all(b"PUT /api/v1/entries/half HTTP/1.1\r\nContent-Le").await.expect("sent");
        silent.push(half);
    }
    reached.client.put("meanwhile", "served").await.expect("acknowledged");
    cluster.admit().await.expect("joined");
    wait_until_settled(cluster.nodes(), SOON).await.expect("settled");
    drop(silent);
}

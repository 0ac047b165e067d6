//! The shadow is hidden: nothing listens there but its admin socket, and nobody passes it on.

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use testnet::deadline;
use tokio::process::Command;

use crate::world::{SOON, World, program};

/// How Linux writes the state of a listening TCP socket in `/proc/<pid>/net/tcp`.
const LISTEN: &str = "0A";

#[derive(Debug, Deserialize)]
struct Peer {
    author: Option<String>,
    mesh: bool,
    address: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Peers {
    peers: Vec<Peer>,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shadow_has_no_open_port_and_is_in_no_mesh_until_it_holds_the_seat() {
    let mut world = World::of(4, &[1]).await;
    let shadow = 1;
    let launch = world.nodes[shadow].launch_mut().clone();
    let ports: Vec<String> = launch.p2p.iter().cloned().chain([launch.http.clone()]).collect();
    // Where it listened before it was the shadow.
    deadline::until(SOON, async || match ports.iter().find(|port| !is_free(port)) {
        Some(port) => Err(format!("{port} is open")),
        None => Ok(()),
    })
    .await
    .expect("its ports are closed");
    // It serves no API that a doctor could ask.
    let told = deadline::until(SOON, async || {
        let doctor =
            Command::new(program()).arg("doctor").arg(world.nodes[shadow].dir()).output().await.expect("it runs");
        let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
        if doctor.status.success() && told.contains("mirror: shadow") { Ok(()) } else { Err(told) }
    });
    told.await.unwrap_or_else(|late| panic!("{late}"));
    let pid = world.nodes[shadow].pid().expect("it runs");
    assert_eq!(listening(pid), Vec::<String>::new());
    let open = world.nodes[2].launch_mut().p2p.clone();
    assert!(open.iter().any(|port| takes_quic(port)), "who is not hidden answers");
    for node in [0, 2, 3] {
        let seen = deadline::until(SOON, async || {
            let seen = peer(&world, node, shadow).await;
            match seen.as_ref().filter(|peer| peer.mesh || peer.address.as_deref().is_some_and(answers)) {
                Some(peer) => Err(format!("{}: {peer:?}", world.nodes[node].name())),
                None => Ok(()),
            }
        });
        seen.await.expect("it is in no mesh, and where peers think it is nobody answers");
    }
    let socket = world.nodes[shadow].dir().join("admin.sock");
    assert_eq!(fs::metadata(&socket).expect("a socket").permissions().mode() & 0o777, 0o600);
    let status = world.seat.admin(shadow).seat().await.expect("it answers its own user");
    assert_eq!(status.role, "shadow");
    // It has every write all the same, and an open API once it holds the seat.
    world.put(3, "green/seen", "1").await;
    world.one_root().await;
    world.seat.admin(0).switchover().await.expect("it moves");
    let shown = world.client(shadow);
    deadline::until(SOON, async || shown.ready().await.map_err(|error| error.to_string())?).await.expect("shown");
    assert!(!listening(pid).is_empty());
    deadline::until(SOON, async || if is_free(&ports[0]) { Err("closed".to_owned()) } else { Ok(()) })
        .await
        .expect("it listens for nodes again");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_taken_by_the_admin_socket_alone() {
    let world = World::of(4, &[1]).await;
    let base = world.client(0).url().clone();
    let token = fs::read_to_string(world.nodes[0].dir().join("api.token")).expect("a token");
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    for path in ["seat/switchover", "seat/create", "seat/settle", "seat/degrade", "seat/promote", "seat/pause"] {
        for prefix in ["", "api/v1/", "lattice/v1/"] {
            let url = base.join(&format!("{prefix}{path}")).expect("a URL");
            let answer = http.post(url).bearer_auth(token.trim()).body("{}").send().await.expect("an answer").status();
            assert!(
                matches!(answer, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED),
                "{prefix}{path}: {answer}"
            );
        }
    }
    assert_eq!(world.seat.admin(0).seat().await.expect("an answer").term, 1, "nothing moved");
}

/// What a node knows of another as its peer.
async fn peer(world: &World, node: usize, other: usize) -> Option<Peer> {
    let url = world.client(node).url().join("api/v1/peers").expect("a URL");
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let answer = http.get(url).send().await.expect("an answer").bytes().await.expect("a body");
    let peers: Peers = serde_json::from_slice(&answer).expect("peers");
    peers.peers.into_iter().find(|peer| peer.author.as_deref() == Some(world.seat.author(other)))
}

/// Whether somebody takes connections at a multiaddress such as `/ip4/127.0.0.1/tcp/1234`.
fn answers(address: &str) -> bool {
    let parts: Vec<&str> = address.split('/').collect();
    match parts[..] {
        ["", "ip4", ip, "tcp", port, ..] => TcpStream::connect(format!("{ip}:{port}")).is_ok(),
        ["", "ip4", ip, "udp", port, ..] => takes_quic(&format!("{ip}:{port}")),
        _ => true,
    }
}

/// How long a node on the same machine may take to answer a packet.
const PACKET_ANSWERED: Duration = Duration::from_millis(500);

/// Whether somebody takes QUIC connections at an address: told of a version that nobody speaks, a server names those that it does
/// (RFC 9000, 6.1); a socket that only ever asked is silent.
fn takes_quic(address: &str) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PACKET_ANSWERED)).expect("set");
    // Long header, a reserved version, and two connection ids of eight bytes.
    let mut packet = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 1, 1, 1, 1, 1, 1, 1, 8, 2, 2, 2, 2, 2, 2, 2, 2];
    packet.resize(1200, 0);
    socket.connect(address).expect("an address");
    socket.send(&packet).is_ok() && socket.recv(&mut packet).is_ok()
}

/// Whether nobody has `host:port`, for TCP and UDP.
fn is_free(address: &str) -> bool {
    TcpStream::connect(address).is_err() && TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}

/// Local addresses at which a process listens on TCP, as Linux writes them.
fn listening(pid: u32) -> Vec<String> {
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("its descriptors")
        .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()?.to_str().map(ToOwned::to_owned))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables =
        ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    let fields = rows.map(|row| row.split_whitespace().collect::<Vec<_>>());
    let its = fields.filter(|row| {
        row.get(3) == Some(&LISTEN) && row.get(9).is_some_and(|inode| sockets.iter().any(|socket| socket == inode))
    });
    its.map(|row| row[1].to_owned()).collect()
}

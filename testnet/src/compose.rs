//! `lattice testnet compose`: a compose file for a lattice of any number of nodes in containers.
//!
//! The text is a function of the number alone; `testnet/compose.yaml` is the one for five. It keeps to what docker-compose
//! 1.29 and Compose v2 both read.

use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Nodes at most: an engine's default address pools hold some thirty networks, and each node has one of its own.
const NODES_MAX: i64 = 24;

/// The first port on the host's loopback; node 1 is at the next.
const FIRST_PORT: u16 = 4810;

/// Options of `testnet compose`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How many nodes, beside the witness; 24 at most: each has a network of its own, and the default address pools of an
    /// engine hold some thirty
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=NODES_MAX))]
    nodes: u8,
}

/// Prints the file.
///
/// # Errors
/// If standard output can't be written.
pub fn run(options: &Options) -> io::Result<()> {
    io::stdout().write_all(file(options.nodes).as_bytes())
}

/// What a file begins with: what all nodes have in common.
const HEAD: &str = r#"# A lattice in containers. Written by `lattice testnet compose`; the file in the repository is the one for five nodes.
#
#   docker-compose -f testnet/compose.yaml up -d                         # or: docker compose; --build after a change
#   docker-compose -f testnet/compose.yaml --profile monitoring up -d    # with Prometheus and Grafana
#
# Each node's API and dashboard are on 127.0.0.1, the first at port 4811. The shadow shows neither: it is hidden, and
# serves once it takes over. `operator` ends when all have joined and the seat stands. Each node has a door of its own to
# the host, so one that is cut off (`docker network disconnect …_lattice …_node-5_1`) can still be looked at.

x-node: &node
  image: "${LATTICE_IMAGE:-lattice:local}"
  build:
    context: "${LATTICE_CONTEXT:-..}"
    dockerfile: testnet/Dockerfile
    args:
      BUILD_IMAGE: "${BUILD_IMAGE:-rust:1.95-bookworm}"
      RUNTIME_IMAGE: "${RUNTIME_IMAGE:-debian:bookworm-slim}"
      BINARY: "${BINARY:-target/release/lattice}"
  restart: unless-stopped
  read_only: true
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  stop_grace_period: 10s
  mem_limit: 512m
  cpus: 1.0
  pids_limit: 256

services:
"#;

/// Prometheus and Grafana; `TARGETS` stands for the nodes.
const MONITORING: &str = r#"
  prometheus:
    image: "${PROMETHEUS_IMAGE:-prom/prometheus:v3.5.0}"
    profiles: [monitoring]
    # Whom to ask stands in this file alone; Prometheus reads it from where prometheus.yml says.
    entrypoint: ["/bin/sh", "-c"]
    command:
      - >-
        echo '[{"targets": [TARGETS]}]' > /tmp/targets.json &&
        exec prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus
        --storage.tsdb.retention.time=7d
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    mem_limit: 512m
    volumes:
      - "./prometheus:/etc/prometheus:ro"
      - "prometheus:/prometheus"
    ports: ["127.0.0.1:9090:9090"]
    networks: [lattice, monitoring]

  grafana:
    image: "${GRAFANA_IMAGE:-grafana/grafana:12.1.0}"
    profiles: [monitoring]
    depends_on: [prometheus]
    environment:
      GF_AUTH_ANONYMOUS_ENABLED: "true"
      GF_AUTH_ANONYMOUS_ORG_ROLE: Viewer
      GF_AUTH_DISABLE_LOGIN_FORM: "true"
      GF_ANALYTICS_REPORTING_ENABLED: "false"
      GF_ANALYTICS_CHECK_FOR_UPDATES: "false"
    cap_drop: [ALL]
    mem_limit: 512m
    volumes:
      - "./grafana/provisioning:/etc/grafana/provisioning:ro"
      - "./grafana/dashboards:/var/lib/grafana/dashboards:ro"
      - "grafana:/var/lib/grafana"
    ports: ["127.0.0.1:3000:3000"]
    networks: [monitoring]
"#;

/// The whole file for `nodes` nodes and their witness.
fn file(nodes: u8) -> String {
    let names: Vec<String> = (1..=nodes).map(|number| format!("node-{number}")).chain(["witness".to_owned()]).collect();
    let mut text = HEAD.to_owned();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&node(name, index, &names));
    }
    text.push_str(&operator(&names));
    let targets: Vec<_> = names.iter().map(|name| format!("\"{name}:4800\"")).collect();
    text.push_str(&MONITORING.replace("TARGETS", &targets.join(", ")));
    text.push_str("\nnetworks:\n  # Over this one nodes talk to each other; it leads nowhere else.\n  lattice:\n    internal: true\n");
    text.push_str("  monitoring: {}\n");
    doors(&names).for_each(|name| lines(&mut text, &[&format!("  door-{name}: {{}}")]));
    text.push_str("\nvolumes:\n");
    names.iter().map(String::as_str).chain(["tickets", "prometheus", "grafana"]).for_each(|name| {
        lines(&mut text, &[&format!("  {name}: {{}}")]);
    });
    text
}

/// The nodes that are looked at from the host: all but the witness, which no client asks.
fn doors(names: &[String]) -> impl Iterator<Item = &String> {
    names.iter().filter(|name| *name != "witness")
}

/// One node's service.
fn node(name: &str, index: usize, names: &[String]) -> String {
    let others = || names.iter().filter(|other| *other != name);
    let peers: Vec<_> = others().map(|other| format!("/dns/{other}/tcp/4801")).collect();
    let urls: Vec<_> = others().map(|other| format!("http://{other}:4800")).collect();
    let verb = if index == 0 { "found" } else { "join" };
    let (mut text, has_door) = (String::new(), name != "witness");
    lines(
        &mut text,
        &[
            &format!("  {name}:"),
            "    <<: *node",
            &format!("    hostname: {name}"),
            &format!("    command: [{verb}]"),
            "    environment:",
            &format!("      LATTICE_NAME: {name}"),
            &format!("      LATTICE_EXTERNAL: /dns/{name}/tcp/4801"),
            &format!("      LATTICE_PEERS: {}", peers.join(",")),
            &format!("      LATTICE_NODES: {}", urls.join(",")),
            &format!("    volumes: [\"{name}:/data\", \"tickets:/tickets\"]"),
        ],
    );
    if has_door {
        let port = FIRST_PORT + index as u16 + 1;
        lines(&mut text, &[&format!("    ports: [\"127.0.0.1:{port}:4800\"]")]);
        lines(&mut text, &[&format!("    networks: [lattice, door-{name}]")]);
    } else {
        lines(&mut text, &["    networks: [lattice]"]);
    }
    text
}

/// The one-shot service that invites the others and founds the seat, at the first node's directory.
fn operator(names: &[String]) -> String {
    let invited = names[1..].join(" ");
    let mut text =
        "\n  operator:\n    <<: *node\n    restart: \"no\"\n    command: [operate]\n    environment:\n".to_owned();
    lines(&mut text, &["      LATTICE_URL: http://node-1:4800"]);
    lines(&mut text, &[&format!("      INVITED: {invited}")]);
    // A shadow, and three voters beside it or with it.
    if names.len() > 3 {
        lines(&mut text, &["      SEAT: --holder node-1 --shadow node-2 --voters node-1,node-3,witness"]);
    } else if names.len() == 3 {
        lines(&mut text, &["      SEAT: --holder node-1 --shadow node-2 --voters node-1,node-2,witness"]);
    }
    lines(
        &mut text,
        &[
            "    healthcheck: {disable: true}",
            "    volumes: [\"node-1:/data\", \"tickets:/tickets\"]",
            "    depends_on: [node-1]",
            "    networks: [lattice]",
        ],
    );
    text
}

fn lines(text: &mut String, lines: &[&str]) {
    for line in lines {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_the_repository_is_the_one_for_five_nodes() {
        let there = include_str!("../compose.yaml");
        assert_eq!(there, file(5), "write it again: lattice testnet compose > testnet/compose.yaml");
    }

    #[test]
    fn the_help_gives_the_bound() {
        use clap::Args as _;
        let command = Options::augment_args(clap::Command::new("compose"));
        let help = command.get_arguments().find_map(clap::Arg::get_help).expect("a text").to_string();
        assert!(help.contains(&format!("{NODES_MAX} at most")), "{help}");
    }

    #[test]
    fn a_file_for_one_node_has_no_seat_and_one_for_many_has_a_volume_a_port_and_peers_for_each() {
        assert!(!file(1).contains("SEAT") && file(2).contains("--voters node-1,node-2,witness"));
        let many = file(20);
        for number in 1..=20_u16 {
            for part in [format!("  node-{number}: {{}}\n"), format!("127.0.0.1:{}:4800", FIRST_PORT + number)] {
                assert_eq!(many.matches(&part).count(), 1, "{part}");
            }
            // Every other node dials it, the witness too.
            assert_eq!(
                many.matches(&format!("/dns/node-{number}/tcp/4801,")).count()
                    + many.matches(&format!("/dns/node-{number}/tcp/4801\n")).count(),
                20 + 1,
                "peers and its own"
            );
        }
    }
}

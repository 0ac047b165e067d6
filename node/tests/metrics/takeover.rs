//! A real takeover is measured where it ends: at the node that serves the seat from then on.

use std::time::Duration;

use testnet::cluster::wait_until_settled;
use testnet::deadline;
use testnet::seat::{Seat, found};

use crate::openmetrics::Scrape;
use crate::scrapes::{answered, program};

/// Time for something that must come about; only a broken node takes it.
const SOON: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_is_measured_by_the_node_that_took_over() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let mut nodes = found(program(), root.path(), 4, &[]).await.expect("started");
    wait_until_settled(&nodes, SOON).await.expect("in step");
    let seat = Seat::of(&nodes).await.expect("admin sockets");
    seat.create(0, &[1], &[0, 2, 3]).await.expect("founded");
    seat.steady(&nodes, SOON).await.expect("a shadow that follows");
    nodes[0].kill().await;
    let measured = deadline::until(SOON, async || {
        let status = seat.admin(1).seat().await.map_err(|error| error.to_string())?;
        if !status.is_serving {
            return Err(format!("{}, {}", status.role, status.doing));
        }
        let scraped = Scrape::read(&answered(&nodes[1]).await.map_err(|error| error.to_string())?);
        match scraped.value("lattice_failover_seconds_count") {
            Some(count) if count > 0.0 => Ok(scraped),
            _ => Err("it serves, and nothing is measured yet".to_owned()),
        }
    });
    let measured = measured.await.expect("measured");
    assert_eq!(measured.value("lattice_failover_seconds_count"), Some(1.0));
    assert_eq!(measured.value("lattice_seat_holder"), Some(1.0));
    assert!(measured.value("lattice_failover_seconds_sum") > Some(0.0), "{measured:?}");
}

//! What an audit shows to Prometheus: figures of the last look, served at `/metrics`.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::finding::Kind;
use super::look::Look;
use crate::cli::exit::{Failure, usage};

/// The media type of OpenMetrics, which Prometheus reads.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AtUrl {
    url: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfLog {
    url: String,
    log: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByWord {
    word: &'static str,
}

/// The figures and who serves them. Dropping it ends that.
pub(super) struct Gauges {
    text: watch::Sender<String>,
    task: JoinHandle<()>,
}

impl Drop for Gauges {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gauges {
    /// Serves figures at an address.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] if that can't be listened on.
    pub(super) async fn serve(address: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| usage(format!("--metrics {address}: {error}")))?;
        // The port may have been left to the system.
        let real = listener.local_addr().unwrap_or(address);
        eprintln!("metrics at http://{real}/metrics");
        let (text, shown) = watch::channel("# EOF\n".to_owned());
        let answer = move || {
            let text = shown.borrow().clone();
            async move { ([(CONTENT_TYPE, MEDIA_TYPE)], text) }
        };
        let router = Router::new().route("/metrics", get(answer));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("lattice: metrics are served no longer: {error}");
            }
        });
        Ok(Self { text, task })
    }

    /// Shows a look.
    pub(super) fn show(&self, look: &Look) {
        self.text.send_replace(text_of(look));
    }
}

fn text_of(look: &Look) -> String {
    let mut registry = Registry::with_prefix("lattice_audit");
    let alarms = Family::<ByWord, Gauge>::default();
    for kind in Kind::ALL {
        let count = look.weighed.alarms.iter().filter(|alarm| alarm.kind == kind).count();
        alarms.get_or_create(&ByWord { word: kind.word() }).set(count as i64);
    }
    registry.register("alarms", "Alarms that stand, by word", alarms);
    let (answered, size) = (Family::<AtUrl, Gauge>::default(), Family::<OfLog, Gauge>::default());
    let (witnesses, age) = (Family::<AtUrl, Gauge>::default(), Family::<AtUrl, Gauge>::default());
    for node in &look.nodes {
        let at = AtUrl { url: node.url.clone() };
        answered.get_or_create(&at).set(i64::from(node.answered));
        witnesses.get_or_create(&at).set(gauged(node.witnesses));
        if let (Some(log), Some(records)) = (&node.log, node.size) {
            size.get_or_create(&OfLog { url: node.url.clone(), log: log.clone() }).set(gauged(records));
        }
        if let Some(head_ms) = node.head_ms {
            age.get_or_create(&at).set(gauged(look.at_ms.saturating_sub(head_ms) / 1000));
        }
    }
    registry.register("node_answered", "Whether the node answered", answered);
    registry.register("log_records", "Records under the node's checkpoint", size);
    registry.register("checkpoint_witnesses", "Known witnesses that cosigned the node's checkpoint", witnesses);
    registry.register("head_age_seconds", "Age of the node's head", age);
    let last: Gauge = Gauge::default();
    last.set(gauged(look.at_ms / 1000));
    registry.register("last_look_timestamp_seconds", "When the last look ended, in seconds since 1970", last);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

fn gauged(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

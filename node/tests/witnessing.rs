//! Real nodes cosign each other's checkpoints, agree on a root, catch a log with two histories, and never sign one.

use std::path::Path;
use std::time::Duration;

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::ForkEvidence;
use lattice::log::note::{KeyKind, KeyName, VerifierKey};
use lattice::log::policy::Policy;
use lattice::log::witness::AddCheckpoint;
use node::home::Home;
use node::view::Status;
use testnet::cluster::Cluster;
use testnet::deadline;
use testnet::process::{Node, lasting_port};

/// Checkpoints come each second; the rest is for a slow machine.
const SOON: Duration = Duration::from_secs(60);

async fn cluster(nodes: usize) -> (tempfile::TempDir, Cluster) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let program = Path::new(env!("CARGO_BIN_EXE_lattice"));
    let cluster = Cluster::start(program, root.path(), nodes).await.expect("started");
    (root, cluster)
}

fn url(node: &Node, path: &str) -> String {
    let base = node.reached().expect("it runs").client.url().to_string();
    format!("{}{path}", base.trim_end_matches('/'))
}

async fn get(node: &Node, path: &str) -> Result<String, String> {
    let answer = reqwest::get(url(node, path)).await.map_err(|error| error.to_string())?;
    let (status, text) = (answer.status(), answer.text().await.map_err(|error| error.to_string())?);
    if status.is_success() { Ok(text) } else { Err(format!("{status} {text}")) }
}

async fn checkpoint(node: &Node) -> Result<SignedCheckpoint, String> {
    SignedCheckpoint::parse(get(node, "/checkpoint").await?.as_bytes()).map_err(|error| error.to_string())
}

/// Waits until what a node says of itself fits.
async fn status(node: &Node, fits: impl Fn(&Status) -> bool) -> Status {
    let waited = deadline::until(SOON, async || {
        let status: Status = serde_json::from_str(&get(node, "/api/v1/status").await?).map_err(|e| e.to_string())?;
        if fits(&status) { Ok(status) } else { Err(format!("{status:?}\n{}", node.log_tail())) }
    });
    waited.await.unwrap_or_else(|late| panic!("{late}"))
}

/// Waits until the policy of the lattice accepts a node's last checkpoint, over at least so many records.
async fn accepted(node: &Node, size: u64) -> SignedCheckpoint {
    let waited = deadline::until(SOON, async || {
        let policy = Policy::parse(get(node, "/api/v1/policy").await?.as_bytes()).map_err(|error| error.to_string())?;
        let signed = checkpoint(node).await?;
        policy.judge(&signed).map_err(|refused| refused.to_string())?;
        let found = signed.checkpoint().size();
        if found >= size { Ok(signed) } else { Err(format!("{found} records, not {size}")) }
    });
    waited.await.unwrap_or_else(|late| panic!("{late}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_cosign_each_checkpoint_and_a_quorum_confirms_the_root() {
    let (_root, cluster) = cluster(3).await;
    let first = &cluster.nodes()[0];
    first.reached().expect("it runs").client.put("key", "value").await.expect("acknowledged");
    for node in cluster.nodes() {
        let size = status(node, |status| status.entries == 3).await.log_size;
        accepted(node, size).await;
        let status = status(node, |status| {
            status.confirmed_root.as_ref().is_some_and(|confirmed| confirmed.root == status.state_root)
        });
        assert!(status.await.confirmed_root.expect("there").by.len() >= 2);
    }
    let held = get(first, "/api/v1/checkpoints").await.expect("it answers");
    let held: serde_json::Value = serde_json::from_str(&held).expect("JSON");
    assert_eq!(held["checkpoints"].as_array().map(Vec::len), Some(3), "{held}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_shows_two_histories_is_caught_by_all() {
    let (_root, cluster) = cluster(3).await;
    let [liar, witness, other] = cluster.nodes() else { panic!("three nodes") };
    let last = accepted(liar, 2).await;
    let (origin, size) = (last.checkpoint().origin().to_owned(), last.checkpoint().size());
    // The liar's key signs another history of the same length.
    let keys = Home::open(liar.dir()).expect("a node's").keys().expect("its keys");
    let name: KeyName = origin.parse().expect("a name");
    let forged = SignedCheckpoint::sign(&name, size, [7; 32], &keys.log);
    // The quorum may have been reached without this one.
    let path = format!("/witness/{}/checkpoint", sha256_hex(&origin));
    let held = deadline::until(SOON, async || get(witness, &path).await).await.expect("it cosigns it");
    let held = SignedCheckpoint::parse(held.as_bytes()).expect("a checkpoint");
    let request = AddCheckpoint { old: held.checkpoint().size(), proof: Vec::new(), checkpoint: forged };
    let answer = reqwest::Client::new().post(url(witness, "/witness/add-checkpoint")).body(request.to_string()).send();
    assert_eq!(answer.await.expect("an answer").status(), 422, "it never cosigns that");
    let key = VerifierKey::new(name, KeyKind::Log, keys.log_key().0).expect("a key");
    for node in [witness, other] {
        status(node, |status| status.forks.contains(&origin)).await;
        let forks: serde_json::Value =
            serde_json::from_str(&get(node, "/api/v1/forks").await.expect("it answers")).expect("JSON");
        let evidence = forks["forks"][0].as_str().expect("one");
        let evidence = ForkEvidence::parse(evidence.as_bytes()).expect("evidence");
        assert_eq!(evidence.verify(&key), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_an_older_database_opens_a_new_log_and_contradicts_nothing() {
    let (_root, mut cluster) = cluster(3).await;
    let node = &mut cluster.nodes_mut()[2];
    let before = accepted(node, 2).await;
    node.stop().await;
    let backup = tempfile::tempdir().expect("a temporary directory");
    std::fs::copy(node.dir().join("state.db"), backup.path().join("state.db")).expect("copied");
    node.start().await.expect("started");
    let client = node.reached().expect("it runs").client;
    for n in 0..20 {
        client.put(&format!("later/{n}"), "v").await.expect("acknowledged");
    }
    let node = &mut cluster.nodes_mut()[2];
    let signed = accepted(node, before.checkpoint().size() + 20).await;
    node.stop().await;
    for file in ["state.db-wal", "state.db-shm"] {
        // A clean stop has removed them.
        let _ = std::fs::remove_file(node.dir().join(file));
    }
    std::fs::copy(backup.path().join("state.db"), node.dir().join("state.db")).expect("restored");
    node.start().await.expect("started");
    let old = signed.checkpoint().origin();
    let renamed = status(&cluster.nodes()[2], |status| status.checkpoint.origin != old && status.checkpoint.size > 0);
    let new = renamed.await.checkpoint.origin;
    assert!(new.starts_with(&format!("{old}/")), "{new}");
    accepted(&cluster.nodes()[2], 2).await;
    for node in cluster.nodes() {
        assert_eq!(status(node, |_| true).await.forks, Vec::<String>::new(), "nothing was contradicted");
    }
    // Asked about the old log, it answered about the new one, and was blamed for that.
    let asked = |log: &str| format!("consistency {log} 1 2\n");
    let ask = async |log: &str| {
        let question = reqwest::Client::new().post(url(&cluster.nodes()[2], "/api/lattice/witness")).body(asked(log));
        question.send().await.expect("an answer").text().await.expect("text")
    };
    assert!(ask(old).await.starts_with("404\n"));
    assert!(ask(&new).await.starts_with("200\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_signs_again_once_half_of_the_others_have_spoken() {
    let (_root, mut cluster) = cluster(1).await;
    let founder = &mut cluster.nodes_mut()[0];
    founder.stop().await;
    founder.launch_mut().p2p = vec![format!("127.0.0.1:{}", lasting_port())];
    founder.start().await.expect("started");
    for _ in 0..2 {
        cluster.admit().await.expect("joined");
    }
    for node in cluster.nodes() {
        accepted(node, 2).await;
    }
    for node in cluster.nodes_mut() {
        node.stop().await;
    }
    // The others know where the founder was, and dial it there.
    let first = &mut cluster.nodes_mut()[0];
    first.start().await.expect("started");
    let client = first.reached().expect("it runs").client;
    client.put("alone", "v").await.expect("acknowledged");
    let alone = status(&cluster.nodes()[0], |status| status.checkpoint.withheld.is_some()).await;
    assert!(alone.checkpoint.size < alone.log_size, "{alone:?}");
    cluster.nodes_mut()[1].start().await.expect("started");
    accepted(&cluster.nodes()[0], alone.log_size).await;
}

/// What a witness keeps of its cosignatures lies in its database. Without it, it learns from the checkpoints that others hold
/// what it cosigned, before it cosigns again: else a log could have it sign a second history, from its beginning on.
#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_lost_its_database_cosigns_nothing_older_than_before() {
    let (_root, mut cluster) = cluster(3).await;
    let log = &cluster.nodes()[0];
    let older = accepted(log, 2).await;
    let origin = older.checkpoint().origin().to_owned();
    let client = log.reached().expect("it runs").client;
    for n in 0..20 {
        client.put(&format!("later/{n}"), "v").await.expect("acknowledged");
    }
    let witness = &cluster.nodes()[2];
    let home = Home::open(witness.dir()).expect("a node's");
    let name: KeyName =
        status(witness, |status| status.checkpoint.size > 0).await.checkpoint.origin.parse().expect("a name");
    let key = VerifierKey::new(name, KeyKind::Cosigner, home.keys().expect("its keys").log_key().0).expect("a key");
    let cosigned = deadline::until(SOON, async || {
        let newer = checkpoint(log).await?;
        let is_cosigned = matches!(newer.cosigned_by(&key), Ok(Some(_)));
        let size = newer.checkpoint().size();
        if is_cosigned && size >= older.checkpoint().size() + 20 { Ok(size) } else { Err(newer.to_string()) }
    });
    let cosigned = cosigned.await.unwrap_or_else(|late| panic!("{late}"));
    let witness = &mut cluster.nodes_mut()[2];
    witness.stop().await;
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        // A clean stop has removed the latter two.
        let _ = std::fs::remove_file(witness.dir().join(file));
    }
    witness.start().await.expect("started");
    // From the first moment on it is asked to begin anew, with a checkpoint that the log did sign.
    let witness = &cluster.nodes()[2];
    let request = AddCheckpoint { old: 0, proof: Vec::new(), checkpoint: older.clone() }.to_string();
    let answered = deadline::until(SOON, async || {
        let asked = reqwest::Client::new().post(url(witness, "/witness/add-checkpoint")).body(request.clone()).send();
        let answer = asked.await.map_err(|error| error.to_string())?;
        let (code, text) = (answer.status().as_u16(), answer.text().await.map_err(|error| error.to_string())?);
        // It asks others first, and knows no log before it has its members back.
        if matches!(code, 404 | 503) { Err(format!("{code} {text}")) } else { Ok((code, text)) }
    });
    let (code, text) = answered.await.unwrap_or_else(|late| panic!("{late}"));
    assert_eq!(code, 409, "{text}\n{}", witness.log_tail());
    let size: u64 = text.trim().parse().expect("the size that it cosigned last");
    assert!(size >= cosigned, "{size} of {cosigned}");
    let held = get(witness, &format!("/witness/{}/checkpoint", sha256_hex(&origin))).await.expect("it holds one");
    let held = SignedCheckpoint::parse(held.as_bytes()).expect("a checkpoint");
    assert!(held.checkpoint().size() >= cosigned);
    for node in cluster.nodes() {
        assert_eq!(status(node, |_| true).await.forks, Vec::<String>::new(), "nothing was contradicted");
    }
}

fn sha256_hex(text: &str) -> String {
    use sha2::Digest;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(text.as_bytes()))
}

//! What nodes hold of logs: evidence of forks, and checkpoints that the log shows to others and not to the auditor.

use lattice::log::checkpoint::SignedCheckpoint;
use lattice::log::evidence::ForkEvidence;

use crate::following::keys;
use crate::liar::Liar;
use crate::program::{ended, lattice};
use crate::stage::{Stage, evidence, own_log, size_of};

fn forks(listed: &[String]) -> impl Fn(&str, Vec<u8>) -> Option<Vec<u8>> + Send + 'static {
    let body = serde_json::json!({"forks": listed}).to_string().into_bytes();
    move |path, honest| Some(if path == "/api/v1/forks" { body.clone() } else { honest })
}

fn checkpoints(listed: &SignedCheckpoint) -> impl Fn(&str, Vec<u8>) -> Option<Vec<u8>> + Send + 'static {
    let body = serde_json::json!({"checkpoints": [listed.to_string()]}).to_string().into_bytes();
    move |path, honest| Some(if path == "/api/v1/checkpoints" { body.clone() } else { honest })
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_a_node_holds_is_checked_kept_and_never_over() {
    let (stage, elsewhere) = (Stage::set().await, Stage::set().await);
    let liar = Liar::before(stage.url()).await;
    let audited = async || stage.audit_at(&liar.url, &[]).await;
    // A log that this policy does not name: nobody here can judge that.
    liar.lies(forks(&[evidence(&elsewhere, 5).to_string()]));
    let told = audited().await;
    assert_eq!((told.code, told.alarms()), (0, vec![]), "{told:?}");
    // Evidence with another size than was signed.
    let held = evidence(&stage, 5).to_string();
    liar.lies(forks(&[held.replace("\n5\n", "\n7\n")]));
    let told = audited().await;
    assert_eq!((told.code, told.alarms()), (1, vec!["signature".to_owned()]), "{told:?}");
    liar.lies(forks(&["no evidence".to_owned()]));
    let told = audited().await;
    assert_eq!((told.code, told.alarms()), (1, vec!["unreadable".to_owned()]), "{told:?}");
    liar.lies(forks(std::slice::from_ref(&held)));
    let told = audited().await;
    assert_eq!((told.code, told.alarms()), (1, vec!["fork".to_owned()]), "{told:?}");
    let file = told.json()["alarms"][0]["evidence"].as_str().expect("a file").to_owned();
    assert_eq!(ForkEvidence::parse(&std::fs::read(&file).expect("written")).expect("evidence").to_string(), held);
    let verified = ended(lattice(&["verify", &file, "--policy", &stage.named("policy")]), b"").await;
    assert!(verified.code == 0 && verified.stdout.contains("two histories"), "{verified:?}");
    // Nobody shows it any more, and another run knows it still.
    liar.lies(|_, body| Some(body));
    let told = audited().await;
    assert_eq!((told.code, told.alarms()), (1, vec!["fork".to_owned()]), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_shows_others_another_history_is_caught_by_what_they_know() {
    for (back, word, says) in
        [(0, "fork", "two histories"), (3, "fork", "two histories"), (-9, "withheld", "and shows")]
    {
        let stage = Stage::set().await;
        for n in 0..9 {
            stage.put("k", &format!("{n}")).await;
        }
        stage.signed().await;
        let liar = Liar::before(stage.url()).await;
        let audited = stage.audit_at(&liar.url, &[]).await;
        assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
        let size = size_of(&stage.checkpoint().await).checked_add_signed(-back).expect("a size");
        let other = SignedCheckpoint::sign(&own_log(&stage).0, size, [7; 32], &keys(stage.node.dir()).log);
        liar.lies(checkpoints(&other));
        let audited = stage.audit_at(&liar.url, &[]).await;
        assert_eq!((audited.code, audited.alarms()), (1, vec![word.to_owned()]), "{back}: {audited:?}");
        assert!(audited.stdout.contains(says), "{audited:?}");
        if word == "fork" {
            let file = audited.json()["alarms"][0]["evidence"].as_str().expect("a file").to_owned();
            let verified = ended(lattice(&["verify", &file, "--policy", &stage.named("policy")]), b"").await;
            assert_eq!(verified.code, 0, "{verified:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_tiles_alone_has_no_such_lists_and_is_well() {
    let stage = Stage::set().await;
    let liar = Liar::before(stage.url()).await;
    liar.lies(|path, body| (path != "/api/v1/forks" && path != "/api/v1/checkpoints").then_some(body));
    let audited = stage.audit_at(&liar.url, &[]).await;
    assert_eq!((audited.code, audited.alarms()), (0, vec![]), "{audited:?}");
}

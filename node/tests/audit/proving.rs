//! Proofs from a real node, judged by `lattice verify` with a policy and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::stage::Stage;

/// What a node makes, by the verifier that auditors read: it proves a bundle, and leaves a tlog-proof to `lattice verify`.
/// Without Python's `cryptography` there is nothing to run.
async fn judged_by_the_script(stage: &Stage, file: &str, is_bundle: bool) {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/verify-bundle");
    let has = tokio::process::Command::new("python3").args(["-c", "import cryptography"]).output().await;
    if !has.is_ok_and(|has| has.status.success()) {
        return eprintln!("not run: scripts/verify-bundle, as python3 or its package cryptography is missing");
    }
    let mut run = tokio::process::Command::new("python3");
    run.arg(script).arg(stage.file(file)).arg(stage.file("policy"));
    let std::process::Output { status, stdout, .. } = run.output().await.expect("it runs");
    let said = String::from_utf8_lossy(&stdout);
    let (code, end) = if is_bundle { (0, "PROVEN\n") } else { (2, "") };
    assert!(status.code() == Some(code) && said.ends_with(end), "{file}: {status} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_proof_is_fetched_to_a_file_and_holds_offline() {
    let mut stage = Stage::set().await;
    for (key, value) in [("fruit/apple", "green"), ("fruit/pear", "yellow"), ("../ü", "x")] {
        stage.put(key, value).await;
    }
    let receipt = stage.client().put("fruit/plum", "blue").await.expect("acknowledged");
    assert_eq!(stage.lattice(&["delete", "fruit/pear"]).await.code, 0);
    let commit = receipt.commit.clone();
    for (what, argument, file) in [
        ("entry", "fruit/apple", "apple"),
        ("entry", "../ü", "umlaut"),
        ("absence", "fruit/kiwi", "kiwi"),
        ("absence", "fruit/pear", "pear"),
        ("commit", commit.as_str(), "commit"),
        ("log", "0", "log"),
    ] {
        let written = stage.lattice(&["proof", what, argument, "-o", &stage.named(file)]).await;
        assert_eq!((written.code, written.stdout.as_str()), (0, ""), "{what} {argument}: {written:?}");
        let printed = stage.lattice(&["proof", what, argument]).await;
        assert!(printed.code == 0 && printed.stdout.contains("c2sp.org/tlog-proof@v1\n"), "{printed:?}");
    }
    let refused = stage.lattice(&["proof", "entry", "fruit/kiwi"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("no entry"), "{refused:?}");
    // From here on there is no node.
    stage.node.stop().await;
    for (file, kind, words) in [
        ("apple", "value", "the key \"fruit/apple\" has a value of 5 bytes"),
        ("umlaut", "value", "has a value of 1 byte"),
        ("kiwi", "absent", "the key \"fruit/kiwi\" has no entry"),
        ("pear", "deleted", "the key \"fruit/pear\" is deleted"),
        ("commit", "applied", "the commit was applied"),
        ("log", "record", "the record is in the log"),
    ] {
        let verified = stage.verify(file, &[]).await;
        assert_eq!(verified.code, 0, "{file}: {verified:?}");
        assert!(verified.stdout.starts_with("proven: ") && verified.stdout.contains(words), "{verified:?}");
        let json = stage.verify(file, &["--json"]).await.json();
        assert_eq!((&json["verdict"], &json["kind"]), (&"proven".into(), &kind.into()), "{json}");
        judged_by_the_script(&stage, file, kind != "record").await;
    }
    assert!(stage.verify("apple", &[]).await.stdout.contains("\nvalue    green\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_was_touched_is_refuted_and_one_of_a_stranger_is_not_judged() {
    let stage = Stage::set().await;
    stage.put("k", "right").await;
    stage.lattice(&["proof", "entry", "k", "-o", &stage.named("proof")]).await;
    let proof = std::fs::read_to_string(stage.file("proof")).expect("written");
    let touched = |name: &str, text: String| std::fs::write(stage.file(name), text).expect("written");
    touched("readable", proof.replace("number 1", "number 2"));
    touched("index", proof.replacen("\nindex 1\n", "\nindex 0\n", 1));
    for file in ["readable", "index"] {
        let refuted = stage.verify(file, &[]).await;
        assert!(refuted.code == 1 && refuted.stdout.starts_with("refuted: "), "{file}: {refuted:?}");
    }
    touched("other", "something else\n".to_owned());
    for file in ["other", "absent"] {
        assert_eq!(stage.verify(file, &[]).await.code, 2, "{file}");
    }
    // Another lattice's policy knows none of this.
    let elsewhere = Stage::set().await;
    std::fs::copy(elsewhere.file("policy"), stage.file("policy")).expect("copied");
    let undecided = stage.verify("proof", &[]).await;
    assert!(undecided.code == 3 && undecided.stdout.contains("does not name the log"), "{undecided:?}");
    touched("policy", "log nonsense\n".to_owned());
    let unusable = stage.verify("proof", &[]).await;
    assert!(unusable.code == 2 && unusable.stderr.contains("line 1"), "{unusable:?}");
}

/// A reader that looks at a checkpoint after it was signed finds another value than the one signed, nearly always.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_written_all_the_time_is_proven_and_so_is_the_absence_of_one_beside_it() {
    const WRITERS: usize = 4;
    const PROOFS: usize = 5;
    let stage = Stage::set().await;
    stage.put("hot", "first").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (client, is_over) = (stage.client(), is_over.clone());
            tokio::spawn(async move {
                let mut written = 0;
                while !is_over.load(Ordering::Relaxed) {
                    client.put("hot", &format!("{writer} {written}")).await.expect("acknowledged");
                    written += 1;
                }
                written
            })
        })
        .collect();
    for n in 0..PROOFS {
        for (what, key) in [("entry", "hot"), ("absence", "cold")] {
            let file = format!("{what}-{n}");
            let fetched = stage.lattice(&["proof", what, key, "-o", &stage.named(&file)]).await;
            assert_eq!(fetched.code, 0, "{file}: {fetched:?}");
            let verified = stage.verify(&file, &[]).await;
            assert_eq!(verified.code, 0, "{file}: {verified:?}");
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.expect("no panic") > PROOFS, "each wrote on meanwhile");
    }
}

//! Wrong usage: each says in one line what is wrong and what to do, with the exit code that fits.

use std::path::Path;
use std::process::Stdio;

use testnet::deadline;

use crate::program::{Ended, SOON, ended, lattice};
use crate::running::Running;

async fn run(words: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = lattice(words);
    command.envs(variables.iter().copied()).env("HOME", "/nonexistent");
    ended(command, b"").await
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_a_node_say_how_to_get_one() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("node");
    let stale = root.path().join("stale");
    std::fs::create_dir(&stale).expect("made");
    std::fs::write(stale.join("run.json"), r#"{"pid":1,"http":["127.0.0.1:1"],"p2p":[]}"#).expect("written");
    let keyless = root.path().join("keyless");
    std::fs::create_dir(&keyless).expect("made");
    std::fs::write(keyless.join("begun"), "a database was begun here\n").expect("written");
    let (dir, stale, keyless) = (text(&dir), text(&stale), text(&keyless));
    let table = [
        (vec!["status", "--dir", dir], 3, "no node is running on"),
        (vec!["put", "k", "v", "--dir", dir], 3, "start it with `lattice run --dir"),
        (vec!["import", "-", "--dir", dir], 3, "no node is running on"),
        (vec!["status", "--dir", stale], 3, "start it with `lattice run --dir"),
        (vec!["status"], 3, "/nonexistent/.lattice"),
        (vec!["backup", "http://127.0.0.1:4800", "-o", "out"], 2, "on the node's own machine"),
        (vec!["get", "k", "--url", "http://127.0.0.1:1"], 3, "check the URL"),
        (vec!["get", "k", "--url", "https://127.0.0.1:1"], 2, "write http://HOST:PORT"),
        (vec!["get", "k", "--url", "http://no port"], 2, "can't be asked"),
        (vec!["restore", keyless, "--dir", dir], 2, "was not made by `lattice backup`"),
        (vec!["doctor", "foo://x"], 2, "foo://x is not a URL that can be asked: write http://HOST:PORT"),
        (
            vec!["put", "k", "v", "--url", "http://127.0.0.1:1", "--token-file", "/nonexistent"],
            2,
            "token file /nonexistent",
        ),
        (vec!["put", "k", "v", "--url", "http://127.0.0.1:1", "--token-file", "/proc/version"], 2, "not a token"),
        (vec!["run", "--dir", dir], 2, "create one with `lattice init` or `lattice join`"),
        (vec!["init", "--dir", keyless, "--name", "n"], 1, "Restore node.key from a backup"),
        (vec!["run", "--dir", keyless], 1, "Restore node.key from a backup"),
        (vec!["join", "nonsense", "--dir", dir, "--name", "n"], 2, "copy the whole line"),
        (vec!["init", "--dir", "/proc/nonexistent", "--name", "n"], 1, "/proc/nonexistent"),
        (vec!["init", "--dir", dir, "--name", "a\nb"], 2, "can't be a name"),
        (vec!["init", "--dir", dir, "--name", "n", "--genesis", "/nonexistent"], 2, "/nonexistent: can't be read"),
    ];
    for (words, code, why) in table {
        let ended = run(&words, &[]).await;
        assert_eq!(ended.code, code, "{words:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(why) && ended.stdout.is_empty(), "{words:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{words:?}: {}", ended.stderr);
    }
    assert!(!Path::new(dir).exists(), "nothing was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_can_not_be_meant_name_their_source() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("node");
    let founded = run(&["init", "--dir", text(&dir), "--name", "one"], &[]).await;
    assert_eq!(founded.code, 0, "{}", founded.stderr);
    let file = dir.join("lattice.toml");
    let first = std::fs::read_to_string(&file).expect("init wrote it");
    let run_here = |variables: &'static [(&str, &str)], flags: &[&'static str]| {
        let words: Vec<String> = ["run", "--dir", text(&dir)].iter().chain(flags).map(|w| (*w).to_owned()).collect();
        async move { run(&words.iter().map(String::as_str).collect::<Vec<_>>(), variables).await }
    };
    let with_file = |line: &str| std::fs::write(&file, format!("{first}{line}\n")).expect("written");
    with_file("htpp = ['127.0.0.1:1']");
    let refused = run_here(&[], &[]).await;
    let line = first.lines().count() + 1;
    assert!(
        refused.code == 2 && refused.stderr.contains(&format!("lattice.toml, line {line}, \"htpp\"")),
        "{}",
        refused.stderr
    );
    with_file("http = ['127.0.0.1']");
    assert!(run_here(&[], &[]).await.stderr.contains("write IP:PORT"));
    with_file("");
    let refused = run_here(&[("LATTICE_P2P", "nowhere")], &[]).await;
    assert!(refused.code == 2 && refused.stderr.contains("environment variable LATTICE_P2P"), "{}", refused.stderr);
    for url in ["http://a:0", "http://[::]:4800"] {
        let words = ["run", "--dir", text(&dir), "--http-url", url];
        let refused = run(&words, &[]).await;
        assert!(refused.code == 2 && refused.stderr.contains("write http://HOST:PORT"), "{}", refused.stderr);
    }
    let refused = run_here(&[("LATTICE_NODE", "http://a:1")], &["--http", "192.0.2.1:0"]).await;
    assert!(refused.stderr.contains("was LATTICE_NODES meant?"), "{}", refused.stderr);
    let refused = run_here(&[("LATTICE_LOG", "a=b=c")], &[]).await;
    assert!(refused.code == 2 && refused.stderr.contains("LATTICE_LOG"), "{}", refused.stderr);
    for (flag, address, why) in [
        ("--p2p", "192.0.2.1:0", "that is no address of this machine; choose another --p2p"),
        ("--http", "192.0.2.1:0", "that is no address of this machine; choose another --http"),
        ("--lattice-http", "192.0.2.1:0", "that is no address of this machine; choose another --lattice-http"),
    ] {
        let words = ["run", "--no-mdns", "--dir", text(&dir), flag, address];
        let refused = run(&words, &[]).await;
        assert!(refused.code == 1 && refused.stderr.contains(why), "{flag}: {}", refused.stderr);
        assert!(refused.stderr.contains("Cannot assign requested address"), "{flag}: {}", refused.stderr);
    }
    std::fs::remove_file(dir.join("api.token")).expect("was there");
    let refused = run_here(&[], &["--http", "0.0.0.0:0"]).await;
    assert!(
        refused.code == 2 && refused.stderr.contains("refusing to serve the API on 0.0.0.0:0"),
        "{}",
        refused.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn init_keeps_what_is_there_and_prints_what_it_made() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("node");
    let made = run(&["init", "--name", "one", "--lattice", "fruit", "--json"], &[("LATTICE_DIR", text(&dir))]).await;
    let made: serde_json::Value = serde_json::from_str(&made.stdout).expect("JSON");
    assert_eq!(made["dir"], text(&dir));
    assert!(made["peer_id"].as_str().is_some_and(|id| id.starts_with("12D3KooW")), "{made}");
    for field in ["lattice_id", "author"] {
        assert_eq!(made[field].as_str().map(str::len), Some(64), "{made}");
    }
    let key = std::fs::read(dir.join("node.key")).expect("a key");
    let again = run(&["init", "--name", "two", "--dir", text(&dir)], &[]).await;
    assert!(again.code == 1 && again.stderr.contains("holds a node already"), "{}", again.stderr);
    assert_eq!(std::fs::read(dir.join("node.key")).expect("a key"), key);
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_version_are_answers() {
    for (words, part) in [
        (["--help", ""], "Exit codes: 0 yes, 1 no"),
        (["--version", ""], "lattice "),
        (["run", "--help"], "--p2p <ADDR>"),
    ] {
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let ended = run(&words, &[]).await;
        assert!(ended.code == 0 && ended.stdout.contains(part), "{words:?}: {}", ended.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_node_joins_once_and_a_used_ticket_is_refused() {
    let host = Running::alone().await;
    let ticket = host.lattice(&["invite"]).await.stdout;
    let (second, third) = (host.file("second"), host.file("third"));
    let join = |dir: &Path| lattice(&["join", "-", "--name", "guest", "--json", "--dir", text(dir)]);
    let joined = ended(join(&second), ticket.as_bytes()).await;
    assert_eq!(joined.code, 0, "{}", joined.stderr);
    let made: serde_json::Value = serde_json::from_str(&joined.stdout).expect("JSON");
    assert_eq!(made["joined"], true);
    assert_eq!(host.get("/api/v1/status").await["members"], 2);
    assert!(!second.join("ticket").exists(), "a redeemed ticket is gone");
    let refused = ended(join(&third), ticket.as_bytes()).await;
    assert!(refused.code == 1 && refused.stderr.contains("refused the ticket"), "{}", refused.stderr);
    // What the lattice keeps for itself is no entry of the user's, unless asked for.
    let listed = host.lattice(&["list"]).await;
    assert_eq!((listed.code, listed.stdout.as_str()), (0, ""));
    for words in [&["list", "--all"][..], &["list", "@member/"]] {
        let listed = host.lattice(words).await.stdout;
        assert!(listed.starts_with("@member/") && listed.lines().all(|line| line.len() < 140), "{words:?}: {listed}");
    }
    // A node that goes on with the refused ticket says so, and does not send its operator in a circle.
    let words = ["run", "--no-mdns", "--p2p", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dir", text(&third)];
    let mut node = lattice(&words).stderr(Stdio::null()).spawn().expect("runs");
    let _: () = deadline::until(SOON, async || {
        let words = ["status", "--dir", text(&third)];
        let said = ended(lattice(&words), b"").await.stdout;
        if said.contains("not a member: the inviting node refused the ticket") { Ok(()) } else { Err(said) }
    })
    .await
    .expect("told");
    node.kill().await.expect("it runs");
}

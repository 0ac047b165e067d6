//! A holder whose database is put back to an older one.

use tokio::process::Command;

use crate::world::{World, program};

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_restored_from_a_backup_never_serves_the_term_it_forgot_half_of() {
    let mut world = World::of(5, &[1]).await;
    let first = world.put(3, "green/before", "v").await;
    let (dir, root) = (world.nodes[0].dir().to_owned(), tempfile::tempdir().expect("a directory"));
    let backup = root.path().join("backup");
    let lattice = async |words: &[&std::ffi::OsStr]| {
        let output = Command::new(program()).args(words).output().await.expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    lattice(&["backup".as_ref(), dir.as_os_str(), "-o".as_ref(), backup.as_os_str()]).await;
    // It stages and acknowledges these, and then knows nothing of them.
    let mut forgotten = Vec::new();
    for n in 0..5 {
        let key = format!("green/forgotten/{n}");
        forgotten.push((world.put(3, &key, "v").await, key));
    }
    // Nobody takes over until it is back: in its old term it would give the same numbers again.
    world.nodes[1].pause();
    world.nodes[0].kill().await;
    let replace = ["restore".as_ref(), backup.as_os_str(), "--replace".as_ref(), "--dir".as_ref(), dir.as_os_str()];
    lattice(&replace).await;
    world.nodes[0].start().await.unwrap_or_else(|error| panic!("{error}"));
    assert!(!world.seat.admin(0).seat().await.expect("it answers").is_serving, "it has forgotten what it signed");
    world.nodes[1].resume();
    let after = world.put(3, "green/after", "v").await;
    world.term_becomes(3, 2).await;
    world.has(3, "green/before", &first).await;
    for (commit, key) in &forgotten {
        world.has(3, key, commit).await;
    }
    world.has(3, "green/after", &after).await;
    for node in [2, 3, 4] {
        let status = world.client(node).status().await.expect("it answers");
        assert!(status.equivocations.is_empty(), "{status:?}");
    }
}

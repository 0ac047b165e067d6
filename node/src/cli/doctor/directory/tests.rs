//! What the files of a node tell of themselves.

use std::io;
use std::path::PathBuf;

use lattice::genesis::Genesis;

use super::*;
use crate::cli::doctor::finding::Level;
use crate::home::Seed;

fn made(dir: &Path) -> Home {
    let seed = Seed::random().expect("randomness");
    let genesis = Genesis::founded_by("test", "one", &seed.keys(), vec![1; 38]);
    Home::create(dir, &seed, &genesis, None).expect("an empty directory")
}

fn io(kind: io::ErrorKind) -> HomeError {
    HomeError::Io { path: PathBuf::from("there"), error: kind.into() }
}

#[test]
fn what_this_user_may_not_look_at_is_unknown_and_neither_wrong_nor_absent() {
    // Another user was told that no node ran on the directory of one that did, or that there was none.
    let found = closed(&io(io::ErrorKind::PermissionDenied)).expect("a finding");
    assert!(found.level == Level::Unknown && found.cure.expect("what to do").contains("the node's user"));
    assert_eq!(closed(&io(io::ErrorKind::NotFound)), None);
    let dir = tempfile::tempdir().expect("a directory");
    let home = made(dir.path());
    home.write("run.json", 0o644, b"{}").expect("ours");
    let found = process(&home, &Err(io(io::ErrorKind::PermissionDenied)));
    assert!(found.level == Level::Unknown && !found.found.contains("ended"), "{found:?}");
}

#[tokio::test]
async fn a_directory_that_all_can_write_to_is_noted() {
    let dir = tempfile::tempdir().expect("a directory");
    made(dir.path());
    for (mode, told) in [(0o700, false), (0o755, false), (0o777, true)] {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).expect("ours");
        let (found, _) = look(dir.path(), true).await;
        let open = found.iter().find(|finding| finding.level == Level::Note && finding.check == "permissions");
        assert_eq!(open.is_some(), told, "{mode:o}: {found:?}");
    }
}

#[tokio::test]
async fn a_token_that_the_node_does_not_start_with_is_wrong() {
    for file in ["api.token", "read.token"] {
        let dir = tempfile::tempdir().expect("a directory");
        let home = made(dir.path());
        home.write(file, 0o600, b"abc").expect("ours");
        let (found, _) = look(dir.path(), true).await;
        let wrong: Vec<_> = found.iter().filter(|finding| finding.level == Level::Wrong).collect();
        assert!(wrong.len() == 1 && wrong[0].check == "token" && wrong[0].found.contains(file), "{found:?}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let home = made(dir.path());
    home.remove("api.token").expect("ours");
    assert!(tokens(&home).is_empty() && !home.path("api.token").exists(), "the next start makes one, a look does not");
}

//! Directories that are new, taken, damaged, or what is left of a node.

use super::*;

fn made(dir: &Path) -> Home {
    let seed = Seed([7; 32]);
    let genesis = Genesis::founded_by("test", "one", &seed.keys(), vec![1; 38]);
    Home::create(dir, &seed, &genesis, None).expect("an empty directory")
}

#[test]
fn secrets_are_for_the_owner_only_and_an_exposed_one_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = made(dir.path());
    for file in ["node.key", "api.token"] {
        let mode = fs::metadata(home.path(file)).expect("written").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
    fs::set_permissions(home.path("node.key"), fs::Permissions::from_mode(0o644)).expect("ours");
    let refused = home.keys().map(|_| ()).expect_err("readable by others").to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
}

#[test]
fn a_second_node_in_one_directory_and_a_second_process_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = made(dir.path());
    let genesis = home.genesis().expect("just written");
    let again = Home::create(dir.path(), &Seed([8; 32]), &genesis, None);
    assert!(matches!(again, Err(HomeError::Exists(_))), "{again:?}");
    let lock = home.lock().expect("free");
    assert!(matches!(home.lock(), Err(HomeError::InUse(_))));
    drop(lock);
    assert!(home.lock().is_ok());
}

#[test]
fn what_is_left_of_a_node_without_its_key_is_not_taken_for_an_empty_directory() {
    // A new node in it had the old one's database, or the old one's key came back to another lattice's genesis.
    for file in TRACES {
        let dir = tempfile::tempdir().expect("a directory");
        let genesis = made(dir.path()).genesis().expect("just written");
        for entry in fs::read_dir(dir.path()).expect("a directory").filter_map(Result::ok) {
            fs::remove_file(entry.path()).expect("ours");
        }
        fs::write(dir.path().join(file), b"left").expect("ours");
        let made = Home::create(dir.path(), &Seed([8; 32]), &genesis, None);
        assert!(matches!(made, Err(HomeError::Keyless { .. })), "{file}: {made:?}");
        let refused = Home::open(dir.path()).expect_err("no key").to_string();
        assert!(refused.contains("Restore node.key from a backup") && !refused.contains("init"), "{refused}");
        assert_eq!(fs::read(dir.path().join(file)).expect("still there"), b"left");
    }
}

#[test]
fn a_directory_that_can_not_be_looked_at_is_not_taken_for_one_without_a_node() {
    // Who may not search a directory was told to make a node in it. A file in its place answers as little, to every user.
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, b"").expect("ours");
    assert!(matches!(Home::open(&file), Err(HomeError::Io { .. })), "{:?}", Home::open(&file));
}

#[test]
fn a_lost_token_is_made_anew_for_the_owner_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = made(dir.path());
    let (first, is_lost) = home.token().expect("just written");
    assert!(!is_lost);
    home.remove("api.token").expect("ours");
    let (second, is_lost) = home.token().expect("made anew");
    assert!(is_lost && first.expose() != second.expose());
    let mode = fs::metadata(home.path("api.token")).expect("written").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(!home.token().expect("kept").1);
}

#[test]
fn damaged_files_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = made(dir.path());
    for file in ["node.key", "api.token", "genesis.cbor"] {
        home.write(file, 0o600, b"damaged").expect("ours");
    }
    let errors = [
        home.keys().map(|_| ()).expect_err("damaged").to_string(),
        home.token().map(|_| ()).expect_err("damaged").to_string(),
        home.genesis().map(|_| ()).expect_err("damaged").to_string(),
    ];
    for (error, file) in errors.iter().zip(["node.key", "api.token", "genesis.cbor"]) {
        assert!(error.contains(file), "{error}");
    }
    assert!(matches!(Home::open(&dir.path().join("absent")), Err(HomeError::Absent(_))));
}

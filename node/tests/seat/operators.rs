//! A lattice of several operators: what one of them drafts is a term once more than half have signed, and only then.

use std::path::{Path, PathBuf};

use lattice::ids::LatticeId;
use lattice::keys::NodeKeys;
use lattice::log::note::Note;
use lattice::seat::{Approvals, Body};
use node::home::Home;
use testnet::process::{Launch, Node, lasting_port};
use testnet::seat::Seat;
use tokio::process::Command;

use crate::orders::{ordered, refused};
use crate::world::{SOON, program};

/// Founders, all of them operators: three run, three must sign.
const FOUNDERS: usize = 5;
const RUNNING: usize = 3;

struct Operators {
    root: tempfile::TempDir,
    nodes: Vec<Node>,
}

/// What a command prints on standard output.
async fn printed(words: &[&str]) -> String {
    let output = Command::new(program()).args(words).output().await.expect("it runs");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// As the help of `lattice keygen` says; gives the directories of the founders.
async fn founded(root: &Path) -> Vec<PathBuf> {
    let name = |number: usize| format!("node-{}", number + 1);
    let dirs: Vec<_> = (0..FOUNDERS).map(|number| root.join(name(number))).collect();
    let (mut blocks, mut authors) = (String::new(), Vec::new());
    for (number, dir) in dirs.iter().enumerate() {
        let words = ["keygen", "--dir", text(dir), "--name", &name(number)];
        let block = printed(&words).await;
        assert_eq!(printed(&words).await, block, "asked again it says the same");
        let author = block.lines().find_map(|line| line.strip_prefix("author = ")).expect("an author");
        authors.push(author.to_owned());
        blocks += &block;
    }
    let file = root.join("founding.toml");
    std::fs::write(&file, format!("name = \"testnet\"\nadmins = [{}]\n{blocks}", authors.join(", "))).expect("written");
    let init = ["init", "--dir", text(&dirs[0]), "--name", &name(0), "--genesis", text(&file)];
    printed(&init).await;
    let genesis = dirs[0].join("genesis.cbor");
    for (number, dir) in dirs.iter().enumerate().skip(1) {
        printed(&["init", "--dir", text(dir), "--name", &name(number), "--founded", text(&genesis)]).await;
    }
    // Somebody who is no founder can't take it on.
    let (stranger, name) = (root.join("stranger"), name(FOUNDERS));
    let init = ["init", "--dir", text(&stranger), "--name", &name, "--founded", text(&genesis)];
    let refused = Command::new(program()).args(init).output().await.expect("it runs");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("lattice keygen"), "{refused:?}");
    dirs
}

impl Operators {
    async fn found() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let mut nodes: Vec<Node> = Vec::new();
        for (number, dir) in founded(root.path()).await.into_iter().enumerate().take(RUNNING) {
            let mut launch = Launch::new(program(), format!("node-{}", number + 1), dir);
            launch.p2p = vec![format!("127.0.0.1:{}", lasting_port())];
            launch.peers = nodes.iter().filter_map(Node::reached).flat_map(|reached| reached.run.p2p).collect();
            let mut node = Node::new(launch);
            node.listen().await.expect("started");
            nodes.push(node);
        }
        testnet::cluster::wait_until_settled(&nodes, SOON).await.expect("all know all");
        Self { root, nodes }
    }

    /// The keys of one that runs.
    fn keys(&self, node: usize) -> NodeKeys {
        Home::open(self.nodes[node].dir()).expect("there is a node").keys().expect("a key")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// An operator signs what is in one file; the note with its signature is in another.
    async fn approve(&self, node: usize, from: &Path, to: &Path) -> String {
        ordered(&self.nodes[node], &["seat", "approve", text(from), "--output", text(to)]).await
    }

    async fn refuse(&self, node: usize, order: &str, files: &[&Path]) -> String {
        let mut words = vec!["seat", order];
        for file in files {
            words.extend(if order == "promote" { vec!["--approve", text(file)] } else { vec![text(file)] });
        }
        refused(&self.nodes[node], &words).await
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_is_settled_once_more_than_half_of_the_operators_have_signed_and_not_before() {
    let operators = Operators::found().await;
    let [first, second, third] = ["first", "second", "third"].map(|name| operators.file(name));
    let create = ["seat", "create", "--holder", "node-1", "--shadow", "node-2", "--voters", "node-1,node-2,node-3"];
    let shown = ordered(&operators.nodes[0], &[&create[..], &["--output", text(&first)]].concat()).await;
    assert!(shown.contains("1 of 3 operators"), "{shown}");
    let alone = operators.refuse(0, "promote", &[&first]).await;
    assert!(alone.contains("1 of 3 operators"), "{alone}");
    // Signed again by the same one, it is still one.
    let again = operators.file("again");
    let shown = operators.approve(0, &first, &again).await;
    assert!(shown.contains("1 of 3 operators"), "{shown}");
    let twice = operators.refuse(0, "promote", &[&first, &again]).await;
    assert!(twice.contains("1 of 3 operators"), "{twice}");
    // Two others sign, neither knowing of the other.
    for (node, note) in [(1, &second), (2, &third)] {
        let shown = operators.approve(node, &first, note).await;
        assert!(shown.contains("2 of 3 operators"), "{shown}");
    }
    let two = operators.refuse(1, "promote", &[&second, &again]).await;
    assert!(two.contains("2 of 3 operators"), "{two}");
    // Asked before one of them hides.
    let seat = Seat::of(&operators.nodes).await.expect("admin sockets");
    let settled = ["seat", "promote", "--approve", text(&second), "--approve", text(&third)];
    let shown = ordered(&operators.nodes[2], &settled).await;
    assert!(shown.contains("settled: 3 of 3 operators"), "{shown}");
    let standing = seat.steady(&operators.nodes, SOON).await.expect("it is served");
    assert_eq!((standing.term, standing.holder, standing.shadow), (1, 0, Some(1)));
    let history = ordered(&operators.nodes[2], &["seat", "history", "--verify"]).await;
    assert!(history.contains("by operators (3 signatures)"), "{history}");

    // What is about another term than the others, or no longer about the next one.
    let next = operators.file("next");
    let settle = ["seat", "settle", "--holder", "node-3", "--shadow", "node-1", "--output", text(&next)];
    let held = refused(&operators.nodes[0], &settle).await;
    assert!(held.contains("holds the seat: its lease runs at") && held.contains("--depose"), "{held}");
    ordered(&operators.nodes[0], &[&settle[..], &["--depose"]].concat()).await;
    let mixed = operators.refuse(0, "promote", &[&third, &next]).await;
    assert!(mixed.contains("different terms"), "{mixed}");
    seat.admin(0).switchover().await.expect("it moves");
    seat.steady(&operators.nodes, SOON).await.expect("it is served");
    for order in ["approve", "promote"] {
        let late = operators.refuse(1, order, &[&next]).await;
        assert!(late.contains("does not go on from term 2"), "nobody signs away a holder unawares: {late}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operator_signs_for_another_lattice_or_seat_or_words_that_say_something_else() {
    let operators = Operators::found().await;
    let draft = operators.file("draft");
    let create = ["seat", "create", "--holder", "node-1", "--voters", "node-1,node-2,node-3"];
    ordered(&operators.nodes[0], &[&create[..], &["--output", text(&draft)]].concat()).await;
    let drafted = std::fs::read_to_string(&draft).expect("written");
    let note = Note::parse(drafted.as_bytes()).expect("a note");
    let body = Approvals::body_of(&note).expect("a body");
    let signed = |body: &Body| {
        let note = Approvals::by(body, &operators.keys(0), 1).to_note(body).expect("a line");
        note.to_string()
    };
    let others = [
        (signed(&Body { lattice: LatticeId([9; 32]), ..body.clone() }), "another lattice"),
        (signed(&Body { seat: "blue".to_owned(), ..body.clone() }), "no seat \"blue\""),
        (
            signed(&Body { term: 7, follows: Some(body.hash()), electors: body.voters.clone(), ..body.clone() }),
            "term 7",
        ),
        (drafted.replacen("\ncut 0\n", "\ncut 9\n", 1), "the words of the note are not its body's"),
    ];
    let file = operators.file("other");
    for (note, reason) in others {
        std::fs::write(&file, note).expect("written");
        for order in ["approve", "promote"] {
            let shown = operators.refuse(1, order, &[&file]).await;
            assert!(shown.contains(reason), "{order}: {shown}");
        }
    }
}

//! A batch against a state: what is written, what is replaced, and that batching changes nothing.

use super::*;
use lattice::clock::Timestamp;
use lattice::commit::Draft;
use lattice::ids::CommitId;
use lattice::keys::NodeKeys;
use proptest::prelude::*;

const FIRST: NextRows = NextRows { entry: EntryRow(1), commit: CommitRow(1) };

struct World {
    keys: Vec<NodeKeys>,
    genesis: Genesis,
}

fn world() -> World {
    let keys: Vec<_> = (1..=3).map(|n| NodeKeys::from_seed([n; 32])).collect();
    let genesis = Genesis::founded_by("test", "one", &keys[0], vec![1; 38]);
    World { keys, genesis }
}

impl World {
    fn commit(&self, author: usize, seq: u64, time: u64, ops: Vec<Op>) -> VerifiedCommit {
        let prev = CommitId([u8::from(seq > 1); 32]);
        let draft = Draft { lattice: self.genesis.id(), term: 0, seq, prev, time: Timestamp(time) };
        draft.sign(&self.keys[author].author, ops).verify(&self.genesis).expect("within limits")
    }
}

/// The store as the planner sees it.
struct Model {
    tree: Tree,
    rows: BTreeMap<EntryRow, Standing>,
    next: NextRows,
}

impl Model {
    fn new() -> Self {
        Self { tree: Tree::default(), rows: BTreeMap::new(), next: FIRST }
    }

    fn apply(&mut self, genesis: &Genesis, batch: &[VerifiedCommit]) {
        let batch: &[&VerifiedCommit] = &batch.iter().collect::<Vec<_>>();
        let standing =
            contested(&self.tree, batch).into_iter().map(|row| (row, self.rows[&row])).collect::<BTreeMap<_, _>>();
        let plan = plan(genesis, &self.tree, batch, &standing, self.next);
        for write in &plan.entries {
            if let Some((old, _)) = write.replaces {
                self.rows.remove(&old);
            }
            let commit = plan.commits.iter().find(|c| c.row == write.commit).expect("written with its commit");
            let version = Version::of(commit.commit.header(), commit.commit.id(), write.op_index);
            self.rows.insert(write.row, Standing { version, commit: write.commit });
        }
        for commit in &plan.commits {
            let rows: Vec<_> = plan.entries.iter().filter(|e| e.commit == commit.row).map(|e| e.row.0).collect();
            let first = commit.first_entry.0;
            assert_eq!(rows, (first..first + i64::from(commit.live)).collect::<Vec<_>>(), "side by side");
        }
        let live: u32 = plan.commits.iter().map(|commit| commit.live).sum();
        assert_eq!(live as usize, plan.entries.len(), "each entry counts at its commit");
        (self.tree, self.next) = (plan.tree, plan.next);
        assert_eq!(self.rows.len() as u64, self.tree.len(), "one row per entry");
        assert!(self.tree.leaves().all(|leaf| self.rows.contains_key(&leaf.tag)), "each leaf knows its row");
    }
}

#[test]
fn a_damaged_entry_gives_way_to_the_commit_that_it_claims_to_be_of() {
    // A value that was changed on disk, and the root with it, stood for ever: its version is that of the right one.
    let world = world();
    let commit = world.commit(0, 1, 1, vec![Op::put("k", b"right").expect("small")]);
    let mut model = Model::new();
    model.apply(&world.genesis, std::slice::from_ref(&commit));
    let (right, leaf) = (model.tree.root(), *model.tree.leaves().next().expect("one entry"));
    let wrong = Entry::of(&Op::put("k", b"wrong").expect("small"), model.rows[&leaf.tag].version);
    model.tree.insert(Leaf { leaf: wrong.leaf(), ..leaf });
    assert_ne!(model.tree.root(), right);
    model.apply(&world.genesis, &[commit]);
    assert_eq!(model.tree.root(), right);
}

#[test]
fn a_repeated_commit_writes_nothing() {
    let world = world();
    let commit = world.commit(0, 1, 1, vec![Op::put("k", b"v").expect("small")]);
    let mut model = Model::new();
    model.apply(&world.genesis, std::slice::from_ref(&commit));
    let before = model.next;
    model.apply(&world.genesis, &[commit.clone(), commit]);
    assert_eq!(model.next, before);
}

#[test]
fn a_later_delete_replaces_and_an_earlier_put_does_not_bring_it_back() {
    let world = world();
    let put = world.commit(0, 1, 1, vec![Op::put("k", b"v").expect("small")]);
    let delete = world.commit(1, 1, 2, vec![Op::delete("k").expect("small")]);
    let mut model = Model::new();
    model.apply(&world.genesis, &[delete]);
    let root = model.tree.root();
    model.apply(&world.genesis, &[put]);
    assert_eq!(model.tree.root(), root);
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = (0..12u8, proptest::option::of(0..4u8)).prop_map(|(key, value)| match value {
        Some(value) => Op::put(&format!("k{key}"), &[value]).expect("small"),
        None => Op::delete(&format!("k{key}")).expect("small"),
    });
    proptest::collection::vec(op, 1..5).prop_map(|mut ops| {
        ops.sort_by(|a, b| a.key().cmp(b.key()));
        ops.dedup_by(|a, b| a.key() == b.key());
        ops
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn order_batching_and_repetition_do_not_change_the_root(
        drafts in proptest::collection::vec((0..3usize, 1..6u64, ops()), 1..20),
        shuffle in proptest::collection::vec(any::<prop::sample::Index>(), 40),
        size in 1..7usize,
    ) {
        let world = world();
        let commits: Vec<_> = drafts
            .into_iter()
            .enumerate()
            .map(|(i, (author, time, ops))| world.commit(author, i as u64 + 1, time, ops))
            .collect();
        let mut straight = Model::new();
        straight.apply(&world.genesis, &commits);
        let mut mixed: Vec<_> = shuffle.iter().map(|at| at.get(&commits).clone()).collect();
        mixed.extend(commits.iter().rev().cloned());
        let mut other = Model::new();
        mixed.chunks(size).for_each(|batch| other.apply(&world.genesis, batch));
        prop_assert_eq!(straight.tree.root(), other.tree.root());
    }
}

//! The answering side. It holds nothing between requests, so an initiator can't make it remember anything.
//!
//! ```text
//! answer(request, view) ─► Reply ────────────────────────────────────────────► response
//!                     └──► Load, Apply, ReadFrontier ─► loaded, applied, read ─► response
//! ```

use lattice::commit::Commit;
use lattice::frontier::Chain;
use lattice::ids::{KeyHash, StateRoot};
use lattice::merkle::Digest;
use lattice::tree::StateTree;
use lattice::tree::prefix::Prefix;

use crate::limits::{
    COMPARE_LEAVES_MAX, DESCENT_BITS, FRONTIER_CHAINS_MAX, LIST_LEAVES_MAX, MESSAGE_BYTES_TARGET, REFUSALS_MAX,
    SKETCH_WALK_MAX,
};
use crate::message::{ChainId, Compared, Flight, Intake, Request, Response, Stretch, commit_bytes_at_most};
use crate::sketch::{ShortKey, place_of};
use crate::view::{KeyLeaf, Scope, Summary, View};

/// What a node does to answer a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Send this.
    Reply(Response),
    /// Read the commits that hold the entries at these keys, then call [`loaded`].
    ///
    /// Each commit once, with *all* operations that still stand in our state and not only those at these keys: the
    /// asking side drops from its list what came along, so a commit of a thousand operations travels once and not
    /// a thousand times. In the order of the keys, until the next commit would pass `max_bytes` or
    /// [`crate::limits::COMMITS_MAX`]; the first is read whatever its size. A key without an entry counts as served.
    Load {
        /// Keys.
        keys: Vec<KeyHash>,
        /// Bytes of all commits together.
        max_bytes: usize,
    },
    /// Give these to the one way in, then call [`applied`] once they are durable.
    Apply {
        /// Commits, nothing of them verified.
        commits: Vec<Commit>,
    },
    /// Read root and frontier in one transaction, then call [`read`].
    ReadFrontier {
        /// Begin behind this chain.
        after: Option<ChainId>,
    },
}

/// Answers a request, or says what must be read or written first.
pub fn answer<T: Copy>(request: Request, view: &View<T>) -> Answer {
    match request {
        Request::Open { summary, symbols, estimate } => Answer::Reply(opened(view, &summary, symbols, estimate)),
        Request::Symbols { parts } => Answer::Reply(symbols(view, &parts)),
        Request::FetchShort { keys } => {
            let keys = long_keys(view, &keys);
            Answer::Load { keys, max_bytes: MESSAGE_BYTES_TARGET }
        }
        Request::Compare { nodes } => {
            let answers = nodes.iter().map(|(prefix, theirs)| compare(view, prefix, theirs)).collect();
            Answer::Reply(Response::Compared { answers })
        }
        Request::List { scope, prefixes, after } => Answer::Reply(list(view, scope, &prefixes, after)),
        Request::Fetch { keys } => Answer::Load { keys, max_bytes: MESSAGE_BYTES_TARGET },
        Request::Push { commits } => Answer::Apply { commits },
        Request::Frontier { after } => Answer::ReadFrontier { after },
    }
}

/// The response after [`Answer::Load`]; `served` keys, from the first, are answered.
pub fn loaded(commits: Vec<Commit>, served: usize) -> Response {
    Response::Commits { commits, served: served as u64 }
}

/// The response after [`Answer::Apply`]. Refusals beyond what a message may hold are left out.
pub fn applied(mut intake: Intake) -> Response {
    let mut bytes = 0;
    intake.refused.truncate(REFUSALS_MAX);
    intake.refused.retain(|refusal| {
        bytes += refusal.evidence.as_ref().map_or(0, commit_bytes_at_most);
        bytes <= 2 * MESSAGE_BYTES_TARGET
    });
    Response::Pushed(intake)
}

/// The response after [`Answer::ReadFrontier`]: of `chains`, which begin behind the one asked for, as many as a
/// message may hold.
pub fn read(root: StateRoot, chains: impl IntoIterator<Item = (ChainId, Chain)>) -> Response {
    let mut page = Vec::new();
    let mut bytes = 0;
    for (id, chain) in chains {
        bytes += chain.encode().len();
        if page.len() == FRONTIER_CHAINS_MAX || (bytes > MESSAGE_BYTES_TARGET && !page.is_empty()) {
            return Response::Frontier { root, chains: page, more: true };
        }
        page.push((id, chain));
    }
    Response::Frontier { root, chains: page, more: false }
}

fn opened<T: Copy>(view: &View<T>, theirs: &Summary, symbols: u64, estimate: bool) -> Response {
    let summary = view.summary();
    let flight = (summary.root != theirs.root).then(|| {
        // Members differ: their entries move first, and change what the sketch would say.
        let symbols = if summary.members == theirs.members { symbols } else { 0 };
        let sketch = view.tree.sketch();
        let estimator = estimate.then(|| Box::new(*sketch.estimator()));
        Flight { estimator, symbols: sketch.symbols(0, whole(symbols)).collect() }
    });
    Response::Opened { summary, flight }
}

/// The first parts asked for, as many as one answer may walk; the first in any case.
fn symbols<T: Copy>(view: &View<T>, parts: &[Stretch]) -> Response {
    let mut walked = 0;
    let within_walk = |part: &&Stretch| {
        walked += if part.prefix.bits() == 0 { 0 } else { view.tree.subtree_len(&part.prefix) };
        walked <= SKETCH_WALK_MAX
    };
    let most = parts.iter().take_while(within_walk).count().max(1);
    let read =
        |part: &Stretch| view.tree.symbols(&part.prefix, whole(part.from), whole(part.count)).unwrap_or_default();
    let estimator = Box::new(*view.tree.sketch().estimator());
    let parts = parts[..most.min(parts.len())].iter().map(read).collect();
    Response::Symbols { root: view.tree.root(), estimator, parts }
}

/// The key of the first entry that a short key names; without one, a key that has none.
fn long_keys<T: Copy>(view: &View<T>, short: &[ShortKey]) -> Vec<KeyHash> {
    let places: Vec<_> = short.iter().map(place_of).collect();
    let leaves = view.tree.few_leaves_under_each(&places).map(<[_]>::first);
    leaves.zip(&places).map(|(first, place)| first.map_or(place.first_key(), |leaf| leaf.key)).collect()
}

/// A number of symbols, which decoders bound; a larger one is none that there is.
fn whole(symbols: u64) -> usize {
    usize::try_from(symbols).unwrap_or(usize::MAX)
}

fn compare<T: Copy>(view: &View<T>, prefix: &Prefix, theirs: &Digest) -> Compared {
    let tree = &view.tree;
    if tree.subtree_hash(prefix) == *theirs {
        return Compared::Same;
    }
    let children = prefix.children(DESCENT_BITS).filter(|_| tree.subtree_len(prefix) > COMPARE_LEAVES_MAX as u64);
    // Below 252 bits there is no room for more than 32 entries, so either there are children or few leaves.
    let hashes = children.map(|children| children.map(|child| tree.subtree_hash(&child)).collect::<Vec<_>>());
    match hashes.and_then(|hashes| hashes.try_into().ok()) {
        Some(hashes) => Compared::Children(Box::new(hashes)),
        None => Compared::Leaves(tree.leaves_under(prefix).map(KeyLeaf::from).collect()),
    }
}

fn list<T: Copy>(view: &View<T>, scope: Scope, prefixes: &[Prefix], after: Option<KeyHash>) -> Response {
    let mut leaves = stretch(view.scoped(scope), prefixes, after, None, LIST_LEAVES_MAX + 1);
    let more = leaves.len() > LIST_LEAVES_MAX;
    leaves.truncate(LIST_LEAVES_MAX);
    Response::Listed { leaves, more }
}

/// At most `most` leaves under `prefixes`, behind `after` and up to `until`, in key-hash order. Both sides walk a
/// listing by this.
pub(crate) fn stretch<T: Copy>(
    tree: &StateTree<T>,
    prefixes: &[Prefix],
    after: Option<KeyHash>,
    until: Option<KeyHash>,
    most: usize,
) -> Vec<KeyLeaf> {
    let mut leaves = Vec::new();
    for prefix in prefixes {
        let start = after.map_or(prefix.first_key(), |after| after.max(prefix.first_key()));
        let under = tree.leaves_from(&start).take_while(|leaf| prefix.covers(&leaf.key));
        let behind = under.filter(|leaf| after.is_none_or(|after| leaf.key > after));
        let within = behind.take_while(|leaf| until.is_none_or(|until| leaf.key <= until));
        leaves.extend(within.take(most - leaves.len()).map(KeyLeaf::from));
    }
    leaves
}

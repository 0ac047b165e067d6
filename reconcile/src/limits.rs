//! Every bound of the protocol, with its unit and the reason for its size.

use lattice::limits::{COMMIT_BYTES_MAX, FRAME_COMMITS_MAX};

use crate::sketch::SYMBOL_BYTES;

/// Bytes in one encoded message: what a receiver allows at all. Four times the target, so that the last commit of
/// a message may overshoot it.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Bytes that a sender puts into a message: large enough that a round trip on a slow road is worth it, small enough
/// that a node answers dozens of peers at once without noticing (a guess).
pub const MESSAGE_BYTES_TARGET: usize = 512 * 1024;

/// Subtrees in one comparison: the answer is at most 256 lists of 32 leaves, which is the target.
pub const COMPARE_NODES_MAX: usize = 256;

/// Bits of one step down the tree: 16 children, 512 bytes an answer.
pub const DESCENT_BITS: usize = 4;

/// Children of one step down the tree.
pub const CHILDREN: usize = 1 << DESCENT_BITS;

/// Leaves in the answer for one subtree: what a page holds. Larger subtrees answer with their children.
pub const COMPARE_LEAVES_MAX: usize = lattice::limits::PAGE_ENTRIES_MAX;

/// Keys in one fetch: as many commits as one transaction of the node applies.
pub const FETCH_KEYS_MAX: usize = FRAME_COMMITS_MAX;

/// Keys that a fetch names at least, if so many are wished for, when large commits fill an answer with fewer.
pub const FETCH_KEYS_MIN: usize = 32;

/// Subtrees in one listing; each costs a few bytes of the request.
pub const LIST_PREFIXES_MAX: usize = 256;

/// Leaves in one page of a listing: 256 KiB, half of the target. Our own side is compared by as many at a time.
pub const LIST_LEAVES_MAX: usize = 4096;

/// Commits in one message: as many as one transaction of the node applies.
pub const COMMITS_MAX: usize = FRAME_COMMITS_MAX;

/// Symbols of its sketch that a node keeps as entries change: 640 KiB of memory, about 18 of them changed with an
/// item. They read out a difference of some 11,000 entries; what is beyond is found by sketches of parts.
pub const KEPT_SYMBOLS: usize = 16_384;

/// Symbols in the first answer of a session that knows nothing of the difference: mostly enough for ten.
pub const SYMBOLS_COLD: u64 = 22;

/// Symbols in one message: 1.6 MiB, so that a hundred thousand differences take four answers.
pub const SYMBOLS_MAX: usize = 49_152;

/// Parts of a state in one request for symbols, each a few bytes of it.
pub const SKETCH_PARTS_MAX: usize = 256;

/// Entries walked for one answer of symbols: about a tenth of a second of one core.
pub const SKETCH_WALK_MAX: u64 = 524_288;

/// Differences, as estimated, up to which the symbols kept of the whole state are asked for: these read out some 11,000,
/// and an estimate may be a third too low.
pub const WHOLE_DIFFERENCES_MAX: u64 = 8_500;

/// Differences that a part of a large difference shall hold: there a sketch costs hardly more than its limit of 1.36
/// symbols a difference, and a part that has to be asked for again costs little.
pub const PART_DIFFERENCES: u64 = 3_000;

/// Times that one part is asked for, each time with more symbols; then it is compared by descent.
pub const SKETCH_ATTEMPTS_MAX: u32 = 4;

/// Refusals in one message, and kept of one pass for the outcome. More are counted as nothing: the cure for one
/// (a membership change) is nearly always the cure for all.
pub const REFUSALS_MAX: usize = 16;

/// Bytes of the text of a refusal; a longer one is cut.
pub const REASON_BYTES_MAX: usize = 512;

/// Chains in one page of a frontier.
pub const FRONTIER_CHAINS_MAX: usize = 1024;

/// Times that a session goes through the whole difference. The first moves nearly everything; the others are for
/// writes meanwhile and for what a cut removed. More would chase a busy peer for ever.
pub const PASSES_MAX: u32 = 4;

/// Round trips of one session. At 500 commits each that is a state of 30 million entries; what is left is for the
/// next session, since all that was moved stays.
pub const ROUNDS_MAX: u64 = 65_536;

/// Round trips in a row that neither change our state nor give the peer anything, before the session is given up. Beside it, one for each
/// [`FRUITLESS_ENTRIES_PER_ROUND`] of our own entries is allowed: a long listing of what we both have is honest.
pub const FRUITLESS_ROUNDS_MAX: u64 = 256;

/// See [`FRUITLESS_ROUNDS_MAX`]; a quarter of what one page of a listing shows.
pub const FRUITLESS_ENTRIES_PER_ROUND: u64 = LIST_LEAVES_MAX as u64 / 4;

/// Bounds of a session that a node may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Times through the difference.
    pub passes_max: u32,
    /// Requests in all.
    pub rounds_max: u64,
    /// Requests in a row that change nothing, beside those that the size of our state allows.
    pub fruitless_rounds_max: u64,
    /// About how many entries differ, if that is known: from the estimators in two heads, or from before.
    pub foretold: Option<u64>,
    /// How the session looks for the difference first.
    pub begins_by: Method,
}

/// How a difference is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// By set sketches: messages in the size of the difference.
    #[default]
    Sketch,
    /// Down the trees: always leads to the end, compares whole hashes, and costs more.
    Descent,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            passes_max: PASSES_MAX,
            rounds_max: ROUNDS_MAX,
            fruitless_rounds_max: FRUITLESS_ROUNDS_MAX,
            foretold: None,
            begins_by: Method::Sketch,
        }
    }
}

const _: () = assert!(MESSAGE_BYTES_TARGET + COMMIT_BYTES_MAX + 64 * 1024 < MESSAGE_BYTES_MAX);
const _: () = assert!(COMPARE_NODES_MAX * (COMPARE_LEAVES_MAX * 64 + 8) < MESSAGE_BYTES_MAX);
const _: () = assert!(LIST_LEAVES_MAX * 64 < MESSAGE_BYTES_MAX);
const _: () = assert!(SYMBOLS_MAX * SYMBOL_BYTES + 64 * 1024 < MESSAGE_BYTES_MAX);
const _: () = assert!(KEPT_SYMBOLS <= SYMBOLS_MAX);

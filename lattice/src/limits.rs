//! Every bound of the format, with its unit and the reason for its size.
//!
//! The constants are what a decoder allows at all; a genesis may lower (never raise) those that decide
//! whether a commit is valid, see [`Limits`]. Bounds that only one node's comfort depends on stand with the
//! code that they protect.

/// Bytes in a key. 512 holds a path or an URL and keeps 32 keys of a page in one proof.
pub const KEY_BYTES_MAX: usize = 512;

/// Bytes in a value: 64 KiB, so that one operation always fits a gossip frame.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Operations in a commit. 1024 hashes of dead operations are 32 KiB, an eighth of a commit.
pub const COMMIT_OPS_MAX: usize = 1024;

/// Bytes in an encoded commit, header and signature included. [`crate::commit::Commit::counted_bytes`] must not pass it
/// either, and is never less than the encoding: what verifies can be decoded.
pub const COMMIT_BYTES_MAX: usize = 256 * 1024;

/// Bytes in a commit header; what the fields can take is less (a guess with room).
pub const HEADER_BYTES_MAX: usize = 512;

/// Bytes in the canonical genesis: some hundred founders.
pub const GENESIS_BYTES_MAX: usize = 64 * 1024;

/// Bytes in a name of a lattice, node or origin: fits a table's column.
pub const NAME_BYTES_MAX: usize = 64;

/// Bytes in one membership change: an admin's fall carries up to 256 signatures of 96 bytes.
pub const MEMBERSHIP_CHANGE_BYTES_MAX: usize = 32 * 1024;

/// Founding members and admins in a genesis.
pub const FOUNDERS_MAX: usize = 256;

/// Seat prefixes in a genesis (a guess).
pub const SEAT_PREFIXES_MAX: usize = 16;

/// Entries in a page of the state tree: one rs_merkle build of about 5 us per update.
pub const PAGE_ENTRIES_MAX: usize = 32;

/// Bytes in a log record: what C2SP tlog-tiles' entry bundles allow (a 16-bit length).
pub const RECORD_BYTES_MAX: usize = 65_535;

/// Commit ids in one log record; 1024 ids are 34 KiB of the 64 KiB.
pub const RECORD_COMMITS_MAX: usize = 1024;

/// Bytes in a gossip frame of commits: one largest commit and its envelope.
pub const FRAME_BYTES_MAX: usize = COMMIT_BYTES_MAX + 16 * 1024;

/// Bytes that a sender puts into a frame of several commits, so that queues count in useful units.
pub const FRAME_BYTES_TARGET: usize = 128 * 1024;

/// Commits in a gossip frame: no more than one transaction applies.
pub const FRAME_COMMITS_MAX: usize = RECORD_COMMITS_MAX;

/// Bytes in a gossiped head.
pub const HEAD_BYTES_MAX: usize = 4 * 1024;

/// Bytes in a hello, a join request or its answer without the genesis.
pub const HELLO_BYTES_MAX: usize = 8 * 1024;

/// Bytes of all extension fields of a frame together: room for later versions, not a data channel.
pub const EXTENSION_BYTES_MAX: usize = 1024;

/// Ranges of sequence numbers that a frontier keeps beyond a chain's contiguous part. Past it the lowest
/// range is forgotten: the frontier decides nothing, so only a figure gets coarser.
pub const FRONTIER_RANGES_MAX: usize = 256;

/// Milliseconds by which a commit's clock may be ahead, by default.
pub const MAX_DRIFT_MS_DEFAULT: u64 = 60_000;

/// What decides whether a commit is valid, fixed by the genesis for the life of a lattice: a limit that each
/// node chose for itself would be an endless mismatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in a key.
    pub key_bytes: u64,
    /// Bytes in a value.
    pub value_bytes: u64,
    /// Operations in a commit.
    pub commit_ops: u64,
    /// Bytes that a commit counts, see [`crate::commit::Commit::counted_bytes`]; membership changes and hashes of dead
    /// operations count only towards [`COMMIT_BYTES_MAX`].
    pub commit_bytes: u64,
    /// Milliseconds by which a commit's time may be ahead of the node it enters at.
    pub max_drift_ms: u64,
}

impl Limits {
    /// The most that the format allows, and the default drift.
    pub const DEFAULT: Self = Self {
        key_bytes: KEY_BYTES_MAX as u64,
        value_bytes: VALUE_BYTES_MAX as u64,
        commit_ops: COMMIT_OPS_MAX as u64,
        commit_bytes: COMMIT_BYTES_MAX as u64,
        max_drift_ms: MAX_DRIFT_MS_DEFAULT,
    };

    /// Whether each limit is at least one and at most what the format allows.
    pub fn are_within_format(&self) -> bool {
        let top = Self::DEFAULT;
        (1..=top.key_bytes).contains(&self.key_bytes)
            && self.value_bytes <= top.value_bytes
            && (1..=top.commit_ops).contains(&self.commit_ops)
            && (1024..=top.commit_bytes).contains(&self.commit_bytes)
            && (1..=24 * 3600 * 1000).contains(&self.max_drift_ms)
    }
}

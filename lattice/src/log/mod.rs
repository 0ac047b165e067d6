//! The log: what a node did, as a list that it cannot rewrite, and what others need to hold it to that.
//!
//! Records ([`crate::record`]) are the leaves of one RFC 6962 tree. The formats are public ones, so that programs by
//! others can follow a log and check its proofs: C2SP signed-note, tlog-checkpoint, tlog-cosignature (Ed25519),
//! tlog-tiles, tlog-proof, tlog-witness and tlog-policy. Only the file that proves a fork has a format of its own.
//!
//! # Reading order
//!
//! 1. [`tile`], [`edge`]: how the tree is stored and grows. [`tree`]: proofs from tiles, and their judge.
//! 2. [`note`], [`checkpoint`]: a tree head, signed and cosigned.
//! 3. [`policy`]: whose signatures are enough. [`proof`]: one record is in the log, in one file.
//! 4. [`witness`]: when to cosign. [`exchange`]: how nodes ask each other for it. [`evidence`]: two heads of one log that contradict each other.

pub mod tile;
pub mod edge;
pub mod tree;
pub mod note;
pub mod checkpoint;
pub mod policy;
pub mod proof;
pub mod witness;
pub mod exchange;
pub mod evidence;
mod line;

/// Records in a log. A proof has at most 63 hashes in all formats, and one of consistency can have one more than the tree
/// has levels: between longer logs there would be proofs that nobody can send.
pub const LOG_SIZE_MAX: u64 = 1 << 62;

//! The pure core of a lattice: everything an auditor needs to check a claim, and nothing more.
//!
//! A lattice is a network of nodes that hold one key/value state without a leader. This crate says what a
//! commit, an entry, a state root and a proof *are*, byte for byte (`FORMAT.md`), and how two states join.
//! It does no I/O, reads no clock, spawns nothing and stores nothing: time and randomness are arguments.
//!
//! # Reading order
//!
//! 1. [`ids`], [`fault`], [`limits`], [`codec`], [`base64`]: the alphabet. 32-byte names, who is at fault, every bound,
//!    strict DAG-CBOR, strict base64.
//! 2. [`keys`], [`genesis`], [`clock`]: who signs, what a lattice is, what time means.
//! 3. [`op`], [`commit`]: what is signed. [`entry`]: what wins (the join).
//! 4. [`seat`], [`membership`]: who holds a seat when, whose commits count, and up to where.
//! 5. [`merkle`], [`tree`]: the state root and its proofs.
//! 6. [`frontier`], [`equivocation`], [`head`], [`record`]: what a node says it has and what it writes down about itself.
//! 7. [`frame`], [`hello`], [`ticket`]: what strangers send. Every decoder here is strict and bounded.
//! 8. [`log`], [`bundle`]: what an auditor follows, and what one is shown.
//! 9. [`address`], [`authorization`], [`transfer`]: the same over plain HTTP.
//!
//! # Example
//!
//! ```
//! use lattice::{clock::Timestamp, commit::Draft, genesis::Genesis, ids::CommitId, keys::NodeKeys, op::Op};
//!
//! let keys = NodeKeys::from_seed([7; 32]);
//! let genesis = Genesis::founded_by("example", "first", &keys, vec![1, 2, 3]);
//! let draft = Draft {
//!     lattice: genesis.id(),
//!     term: 0,
//!     seq: 1,
//!     prev: CommitId::ZERO,
//!     time: Timestamp::from_millis(1_000),
//! };
//! let commit = draft.sign(&keys.author, vec![Op::put("colour", b"green")?]);
//! let again = lattice::commit::Commit::decode(&commit.encode())?;
//! assert_eq!(again.verify(&genesis)?.id(), commit.id());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod ids;
pub mod fault;
pub mod limits;
pub mod codec;
pub mod base64;
pub mod keys;
pub mod genesis;
pub mod clock;
pub mod op;
pub mod commit;
pub mod entry;
pub mod seat;
pub mod membership;
pub mod merkle;
pub mod tree;
pub mod frontier;
pub mod equivocation;
pub mod head;
pub mod record;
pub mod frame;
pub mod hello;
pub mod ticket;
pub mod log;
pub mod bundle;
pub mod address;
pub mod authorization;
pub mod transfer;

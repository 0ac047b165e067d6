//! The lattice daemon and its command line: what surrounds the pure core with disk, network and clients.
//!
//! Decisions are made in `node_core`; the modules here move bytes, keep order and close what they opened.
//!
//! # Reading order
//!
//! 1. [`daemon`]: what runs, and in which order it ends. [`home`]: the directory it runs on; `durable`: renames in it.
//! 2. [`intake`], [`ingest`]: from bytes to verified commits. [`writer`]: the one task that changes the state.
//!    [`store`]: the state on disk. [`scrub`]: what looks after it. [`backup`]: copies of it.
//! 3. [`net`]: the libp2p road; [`addressbook`]: where members were met. [`sync`]: heads and reconcile sessions.
//!    [`join`]: a new node's first steps. [`fallback`]: the HTTP road. [`journal`]: what happened on both.
//! 4. [`audit`]: what can be proven. [`seat`]: who alone writes some keys, and who follows.
//! 5. [`service`]: what clients may ask. [`api`], [`view`], [`metrics`], [`counters`]: how they are answered.
//!    [`dashboard`]: the same for a person with a browser.
//! 6. [`cli`], [`settings`]: what an operator types; `terminal`: where it is answered. [`clock`]: what all read time from.

pub mod daemon;
pub mod home;
mod durable;
pub mod intake;
pub mod ingest;
pub mod writer;
pub mod store;
pub mod scrub;
pub mod backup;
pub mod net;
pub mod addressbook;
pub mod sync;
pub mod join;
pub mod fallback;
pub mod journal;
pub mod audit;
pub mod seat;
pub mod service;
pub mod api;
pub mod view;
pub mod metrics;
pub mod counters;
pub mod dashboard;
pub mod cli;
pub mod settings;
mod terminal;
pub mod clock;

//! The dashboard: what a person sees of this node in a browser, and what must be remembered for that.
//!
//! It reads only. The page, its style and its scripts are files in `node/dashboard/`, part of the program; the node sends
//! them as they are, and beside them one stream of what changes.
//!
//! # Reading order
//!
//! 1. [`history`], [`lanes`], [`forks`]: what is remembered of the last while; pure and bounded.
//! 2. [`recorder`]: the task that looks once a second. [`shown`]: what the stream says. [`live`]: one reader's place in it.
//! 3. [`files`]: the files, and what a browser may do with them.

pub mod history;
pub mod lanes;
pub mod forks;
pub mod recorder;
pub mod shown;
pub mod live;
pub mod files;

//! Entries to requests: packs rows into commits.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use lattice::limits::COMMIT_BYTES_MAX;
use lattice::op::Op;
use serde_json::json;

use super::rows::{self, BadInput, Row};
use crate::api::body::BODY_BYTES_MAX;

/// Operations in a batch: enough that a commit's own cost no longer shows, few enough to see progress.
const BATCH_OPS_MAX: usize = 256;

/// Bytes of keys and values in a batch, with more per operation than a commit counts for it (at most 18 beside key and
/// value, at least 40 in all): below a commit's bound with room for the header.
const BATCH_BYTES_MAX: usize = COMMIT_BYTES_MAX - 4 * 1024;
const OP_OVERHEAD_BYTES: usize = 48;

/// Bytes of a request's JSON; text with many escapes reaches this before the commit's bound.
const BATCH_JSON_BYTES_MAX: usize = BODY_BYTES_MAX - 4 * 1024;

/// One request: operations of one commit.
#[derive(Debug)]
pub(super) struct Batch {
    /// The request's JSON.
    pub(super) body: String,
    /// The keys that it writes.
    pub(super) keys: Vec<String>,
    /// Bytes of the input up to the end of its last row.
    pub(super) position: u64,
}

/// Packs rows into batches; ends after the first bad row, whose predecessors are still given.
pub(super) struct Batches<I> {
    rows: I,
    prefix: String,
    /// A row that did not fit any more.
    waiting: Option<(Op, u64)>,
    bad: Option<BadInput>,
    ended: bool,
}

impl<I: Iterator<Item = Result<Row, BadInput>>> Batches<I> {
    pub(super) fn new(rows: I, prefix: String) -> Self {
        Self { rows, prefix, waiting: None, bad: None, ended: false }
    }

    fn next_op(&mut self) -> Option<(Op, u64)> {
        if let Some(waiting) = self.waiting.take() {
            return Some(waiting);
        }
        if self.ended {
            return None;
        }
        let row = self.rows.next()?;
        match row.and_then(|row| Ok((rows::checked(&self.prefix, &row)?, row.position))) {
            Ok(op) => Some(op),
            Err(bad) => {
                (self.bad, self.ended) = (Some(bad), true);
                None
            }
        }
    }
}

impl<I: Iterator<Item = Result<Row, BadInput>>> Iterator for Batches<I> {
    type Item = Result<Batch, BadInput>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut packing = Packing::default();
        while let Some((op, position)) = self.next_op() {
            if !packing.has_room_for(&op) {
                self.waiting = Some((op, position));
                break;
            }
            packing.add(&op, position);
        }
        if packing.ops.is_empty() {
            return self.bad.take().map(Err);
        }
        Some(Ok(packing.seal()))
    }
}

/// A batch in the making. A commit holds a key once: the last row of a key wins, as it would in a commit
/// each.
#[derive(Default)]
struct Packing {
    ops: BTreeMap<String, String>,
    bytes: usize,
    json_bytes: usize,
    position: u64,
}

impl Packing {
    fn has_room_for(&self, op: &Op) -> bool {
        self.ops.is_empty()
            || (self.ops.len() < BATCH_OPS_MAX
                && self.bytes + bytes(op) <= BATCH_BYTES_MAX
                && self.json_bytes + in_json(op).len() < BATCH_JSON_BYTES_MAX)
    }

    fn add(&mut self, op: &Op, position: u64) {
        let json = in_json(op);
        // A replaced operation still counts: the bounds are upper ones.
        self.bytes += bytes(op);
        self.json_bytes += json.len() + 1;
        self.position = position;
        self.ops.insert(op.key().to_string(), json);
    }

    fn seal(self) -> Batch {
        let ops: Vec<&str> = self.ops.values().map(String::as_str).collect();
        let body = format!("{{\"changes_only\":true,\"ops\":[{}]}}", ops.join(","));
        Batch { body, keys: self.ops.into_keys().collect(), position: self.position }
    }
}

fn bytes(op: &Op) -> usize {
    OP_OVERHEAD_BYTES + op.key().as_str().len() + op.value().map_or(0, <[u8]>::len)
}

fn in_json(op: &Op) -> String {
    let value = op.value().unwrap_or_default();
    let key = op.key().as_str();
    match std::str::from_utf8(value) {
        Ok(text) => json!({ "op": "put", "key": key, "value": text }),
        Err(_) => json!({ "op": "put", "key": key, "value_base64": BASE64.encode(value) }),
    }
    .to_string()
}

#[cfg(test)]
mod tests;

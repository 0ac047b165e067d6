//! How entries and writes are shown to clients.

use data_encoding::BASE64;

use crate::service::{StoredEntry, Written};
use crate::view::{Entry, Receipt};

/// An entry as clients see it: text where the value is text, else base64.
pub(crate) fn entry(stored: StoredEntry) -> Entry {
    let version = stored.version;
    let deleted = stored.value.is_none();
    let (value, value_base64) = match stored.value.map(String::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text), None),
        Some(Err(bytes)) => (None, Some(BASE64.encode(bytes.as_bytes()))),
    };
    Entry {
        key: stored.key.to_string(),
        value,
        value_base64,
        deleted,
        author: version.author.to_string(),
        time_ms: version.time.millis(),
        commit: version.commit.to_string(),
        seq: version.seq,
        op_index: version.op_index,
    }
}

/// What a client learns of its durable write.
pub(super) fn receipt(written: Written) -> Receipt {
    let applied = written.is_applied();
    Receipt {
        commit: written.commit.to_string(),
        seq: written.seq,
        time_ms: written.time_ms,
        log_position: applied.then_some(written.log_position),
        state_root: applied.then(|| written.root.to_string()),
        entries: applied.then_some(written.entries),
    }
}

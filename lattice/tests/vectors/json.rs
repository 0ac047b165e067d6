//! How the files write values: hashes and bytes in hex, times as decimal text (they pass 2^53), the rest as numbers.

use data_encoding::HEXLOWER;
use lattice::commit::Header;
use lattice::entry::{Entry, Version};
use lattice::genesis::Member;
use lattice::op::Op;
use serde_json::{Value, json};

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> Value {
    Value::String(HEXLOWER.encode(bytes.as_ref()))
}

pub(crate) fn bytes(hex: &Value) -> Vec<u8> {
    let text = hex.as_str().unwrap_or_else(|| panic!("expected hex, found {hex}"));
    HEXLOWER.decode(text.as_bytes()).expect("hex")
}

pub(crate) fn op(op: &Op) -> Value {
    match op.value() {
        Some(value) => json!({ "op": "put", "key": op.key().as_str(), "value": hex(value) }),
        None => json!({ "op": "delete", "key": op.key().as_str() }),
    }
}

pub(crate) fn header(header: &Header) -> Value {
    json!({
        "lattice": hex(header.lattice.0),
        "author": hex(header.author.0),
        "term": header.term,
        "seq": header.seq,
        "prev": hex(header.prev.0),
        "time": header.time.0.to_string(),
        "op_count": header.op_count,
        "ops_root": hex(header.ops_root),
    })
}

pub(crate) fn version(version: &Version) -> Value {
    json!({
        "time": version.time.0.to_string(),
        "author": hex(version.author.0),
        "term": version.term,
        "seq": version.seq,
        "commit": hex(version.commit.0),
        "op_index": version.op_index,
    })
}

pub(crate) fn entry(entry: &Entry) -> Value {
    json!({
        "key": entry.key.as_str(),
        "version": version(&entry.version),
        "value_hash": entry.value.map(|hash| hex(hash.0)),
    })
}

pub(crate) fn member(member: &Member) -> Value {
    json!({
        "name": member.name,
        "author": hex(member.author.0),
        "log_key": hex(member.log_key.0),
        "peer_id": hex(&member.peer_id),
        "roles": member.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
    })
}

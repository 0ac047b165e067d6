//! The bytes of requests.

use lattice::codec::{self, DecodeError};
use lattice::ids::KeyHash;
use lattice::tree::prefix::{Prefix, PrefixWire};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, Bytes};

use super::{SummaryWire, body, decode_commits, encode_commits, open, seal, within};
use crate::limits::{
    COMMITS_MAX, COMPARE_NODES_MAX, FETCH_KEYS_MAX, KEPT_SYMBOLS, LIST_PREFIXES_MAX, SKETCH_PARTS_MAX, SYMBOLS_MAX,
};
use crate::message::{ChainId, Request, Stretch};
use crate::sketch::SHORT_KEY_BYTES;
use crate::view::Scope;

// Kinds of requests.
const OPEN: u64 = 0;
const COMPARE: u64 = 1;
const LIST: u64 = 2;
const FETCH: u64 = 3;
const PUSH: u64 = 4;
const FRONTIER: u64 = 5;
const SYMBOLS: u64 = 16;
const FETCH_SHORT: u64 = 17;

impl Request {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Open { summary, symbols, estimate } => {
                seal(OPEN, &codec::encode(&(SummaryWire::from(summary), *symbols, *estimate)))
            }
            Self::Symbols { parts } => {
                let parts: Vec<_> = parts.iter().map(|part| (part.prefix.to_wire(), part.from, part.count)).collect();
                seal(SYMBOLS, &codec::encode(&parts))
            }
            Self::FetchShort { keys } => seal(FETCH_SHORT, &codec::encode(&Bytes::new(keys.as_flattened()))),
            Self::Compare { nodes } => {
                let nodes: Vec<_> = nodes.iter().map(|(at, hash)| (at.to_wire(), ByteArray::new(*hash))).collect();
                seal(COMPARE, &codec::encode(&nodes))
            }
            Self::List { scope, prefixes, after } => {
                let prefixes = prefixes.iter().map(Prefix::to_wire).collect();
                seal(LIST, &codec::encode(&ListWire(scope_number(*scope), prefixes, *after)))
            }
            Self::Fetch { keys } => seal(FETCH, &codec::encode(keys)),
            Self::Push { commits } => seal(PUSH, &codec::encode(&encode_commits(commits))),
            Self::Frontier { after } => seal(FRONTIER, &codec::encode(after)),
        }
    }

    /// Reads canonical bytes. Extension fields of later versions are allowed, and ignored.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], also for a list that is empty or beyond its bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (kind, bytes) = open(bytes)?;
        match kind {
            OPEN => decode_open(bytes),
            SYMBOLS => decode_stretches(bytes),
            FETCH_SHORT => decode_short_keys(bytes),
            COMPARE => decode_compare(bytes),
            LIST => decode_list(bytes),
            FETCH => {
                let keys: Vec<KeyHash> = body(bytes)?;
                within(&keys, 1, FETCH_KEYS_MAX, "a fetch names 1 to 1024 keys")?;
                Ok(Self::Fetch { keys })
            }
            PUSH => {
                let commits = decode_commits(&body::<Vec<&Bytes>>(bytes)?)?;
                within(&commits, 1, COMMITS_MAX, "a push holds 1 to 1024 commits")?;
                Ok(Self::Push { commits })
            }
            FRONTIER => Ok(Self::Frontier { after: body::<Option<ChainId>>(bytes)? }),
            _ => Err(DecodeError::Invalid("a request of unknown kind")),
        }
    }
}

fn decode_open(bytes: &[u8]) -> Result<Request, DecodeError> {
    let (summary, symbols, estimate): (SummaryWire, u64, bool) = body(bytes)?;
    if symbols > KEPT_SYMBOLS as u64 {
        return Err(DecodeError::Invalid("an opening asks for at most 16384 symbols"));
    }
    Ok(Request::Open { summary: summary.into(), symbols, estimate })
}

fn decode_stretches(bytes: &[u8]) -> Result<Request, DecodeError> {
    let wire: Vec<(PrefixWire<'_>, u64, u64)> = body(bytes)?;
    within(&wire, 1, SKETCH_PARTS_MAX, "symbols are asked for 1 to 256 parts")?;
    let mut symbols = 0u64;
    let mut parts = Vec::with_capacity(wire.len());
    for (prefix, from, count) in &wire {
        let end = from.saturating_add(*count);
        symbols = symbols.saturating_add(*count);
        if *count == 0 || end > SYMBOLS_MAX as u64 || symbols > SYMBOLS_MAX as u64 {
            return Err(DecodeError::Invalid("a part has at least one symbol, and all together at most 49152"));
        }
        parts.push(Stretch { prefix: Prefix::try_from(prefix)?, from: *from, count: *count });
    }
    Ok(Request::Symbols { parts })
}

fn decode_short_keys(bytes: &[u8]) -> Result<Request, DecodeError> {
    let bytes: &Bytes = body(bytes)?;
    let (keys, rest) = bytes.as_chunks::<SHORT_KEY_BYTES>();
    if !rest.is_empty() {
        return Err(DecodeError::Invalid("short keys are 8 bytes each"));
    }
    within(keys, 1, FETCH_KEYS_MAX, "a fetch names 1 to 1024 keys")?;
    Ok(Request::FetchShort { keys: keys.to_vec() })
}

fn decode_compare(bytes: &[u8]) -> Result<Request, DecodeError> {
    let wire: Vec<(PrefixWire<'_>, ByteArray<32>)> = body(bytes)?;
    within(&wire, 1, COMPARE_NODES_MAX, "a comparison names 1 to 256 subtrees")?;
    let nodes =
        wire.iter().map(|(at, hash)| Ok((Prefix::try_from(at)?, hash.into_array()))).collect::<Result<_, _>>()?;
    Ok(Request::Compare { nodes })
}

fn decode_list(bytes: &[u8]) -> Result<Request, DecodeError> {
    let ListWire(scope, wire, after) = body(bytes)?;
    within(&wire, 1, LIST_PREFIXES_MAX, "a listing names 1 to 256 subtrees")?;
    let scope = match scope {
        0 => Scope::State,
        1 => Scope::Members,
        _ => {
            return Err(DecodeError::Invalid("a listing walks the state (0) or the members (1)"));
        }
    };
    let prefixes = wire.iter().map(Prefix::try_from).collect::<Result<Vec<_>, _>>()?;
    let apart = |pair: &[Prefix]| pair[0] < pair[1] && !pair[0].covers(&pair[1].first_key());
    if !prefixes.windows(2).all(apart) {
        return Err(DecodeError::Invalid("subtrees of a listing must be sorted, none within another"));
    }
    Ok(Request::List { scope, prefixes, after })
}

fn scope_number(scope: Scope) -> u64 {
    match scope {
        Scope::State => 0,
        Scope::Members => 1,
    }
}

#[derive(Serialize, Deserialize)]
struct ListWire<'a>(u64, #[serde(borrow)] Vec<PrefixWire<'a>>, Option<KeyHash>);

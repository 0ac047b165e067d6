//! The bytes of responses.

use lattice::codec::{self, DecodeError};
use lattice::commit::Commit;
use lattice::frontier::Chain;
use lattice::ids::{AuthorId, CommitId, StateRoot};
use lattice::merkle::Digest;
use serde_bytes::{ByteArray, ByteBuf, Bytes};

use super::{
    SummaryWire, body, decode_commits, decode_leaves, decode_symbols, encode_commits, encode_leaves, encode_symbols,
    open, seal, within,
};
use crate::limits::{
    CHILDREN, COMPARE_LEAVES_MAX, COMPARE_NODES_MAX, FRONTIER_CHAINS_MAX, KEPT_SYMBOLS, LIST_LEAVES_MAX,
    REASON_BYTES_MAX, REFUSALS_MAX, SKETCH_PARTS_MAX, SYMBOLS_MAX,
};
use crate::message::{Compared, Flight, Intake, Refusal, RefusedFor, Response, short_reason};
use crate::sketch::{ESTIMATOR_BYTES, Estimator};

// Kinds of responses.
const OPENED: u64 = 0;
const COMPARED: u64 = 1;
const LISTED: u64 = 2;
const COMMITS: u64 = 3;
const PUSHED: u64 = 4;
const FRONTIER_READ: u64 = 5;
const BUSY: u64 = 6;
const REFUSED: u64 = 7;
const SYMBOLS: u64 = 16;

impl Response {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Opened { summary, flight } => {
                let flight = flight.as_ref().map(encode_flight);
                seal(OPENED, &codec::encode(&(SummaryWire::from(summary), flight)))
            }
            Self::Symbols { root, estimator, parts } => {
                let parts: Vec<_> = parts.iter().map(|part| ByteBuf::from(encode_symbols(part))).collect();
                seal(SYMBOLS, &codec::encode(&(*root, ByteArray::new(estimator.encode()), parts)))
            }
            Self::Compared { answers } => {
                let answers: Vec<(u64, ByteBuf)> = answers.iter().map(encode_compared).collect();
                seal(COMPARED, &codec::encode(&answers))
            }
            Self::Listed { leaves, more } => {
                seal(LISTED, &codec::encode(&(ByteBuf::from(encode_leaves(leaves)), *more)))
            }
            Self::Commits { commits, served } => seal(COMMITS, &codec::encode(&(encode_commits(commits), *served))),
            Self::Pushed(intake) => seal(PUSHED, &encode_intake(intake)),
            Self::Frontier { root, chains, more } => {
                let chains: Vec<_> = chains
                    .iter()
                    .map(|((author, term), chain)| (*author, *term, ByteBuf::from(chain.encode())))
                    .collect();
                seal(FRONTIER_READ, &codec::encode(&(*root, chains, *more)))
            }
            Self::Busy => seal(BUSY, &[]),
            Self::Refused { reason } => seal(REFUSED, &codec::encode(&short_reason(reason.clone()))),
        }
    }

    /// Reads canonical bytes. Extension fields of later versions are allowed, and ignored.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], also for a list beyond its bound. Whether the answer fits the question is not judged here.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (kind, bytes) = open(bytes)?;
        match kind {
            OPENED => decode_opened(bytes),
            SYMBOLS => decode_parts(bytes),
            COMPARED => decode_answers(bytes),
            LISTED => decode_listed(bytes),
            COMMITS => {
                let (commits, served): (Vec<&Bytes>, u64) = body(bytes)?;
                let commits = decode_commits(&commits)?;
                Ok(Self::Commits { commits, served })
            }
            PUSHED => decode_intake(bytes).map(Self::Pushed),
            FRONTIER_READ => decode_frontier(bytes),
            BUSY if bytes.is_empty() => Ok(Self::Busy),
            BUSY => Err(DecodeError::Invalid("a busy node says nothing else")),
            REFUSED => decode_reason(body(bytes)?).map(|reason| Self::Refused { reason }),
            _ => Err(DecodeError::Invalid("a response of unknown kind")),
        }
    }
}

/// Estimator and symbols.
type FlightWire<B> = (Option<ByteArray<ESTIMATOR_BYTES>>, B);

fn encode_flight(flight: &Flight) -> FlightWire<ByteBuf> {
    let estimator = flight.estimator.as_ref().map(|estimator| ByteArray::new(estimator.encode()));
    (estimator, ByteBuf::from(encode_symbols(&flight.symbols)))
}

fn decode_opened(bytes: &[u8]) -> Result<Response, DecodeError> {
    let (summary, flight): (SummaryWire, Option<FlightWire<&Bytes>>) = body(bytes)?;
    let flight = flight.map(|(estimator, symbols)| {
        let symbols = decode_symbols(symbols, KEPT_SYMBOLS)?;
        let estimator = estimator.map(|bytes| Box::new(Estimator::decode(&bytes)));
        Ok(Flight { estimator, symbols })
    });
    Ok(Response::Opened { summary: summary.into(), flight: flight.transpose()? })
}

fn decode_parts(bytes: &[u8]) -> Result<Response, DecodeError> {
    let (root, estimator, wire): (StateRoot, ByteArray<ESTIMATOR_BYTES>, Vec<&Bytes>) = body(bytes)?;
    within(&wire, 1, SKETCH_PARTS_MAX, "symbols are given for 1 to 256 parts")?;
    let mut left = SYMBOLS_MAX;
    let mut parts = Vec::with_capacity(wire.len());
    for bytes in wire {
        let symbols = decode_symbols(bytes, left)?;
        left -= symbols.len();
        parts.push(symbols);
    }
    Ok(Response::Symbols { root, estimator: Box::new(Estimator::decode(&estimator)), parts })
}

fn decode_answers(bytes: &[u8]) -> Result<Response, DecodeError> {
    let wire: Vec<(u64, &Bytes)> = body(bytes)?;
    within(&wire, 1, COMPARE_NODES_MAX, "a comparison answers 1 to 256 subtrees")?;
    let answers = wire.iter().map(|(kind, bytes)| decode_compared(*kind, bytes));
    Ok(Response::Compared { answers: answers.collect::<Result<_, _>>()? })
}

fn decode_listed(bytes: &[u8]) -> Result<Response, DecodeError> {
    let (leaves, more): (&Bytes, bool) = body(bytes)?;
    let leaves = decode_leaves(leaves, LIST_LEAVES_MAX)?;
    Ok(Response::Listed { leaves, more })
}

fn decode_reason(reason: String) -> Result<String, DecodeError> {
    within(reason.as_bytes(), 0, REASON_BYTES_MAX, "a reason has at most 512 bytes")?;
    Ok(reason)
}

const SAME: u64 = 0;
const NARROWER: u64 = 1;
const LEAVES: u64 = 2;

fn encode_compared(answer: &Compared) -> (u64, ByteBuf) {
    match answer {
        Compared::Same => (SAME, ByteBuf::new()),
        Compared::Children(hashes) => (NARROWER, ByteBuf::from(hashes.concat())),
        Compared::Leaves(leaves) => (LEAVES, ByteBuf::from(encode_leaves(leaves))),
    }
}

fn decode_compared(kind: u64, bytes: &[u8]) -> Result<Compared, DecodeError> {
    match kind {
        SAME if bytes.is_empty() => Ok(Compared::Same),
        NARROWER => {
            let (hashes, rest) = bytes.as_chunks::<32>();
            let hashes: Option<[Digest; CHILDREN]> = hashes.try_into().ok().filter(|_| rest.is_empty());
            let hashes = hashes.ok_or(DecodeError::Invalid("a subtree has 16 children of 32 bytes"))?;
            Ok(Compared::Children(Box::new(hashes)))
        }
        LEAVES => decode_leaves(bytes, COMPARE_LEAVES_MAX).map(Compared::Leaves),
        _ => Err(DecodeError::Invalid("a subtree is the same (0), has children (1) or leaves (2)")),
    }
}

type RefusalWire = (CommitId, u64, String, Option<ByteBuf>);

fn encode_intake(intake: &Intake) -> Vec<u8> {
    let refused: Vec<RefusalWire> = intake
        .refused
        .iter()
        .map(|refusal| {
            let evidence = refusal.evidence.as_ref().map(|commit| ByteBuf::from(commit.encode()));
            (refusal.commit, why_number(refusal.why), short_reason(refusal.reason.clone()), evidence)
        })
        .collect();
    codec::encode(&(intake.applied, intake.waiting, refused))
}

fn decode_intake(bytes: &[u8]) -> Result<Intake, DecodeError> {
    let (applied, waiting, refused): (u64, u64, Vec<RefusalWire>) = body(bytes)?;
    within(&refused, 0, REFUSALS_MAX, "at most 16 refusals are named")?;
    let refused = refused.into_iter().map(decode_refusal).collect::<Result<_, _>>()?;
    Ok(Intake { applied, waiting, refused })
}

fn decode_refusal((commit, why, reason, evidence): RefusalWire) -> Result<Refusal, DecodeError> {
    let reason = decode_reason(reason)?;
    let why = match why {
        0 => RefusedFor::BeyondCut,
        1 => RefusedFor::NotAdmitted,
        2 => RefusedFor::Invalid,
        3 => RefusedFor::NoRoom,
        _ => return Err(DecodeError::Invalid("a refusal of unknown kind")),
    };
    let evidence = evidence.map(|bytes| Commit::decode(&bytes)).transpose()?;
    Ok(Refusal { commit, why, reason, evidence })
}

fn why_number(why: RefusedFor) -> u64 {
    match why {
        RefusedFor::BeyondCut => 0,
        RefusedFor::NotAdmitted => 1,
        RefusedFor::Invalid => 2,
        RefusedFor::NoRoom => 3,
    }
}

fn decode_frontier(bytes: &[u8]) -> Result<Response, DecodeError> {
    let (root, wire, more): (StateRoot, Vec<(AuthorId, u64, &Bytes)>, bool) = body(bytes)?;
    within(&wire, 0, FRONTIER_CHAINS_MAX, "a page of a frontier holds at most 1024 chains")?;
    let chains = wire
        .iter()
        .map(|(author, term, chain)| Ok(((*author, *term), Chain::decode(chain)?)))
        .collect::<Result<_, _>>()?;
    Ok(Response::Frontier { root, chains, more })
}

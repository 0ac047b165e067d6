//! What the nodes of a seat ask each other, on a connection that proved both as members (`/lattice/seat/1`).
//!
//! Only votes carry a signature: they go into a certificate that others check. All else is between two nodes.

mod answer;
mod batch;
mod request;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::CERTIFICATE_BYTES_MAX;
use crate::codec::{self, DecodeError};
use crate::limits::HEADER_BYTES_MAX;

pub use answer::{KeptName, NAMES_MAX, SeatAnswer, SeatRefusal, TERMS_MAX};
pub use batch::{BATCH_ITEMS_MAX, Batch, BatchRecord, BatchStaged};
pub use request::{ForwardedWrite, MirrorPosition, SeatRequest, TicketWire};

/// Bytes of a message: the commits of the largest record, 4 MiB and one more, and as much again in other records.
pub const SEAT_MESSAGE_BYTES_MAX: usize = 9 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Tagged(u64, ByteBuf);

fn tagged<T: Serialize>(kind: u64, fields: &T) -> Vec<u8> {
    codec::encode(&Tagged(kind, codec::encode(fields).into()))
}

fn fields<'a, T: Serialize + Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    codec::decode(bytes, SEAT_MESSAGE_BYTES_MAX)
}

fn buffers(of: &[Vec<u8>]) -> Vec<ByteBuf> {
    of.iter().map(|bytes| ByteBuf::from(bytes.clone())).collect()
}

fn optional(bytes: Option<&Vec<u8>>) -> Option<ByteBuf> {
    bytes.map(|bytes| ByteBuf::from(bytes.clone()))
}

fn expect(holds: bool, rule: &'static str) -> Result<(), DecodeError> {
    if holds { Ok(()) } else { Err(DecodeError::Invalid(rule)) }
}

fn small_carrier(carrier: Option<ByteBuf>) -> Result<Option<Vec<u8>>, DecodeError> {
    let is_small = carrier.as_ref().is_none_or(|bytes| bytes.len() <= CERTIFICATE_BYTES_MAX + HEADER_BYTES_MAX);
    expect(is_small, "a commit that carries a certificate has little more than 60 KiB")?;
    Ok(carrier.map(ByteBuf::into_vec))
}

#[cfg(test)]
mod tests;

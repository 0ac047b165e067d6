//! A ticket: the one string that an invited node needs. Genesis, addresses, a right to enter once.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, Bytes};

use crate::codec::{self, DecodeError};
use crate::genesis::Genesis;
use crate::hello::INVITATION_SECRET_BYTES;
use crate::limits::GENESIS_BYTES_MAX;

const VERSION: u64 = 1;

/// What every ticket's text starts with, so that a person sees what it is.
pub const TICKET_PREFIX: &str = "lattice1";

/// Addresses in a ticket (a guess: a few interfaces, two transports each).
pub const TICKET_ADDRESSES_MAX: usize = 32;

/// Bytes of one address.
const ADDRESS_BYTES_MAX: usize = 512;

/// Bytes of a decoded ticket.
pub const TICKET_BYTES_MAX: usize = GENESIS_BYTES_MAX + TICKET_ADDRESSES_MAX * ADDRESS_BYTES_MAX + 256;

/// What an invitation holds. The secret in it lets one node in: treat the text as a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The lattice to join.
    pub genesis: Genesis,
    /// Multiaddresses of the inviting node, each with its peer id.
    pub addresses: Vec<String>,
    /// The right to enter, redeemed once by the node that printed it.
    pub secret: [u8; INVITATION_SECRET_BYTES],
}

/// Why a text is not a ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTicket {
    /// Cut off, or another kind of text.
    #[error("not a ticket: it must start with \"lattice1\"; copy the whole line that `lattice invite` printed")]
    Prefix,
    /// A character that a ticket does not have.
    #[error("not a ticket: it is damaged or cut short; copy the whole line that `lattice invite` printed")]
    Text,
    /// The bytes inside do not decode.
    #[error("not a ticket: {0}; copy the whole line that `lattice invite` printed")]
    Bytes(#[from] DecodeError),
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let genesis = self.genesis.encode();
        let addresses = self.addresses.iter().map(String::as_str).collect();
        let bytes = codec::encode(&TicketWire(VERSION, Bytes::new(&genesis), addresses, ByteArray::new(self.secret)));
        write!(f, "{TICKET_PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({:?}, {:?}, secret withheld)", self.genesis.name, self.addresses)
    }
}

impl FromStr for Ticket {
    type Err = BadTicket;

    fn from_str(text: &str) -> Result<Self, BadTicket> {
        let body = text.trim().strip_prefix(TICKET_PREFIX).ok_or(BadTicket::Prefix)?;
        let bytes = BASE64URL_NOPAD.decode(body.as_bytes()).map_err(|_| BadTicket::Text)?;
        let wire: TicketWire<'_> = codec::decode(&bytes, TICKET_BYTES_MAX)?;
        codec::expect_version(wire.0, VERSION)?;
        let short = wire.2.iter().all(|address| address.len() <= ADDRESS_BYTES_MAX);
        if wire.2.is_empty() || wire.2.len() > TICKET_ADDRESSES_MAX || !short {
            return Err(BadTicket::Bytes(DecodeError::Invalid("a ticket has 1 to 32 addresses of up to 512 bytes")));
        }
        Ok(Self {
            genesis: Genesis::decode(wire.1)?,
            addresses: wire.2.iter().map(|address| (*address).to_owned()).collect(),
            secret: wire.3.into_array(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct TicketWire<'a>(
    u64,
    #[serde(borrow)] &'a Bytes,
    #[serde(borrow)] Vec<&'a str>,
    ByteArray<INVITATION_SECRET_BYTES>,
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::NodeKeys;

    #[test]
    fn a_ticket_survives_copy_and_paste_and_a_damaged_one_says_what_to_do() {
        let ticket = Ticket {
            genesis: Genesis::founded_by("test", "one", &NodeKeys::from_seed([1; 32]), vec![1; 38]),
            addresses: vec!["/ip4/127.0.0.1/tcp/4001".into()],
            secret: [9; 16],
        };
        let text = ticket.to_string();
        assert_eq!(format!("  {text}\n").parse(), Ok(ticket.clone()));
        for bad in ["", "hello", &text[..text.len() - 3], &text.replace("lattice1", "lattice2")] {
            let refused = bad.parse::<Ticket>().expect_err("damaged");
            assert!(refused.to_string().contains("copy the whole line"), "{refused}");
        }
        assert!(!format!("{ticket:?}").contains("9, 9"), "the secret is not printed");
    }
}

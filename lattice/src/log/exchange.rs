//! What nodes ask each other about logs over libp2p: the requests of C2SP tlog-witness in one stream each way, and two
//! more that a log's own node answers.
//!
//! ```text
//! request  = "add-checkpoint" LF, the body of that request
//!          | "checkpoint " origin LF                          what do you hold of this log?
//!          | "consistency " origin " " old " " new LF         how did this log of yours grow from old to new?
//! response = status LF, body
//! ```
//!
//! Statuses are those of HTTP. A checkpoint is answered with 200 and the signed note, or 404; a consistency proof with
//! 200 and hashes in base64, a line each: the root at the old size, the root at the new one, and the proof.

use std::fmt;

use super::line;
use super::tree::PROOF_HASHES_MAX;
use super::witness::{ADD_CHECKPOINT_BYTES_MAX, AddCheckpoint};
use crate::merkle::Digest;

/// Bytes of a request or response.
pub const EXCHANGE_BYTES_MAX: usize = ADD_CHECKPOINT_BYTES_MAX + 512;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Cosign this checkpoint.
    AddCheckpoint(Box<AddCheckpoint>),
    /// Show the last checkpoint that you hold of this log.
    Checkpoint {
        /// The log.
        origin: String,
    },
    /// Show how a log of your own grew.
    Consistency {
        /// The log: its node may have given it another name since.
        origin: String,
        /// From this size.
        old: u64,
        /// To that.
        new: u64,
    },
}

/// A response: an HTTP status and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// What it is about.
    pub body: String,
}

/// Bytes that are no request or response. The sender is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no question about a log, or no answer to one: {0}")]
pub struct BadExchange(String);

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`BadExchange`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadExchange> {
        let mut rest = text(bytes)?;
        let first = line::take(&mut rest).ok_or_else(|| bad("its first line does not end"))?;
        if first == "add-checkpoint" {
            let request = AddCheckpoint::parse(rest.as_bytes()).map_err(|error| BadExchange(error.to_string()))?;
            return Ok(Self::AddCheckpoint(Box::new(request)));
        }
        if !rest.is_empty() {
            return Err(bad("more than one line"));
        }
        if let Some(origin) = first.strip_prefix("checkpoint ").filter(|origin| !origin.is_empty()) {
            return Ok(Self::Checkpoint { origin: origin.to_owned() });
        }
        first.strip_prefix("consistency ").and_then(consistency).ok_or_else(|| bad("an unknown request"))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddCheckpoint(request) => write!(f, "add-checkpoint\n{request}"),
            Self::Checkpoint { origin } => writeln!(f, "checkpoint {origin}"),
            Self::Consistency { origin, old, new } => writeln!(f, "consistency {origin} {old} {new}"),
        }
    }
}

impl Response {
    /// Reads a response.
    ///
    /// # Errors
    ///
    /// [`BadExchange`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadExchange> {
        let mut rest = text(bytes)?;
        let status = line::take(&mut rest).and_then(line::decimal).and_then(|status| u16::try_from(status).ok());
        let status =
            status.filter(|status| (100..600).contains(status)).ok_or_else(|| bad("it begins with no status"))?;
        Ok(Self { status, body: rest.to_owned() })
    }

    /// The answer to a question for consistency.
    pub fn consistency(old_root: &Digest, new_root: &Digest, proof: &[Digest]) -> Self {
        let mut body = String::new();
        [old_root, new_root].into_iter().chain(proof).for_each(|hash| line::push_hash(&mut body, hash));
        Self { status: 200, body }
    }

    /// The roots and the proof in an answer to a question for consistency; `None` if it is anything else.
    pub fn as_consistency(&self) -> Option<(Digest, Digest, Vec<Digest>)> {
        let lines = self.body.strip_suffix('\n')?.split('\n').take(PROOF_HASHES_MAX + 3);
        let hashes: Vec<_> = lines.map(line::hash).collect::<Option<_>>()?;
        let [old_root, new_root, proof @ ..] = hashes.as_slice() else { return None };
        (self.status == 200 && proof.len() <= PROOF_HASHES_MAX).then(|| (*old_root, *new_root, proof.to_vec()))
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.status, self.body)
    }
}

fn consistency(words: &str) -> Option<Request> {
    let (rest, new) = words.rsplit_once(' ')?;
    let (origin, old) = rest.rsplit_once(' ')?;
    let (old, new) = (line::decimal(old)?, line::decimal(new)?);
    (!origin.is_empty()).then(|| Request::Consistency { origin: origin.to_owned(), old, new })
}

fn text(bytes: &[u8]) -> Result<&str, BadExchange> {
    if bytes.len() > EXCHANGE_BYTES_MAX {
        return Err(BadExchange(format!("it has {} bytes, more than {EXCHANGE_BYTES_MAX}", bytes.len())));
    }
    std::str::from_utf8(bytes).map_err(|_| bad("it is no UTF-8 text"))
}

fn bad(what: &str) -> BadExchange {
    BadExchange(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_responses_have_one_form() {
        for text in ["checkpoint a/b\n", "consistency a/b/7 3 17\n"] {
            assert_eq!(Request::parse(text.as_bytes()).expect("one").to_string(), text);
        }
        for bad in [
            "",
            "checkpoint a",
            "checkpoint \n",
            "consistency a 3\n",
            "consistency 3 17\n",
            "consistency  3 17\n",
            "consistency a 03 4\n",
            "checkpoint a\n\n",
            "other\n",
        ] {
            assert!(Request::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let answer = Response::consistency(&[1; 32], &[2; 32], &[[3; 32]]);
        let back = Response::parse(answer.to_string().as_bytes()).expect("one");
        assert_eq!(back.as_consistency(), Some(([1; 32], [2; 32], vec![[3; 32]])));
        for bad in ["", "200", "0\n", "2000\n", "x\n"] {
            assert!(Response::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(Response { status: 404, body: answer.body }.as_consistency(), None);
    }
}

//! Who may ask: signed requests of members and, to read the whole state, auditors with a token.

use std::sync::{Mutex, PoisonError};

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use lattice::authorization::{Asked, Authorization, FRESH_MS, SCHEME};

use crate::nonces::{Nonces, NotTaken};
use crate::rate::{Bucket, Buckets, Remote};
use crate::refusal::Refusal;
use crate::router::Source;

/// Answers about the state a second, and as many twice in one moment: hundreds of peers at their beats, and a tenth of
/// that from one address. A stranger's flood beyond it costs next to nothing.
const STATES_PER_SECOND: u64 = 500;
const STATES_PER_SECOND_EACH: u64 = 50;

/// Signatures checked a second: a tenth of one core. One address may have a quarter of them, a session's worth.
const CHECKS_PER_SECOND: u64 = 2_000;
const CHECKS_PER_SECOND_EACH: u64 = 500;

/// What a request needs, for people.
const SIGNATURE_NEEDED: &str =
    "this request needs a member's signature in the header \"Authorization: Lattice CREDENTIALS\"";
const READER_NEEDED: &str = "this request needs a header: \"Authorization: Bearer TOKEN\" with this node's read token, or a \
                             member's signature as \"Authorization: Lattice CREDENTIALS\"";
const TOKEN_MISSING: &str =
    "there is no token in the header: write \"Authorization: Bearer TOKEN\" with this node's read token";
const TOKEN_WRONG: &str = "that is not this node's read token, the one in the file read.token of its directory; it is read \
                           when the node starts, so restart the node after writing it";

/// What has to be remembered to judge requests.
#[derive(Debug)]
pub(crate) struct Gate {
    nonces: Mutex<Nonces>,
    states: Mutex<Buckets>,
    checks: Mutex<Buckets>,
}

impl Default for Gate {
    fn default() -> Self {
        let bucket = |per_second| Bucket::new(per_second, 2 * per_second);
        Self {
            nonces: Mutex::default(),
            states: Mutex::new(Buckets::new(bucket(STATES_PER_SECOND), bucket(STATES_PER_SECOND_EACH))),
            checks: Mutex::new(Buckets::new(bucket(CHECKS_PER_SECOND), bucket(CHECKS_PER_SECOND_EACH))),
        }
    }
}

impl Gate {
    /// Lets in anybody, so many a second.
    pub(crate) fn open(&self, now_ms: u64, remote: Remote) -> Result<(), Refusal> {
        if take(&self.states, now_ms, remote) { Ok(()) } else { Err(Refusal::RATE) }
    }

    /// Lets in a member whose signature covers this request, once. The body is not read yet.
    pub(crate) fn member(&self, source: &dyn Source, parts: &Parts) -> Result<Authorization, Refusal> {
        let Some(credentials) = credentials(&parts.headers, SCHEME).filter(|credentials| !credentials.is_empty())
        else {
            return unauthorized(SIGNATURE_NEEDED);
        };
        let request = Authorization::from_text(credentials);
        let request = request.map_err(|error| Refusal::Unauthorized(format!("the credentials: {error}")))?;
        let now_ms = source.now_ms();
        if !request.is_fresh(now_ms) {
            return unauthorized(&clocks_apart(now_ms, request.time_ms));
        }
        // Both before the signature: only who names a member costs curve arithmetic, and that has a bound.
        if !source.may_reconcile(&request.author) {
            return Err(Refusal::Forbidden(format!("author {} is no member here", request.author.short())));
        }
        let remote = parts.extensions.get().copied().unwrap_or_default();
        if !take(&self.checks, now_ms, remote) {
            return Err(Refusal::RATE);
        }
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let method = parts.method.as_str();
        let asked = Asked { lattice: source.lattice(), receiver: source.author(), method, path };
        if !request.is_for(&asked) {
            return unauthorized("the signature does not cover this request to this node");
        }
        let taken = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).take(now_ms, &request);
        match taken {
            Ok(()) => Ok(request),
            Err(NotTaken::Replayed) => unauthorized("this very request came before"),
            Err(NotTaken::Full) => Err(Refusal::NONCES),
        }
    }

    /// Lets in a member, or an auditor with the read token.
    pub(crate) fn reader(&self, source: &dyn Source, parts: &Parts) -> Result<(), Refusal> {
        match credentials(&parts.headers, "Bearer") {
            Some("") => unauthorized(TOKEN_MISSING),
            Some(token) if source.is_read_token(token.as_bytes()) => Ok(()),
            Some(_) => unauthorized(TOKEN_WRONG),
            None if credentials(&parts.headers, SCHEME).is_none() => unauthorized(READER_NEEDED),
            None => self.member(source, parts).map(|_| ()),
        }
    }
}

fn take(buckets: &Mutex<Buckets>, now_ms: u64, remote: Remote) -> bool {
    buckets.lock().unwrap_or_else(PoisonError::into_inner).take(now_ms, remote)
}

fn unauthorized<T>(why: &str) -> Result<T, Refusal> {
    Err(Refusal::Unauthorized(why.to_owned()))
}

/// Two clocks that are too far apart, for the operators of both: the words are read at either end.
fn clocks_apart(now_ms: u64, signed_ms: u64) -> String {
    let direction = if now_ms > signed_ms { "ahead of" } else { "behind" };
    format!(
        "the answering node's clock is {} s {direction} the request's, and {} s are allowed: here it is {now_ms}, it was \
         signed at {signed_ms} (milliseconds since 1970); set the clock that is wrong",
        now_ms.abs_diff(signed_ms) / 1000,
        FRESH_MS / 1000
    )
}

/// The credentials behind a scheme, empty if there are none; its name is of any case (RFC 9110, 11.1).
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (found, credentials) = text.split_once(' ').unwrap_or((text, ""));
    found.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_apart_are_told_to_the_operators_of_both() {
        let (early, late) = (1_700_000_000_000, 1_700_000_120_500);
        let ahead = clocks_apart(late, early);
        assert!(ahead.contains("the answering node's clock is 120 s ahead of the request's, and 60 s"), "{ahead}");
        assert!(ahead.contains("here it is 1700000120500, it was signed at 1700000000000"), "{ahead}");
        assert!(clocks_apart(early, late).contains("120 s behind the request's"));
    }

    #[test]
    fn credentials_are_told_from_their_scheme() {
        let table = [
            ("Bearer abc", "Bearer", Some("abc")),
            ("bearer  abc", "Bearer", Some("abc")),
            ("Bearer", "Bearer", Some("")),
            ("Basic abc", "Bearer", None),
            ("Bearerabc", "Bearer", None),
        ];
        for (text, scheme, expected) in table {
            let value = axum::http::HeaderValue::from_static(text);
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            assert_eq!(credentials(&headers, scheme), expected, "{text}");
        }
    }
}

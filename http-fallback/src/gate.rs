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
        let Some(credentials) = credentials(&parts.headers, SCHEME) else {
            return unauthorized(
                "this request needs a member's signature in the header \"Authorization: Lattice CREDENTIALS\"",
            );
        };
        let request = Authorization::from_text(credentials);
        let request = request.map_err(|error| Refusal::Unauthorized(format!("the credentials: {error}")))?;
        let now_ms = source.now_ms();
        if !request.is_fresh(now_ms) {
            return unauthorized(&format!(
                "the request was signed at {}, here it is {now_ms} (milliseconds since 1970): the clocks are more than \
                 {} s apart",
                request.time_ms,
                FRESH_MS / 1000
            ));
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
            Some(token) if source.is_read_token(token.as_bytes()) => Ok(()),
            Some(_) => unauthorized("that is not this node's read token"),
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

/// The credentials behind a scheme; its name is of any case (RFC 9110, 11.1).
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (found, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}

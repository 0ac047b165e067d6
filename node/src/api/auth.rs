//! Who may write: whoever shows the token that the node keeps in a file of its own. And who may read: everybody, unless
//! the operator wants another token for that.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq;

use super::ApiState;
use super::problem::{Kind, Problem};

/// Bytes of randomness in a token.
const TOKEN_RANDOM_BYTES: usize = 32;

/// Characters of a token's text, so that a truncated file is not taken for a token.
pub const TOKEN_CHARS: usize = 2 * TOKEN_RANDOM_BYTES;

/// The secret that lets a client write: 64 hexadecimal digits. Never printed.
#[derive(Clone)]
pub struct ApiToken(String);

/// A text is not a token. The text itself is left out: it may be most of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token: expected {TOKEN_CHARS} hexadecimal digits on one line")]
pub struct BadToken;

impl ApiToken {
    /// A token from 32 random bytes.
    pub fn from_random(bytes: [u8; TOKEN_RANDOM_BYTES]) -> Self {
        Self(HEXLOWER.encode(&bytes))
    }

    /// Reads the text of a token file.
    ///
    /// # Errors
    ///
    /// [`BadToken`].
    pub fn from_text(text: &str) -> Result<Self, BadToken> {
        let text = text.trim();
        if text.len() == TOKEN_CHARS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadToken)
        }
    }

    /// The secret text, for the token file and the `Authorization` header.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is this token, in a time that does not tell how much of it was right.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl std::fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiToken(withheld)")
    }
}

/// Proof that the request showed the token. A handler that writes takes it before the body, so that a
/// stranger's body is never read.
pub(super) struct Authorized;

impl FromRequestParts<ApiState> for Authorized {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let refused = |why: &str| Err(Problem::new(Kind::Unauthorized, why));
        let Some(header) = parts.headers.get(AUTHORIZATION) else {
            return refused(
                "this request needs the header \"Authorization: Bearer TOKEN\"; the token is in \
                 the file api.token of the node's directory",
            );
        };
        match bearer(header.as_bytes()) {
            None => refused("the Authorization header is not of the form \"Bearer TOKEN\""),
            Some(shown) if state.token.is(shown) => Ok(Self),
            Some(_) => refused("that is not this node's token; it is in the file api.token of the node's directory"),
        }
    }
}

/// The tokens that let a client read where not everybody may: the one made for that, and the one that lets it write.
pub(super) struct Readers {
    pub(super) reading: ApiToken,
    pub(super) writing: ApiToken,
}

/// What every reader of the API asks for.
const CLIENT_ROUTES: &str = "/api/v1/";

/// Routes under it that stay open, since they hold no key, no value and no name: what anybody needs who follows the logs.
const LOG_ROUTES: [&str; 3] = ["/api/v1/checkpoints", "/api/v1/forks", "/api/v1/proof/consistency/"];

/// Lets a reader in who shows one of the tokens. Requests that write are judged by [`Authorized`].
pub(super) async fn may_read(State(readers): State<Arc<Readers>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_open = !path.starts_with(CLIENT_ROUTES) || LOG_ROUTES.iter().any(|open| path.starts_with(open));
    if !is_read || is_open {
        return next.run(request).await;
    }
    let shown = request.headers().get(AUTHORIZATION).and_then(|header| bearer(header.as_bytes()));
    let refused = match shown {
        Some(shown) if readers.reading.is(shown) || readers.writing.is(shown) => return next.run(request).await,
        Some(_) => "that is not this node's read token; it is in the file read.token of the node's directory",
        None => {
            "this node asks its readers for the header \"Authorization: Bearer TOKEN\"; the token is in the file \
             read.token of the node's directory, and that in api.token does as well"
        }
    };
    Problem::new(Kind::Unauthorized, refused).into_response()
}

/// The credentials of a `Bearer` header (RFC 6750); the scheme's name is of any case.
pub(crate) fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, credentials) = header.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| credentials.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_file_and_is_never_printed() {
        let token = ApiToken::from_random([7; 32]);
        let read = ApiToken::from_text(&format!("{}\n", token.expose())).expect("own text");
        assert!(token.is(read.expose().as_bytes()));
        assert!(!format!("{token:?}").contains("07"));
    }

    #[test]
    fn other_texts_are_refused_and_not_repeated() {
        for text in ["", "abc", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
            let refused = ApiToken::from_text(text).expect_err("not a token").to_string();
            assert!(text.len() < 4 || !refused.contains(text));
        }
    }

    #[test]
    fn headers() {
        let table: [(&[u8], Option<&[u8]>); 6] = [
            (b"Bearer abc", Some(b"abc")),
            (b"bearer  abc ", Some(b"abc")),
            (b"Basic abc", None),
            (b"Bearer", None),
            (b"", None),
            (b"Bearer\xff", None),
        ];
        for (header, expected) in table {
            assert_eq!(bearer(header), expected, "{header:?}");
        }
        assert!(!ApiToken::from_random([7; 32]).is(b""));
    }
}

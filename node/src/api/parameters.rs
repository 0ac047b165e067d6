//! Reading what stands in a request's line and headers: key, query, idempotency key.
//!
//! Strict where the usual extractors are lenient: bytes that are not UTF-8 are refused instead of replaced
//! (two keys would become one), and so are parameters that nobody knows (a mistyped `perfix` would list
//! everything).

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::problem::{Kind, Problem};
use crate::service::IdempotencyKey;

/// Name of the header that lets a client repeat a write.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// The key in the rest of the path, percent-decoded. Not yet checked against the bounds of a key.
pub(super) struct KeyInPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for KeyInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(key)) => Ok(Self(key)),
            Err(_not_utf8) => Err(not_utf8("the key in the path")),
        }
    }
}

/// The parameters of a query string, each given once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Takes a query string apart, as HTML forms write it (`+` is a space).
    ///
    /// # Errors
    ///
    /// A [`Problem`] for a parameter that is not among `known`, comes twice, or is not UTF-8.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                return Err(unknown(&name, known));
            }
            if parameters.insert(name.clone(), value).is_some() {
                return Err(bad(format!("query parameter {name:?} is given twice")));
            }
        }
        Ok(Self(parameters))
    }

    /// Whether a parameter is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Takes a parameter as text.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Takes a parameter as a whole number.
    ///
    /// # Errors
    ///
    /// A [`Problem`] if it is anything else.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        let text = self.0.remove(name);
        text.map(|text| {
            text.parse().map_err(|_| bad(format!("query parameter {name:?} must be a whole number, not {text:?}")))
        })
        .transpose()
    }

    /// Refuses parameters beside `name`, which stands alone.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names one of the others.
    pub(super) fn expect_none_beside(&self, name: &str) -> Result<(), Problem> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(other) => Err(bad(format!("query parameter {other:?} means nothing beside {name:?}"))),
        }
    }
}

/// The idempotency key of a write, if it has one.
///
/// # Errors
///
/// A [`Problem`] if the header comes twice or is not 1 to 128 visible ASCII characters.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let visible = |text: &&str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let key = value.to_str().ok().filter(visible).and_then(IdempotencyKey::new);
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(bad("the Idempotency-Key header must be 1 to 128 visible ASCII characters, given once".to_owned())),
    }
}

fn decoded(part: &str) -> Result<String, Problem> {
    let spaced = part.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8().map_err(|_| not_utf8("the query"))?;
    Ok(text.into_owned())
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    bad(match known {
        [] => format!("query parameter {name:?} is not known here, where none is"),
        _ => format!("query parameter {name:?} is not known here; known are {}", known.join(", ")),
    })
}

fn not_utf8(what: &str) -> Problem {
    bad(format!("{what} is not UTF-8 once percent-decoded"))
}

fn bad(detail: String) -> Problem {
    Problem::new(Kind::BadRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let known = ["key", "limit"];
        let table = [
            ("", Ok(vec![])),
            ("key=a", Ok(vec![("key", "a")])),
            ("key=a%2Fb+c%2Bd&&limit=", Ok(vec![("key", "a/b c+d"), ("limit", "")])),
            ("key=a=b", Ok(vec![("key", "a=b")])),
            ("kez=a", Err("known are key, limit")),
            ("key=a&key=a", Err("twice")),
            ("key=%ff", Err("not UTF-8")),
            ("%ff=1", Err("not UTF-8")),
        ];
        for (query, expected) in table {
            match (Parameters::parse(Some(query), &known), expected) {
                (Ok(Parameters(got)), Ok(pairs)) => {
                    let got: Vec<_> = got.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                    assert_eq!(got, pairs, "{query}");
                }
                (Err(problem), Err(why)) => {
                    assert!(problem.view().detail.contains(why), "{query}: {problem:?}")
                }
                (got, _) => panic!("{query}: {got:?}"),
            }
        }
    }

    #[test]
    fn numbers() {
        let number = |query| Parameters::parse(Some(query), &["n"]).and_then(|mut p| p.number("n"));
        assert_eq!(number(""), Ok(None));
        assert_eq!(number("n=18446744073709551615"), Ok(Some(u64::MAX)));
        for query in ["n=", "n=-1", "n=1.5", "n=18446744073709551616", "n=0x1"] {
            assert!(number(query).is_err(), "{query}");
        }
    }

    #[test]
    fn idempotency_keys() {
        let key = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_HEADER, axum::http::HeaderValue::from_bytes(value).expect("a header"));
            }
            idempotency_key(&headers)
        };
        assert_eq!(key(&[]), Ok(None));
        let longest = "x".repeat(128);
        assert_eq!(key(&[longest.as_bytes()]), Ok(IdempotencyKey::new(&longest)));
        let too_long = "x".repeat(129);
        for bad in [&[b"".as_slice()][..], &[b"a b"], &["ä".as_bytes()], &[b"a", b"a"], &[too_long.as_bytes()]] {
            assert!(key(bad).is_err(), "{bad:?}");
        }
    }
}

//! Where a node is reached over HTTP: the entry `@url/<author>`, which only that author writes.
//!
//! Members publish it so that others find them when libp2p fails. The rule decides whether a commit is valid, so it
//! looks at bytes alone and needs no parser whose next version might think otherwise.

use crate::ids::AuthorId;
use crate::op::Op;

/// What the keys of published URLs begin with; the author in lower-case hex follows.
pub const URL_PREFIX: &str = "@url/";

/// Bytes of a URL (a guess with room).
pub const URL_BYTES_MAX: usize = 512;

/// The key at which an author publishes its URL.
pub fn url_key(author: &AuthorId) -> String {
    format!("{URL_PREFIX}{author}")
}

/// The author that a key of this kind names, in its one form.
pub fn author_of(key: &str) -> Option<AuthorId> {
    let author: AuthorId = key.strip_prefix(URL_PREFIX)?.parse().ok()?;
    (url_key(&author) == key).then_some(author)
}

/// Whether a text is a URL that a node may publish: `http://` or `https://`, a host with or without a port from 1 to
/// 65535, and perhaps a path. No user, query or fragment: what nodes ask is appended.
pub fn is_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else { return false };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path_byte = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte);
    text.len() <= URL_BYTES_MAX && is_authority(authority) && path.bytes().all(path_byte)
}

/// Whether this is a name or an IPv4 address, or an IPv6 address in brackets, with or without a port.
fn is_authority(text: &str) -> bool {
    let (is_host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else { return false };
        let host_byte = |byte: u8| byte.is_ascii_hexdigit() || b":.".contains(&byte);
        (!host.is_empty() && host.bytes().all(host_byte), port)
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        let host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        (host.starts_with(|first: char| first.is_ascii_alphanumeric()) && host.bytes().all(host_byte), port)
    };
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Whether this is a number from 1 to 65535 in decimal, without a zero before it.
fn is_port(text: &str) -> bool {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    is_decimal && text.parse::<u16>().is_ok()
}

/// Judges an operation under [`URL_PREFIX`] by `author`.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn check(author: &AuthorId, op: &Op) -> Result<(), &'static str> {
    if op.key().as_str() != url_key(author) {
        return Err("only the author that the key names writes it");
    }
    match op.value().map(std::str::from_utf8) {
        None => Ok(()),
        Some(Ok(text)) if is_url(text) => Ok(()),
        Some(_) => Err("its value is not a URL such as http://192.0.2.7:4800 of up to 512 bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let longest = format!("http://h/{}", "p".repeat(URL_BYTES_MAX - 9));
        for good in [
            "http://192.0.2.7:4800",
            "https://node.example",
            "http://[2001:db8::1]:4800/lattice",
            "http://a/",
            "http://a_b.example:1/x/%20y",
            "http://a:65535/x:y",
            "http://[::ffff:192.0.2.7]",
            &longest,
        ] {
            assert!(is_url(good), "{good}");
        }
        let too_long = format!("{longest}p");
        for bad in [
            "",
            "http://",
            "http:///x",
            "HTTP://a",
            "ftp://a",
            "a:4800",
            "http://user@a",
            "http://a?x",
            "http://a/?x",
            "http://a/#x",
            "http://a b",
            "http://ä",
            "http://a/\n",
            "http://:80",
            "http://a:",
            "http://a:0",
            "http://a:080",
            "http://a:+80",
            "http://a:65536",
            "http://a:99999999999999999999/x",
            "http://a:http",
            "http://a:1:2",
            "http://2001:db8::1",
            "http://[2001:db8::1",
            "http://[2001:db8::1]80",
            "http://[2001:db8::1]:0",
            "http://[]:80",
            "http://[a.example]",
            "http://a]",
            &too_long,
        ] {
            assert!(!is_url(bad), "{bad}");
        }
    }

    #[test]
    fn only_its_author_writes_an_entry() {
        let (own, other) = (AuthorId([0xab; 32]), AuthorId([2; 32]));
        let key = url_key(&own);
        assert_eq!(author_of(&key), Some(own));
        assert_eq!(author_of(&key.to_uppercase().replace("@URL/", URL_PREFIX)), None, "another form of the same name");
        let put = |value: &[u8]| Op::put(&key, value).expect("small");
        assert_eq!(check(&own, &put(b"http://a:1")), Ok(()));
        assert_eq!(check(&own, &Op::delete(&key).expect("small")), Ok(()));
        assert!(check(&other, &put(b"http://a:1")).is_err());
        assert!(check(&own, &put(b"a:1")).is_err());
        assert!(check(&own, &put(b"\xff")).is_err());
        assert!(check(&own, &Op::put(&format!("{key}/x"), b"http://a:1").expect("small")).is_err());
    }
}

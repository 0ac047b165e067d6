//! Base64 (RFC 4648, section 4) in its one form, as the text formats of logs and answers of nodes have it.

use data_encoding::BASE64;

/// The bytes of a text; `None` for what is no base64, and for another form of the same bytes. The decoder wants padding,
/// and zeros in the bits beyond the last byte, but takes padding amid the text as well, as if two were joined there.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    (BASE64.encode(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_form() {
        assert_eq!(decode(""), Some(vec![]));
        assert_eq!(decode("Zm8="), Some(b"fo".to_vec()));
        for other in ["Zm8", "Zm9=", "Zm8=Zm8=", "Zm8=Zm9v", "AA=A", "A===", "Zm8=\n", "Zm 8=", "Zm8-", "="] {
            assert_eq!(decode(other), None, "{other:?}");
        }
    }
}

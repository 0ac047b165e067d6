//! How the text formats of a log write numbers, bytes and hashes, one to a line.

use data_encoding::BASE64;

use super::tree::PROOF_HASHES_MAX;
use crate::base64;
use crate::merkle::Digest;

/// Digits of the largest number of 64 bits.
const DECIMAL_DIGITS_MAX: usize = 20;

/// Characters of a hash in base64.
pub(super) const HASH_CHARS: usize = 44;

/// A number in decimal without sign or leading zeros; `None` for any other text.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with('0');
    let is_number = text.len() <= DECIMAL_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_canonical && is_number { text.parse().ok() } else { None }
}

/// A hash in base64; `None` for any other text.
pub(super) fn hash(text: &str) -> Option<Digest> {
    if text.len() != HASH_CHARS {
        return None;
    }
    base64::decode(text)?.try_into().ok()
}

/// A hash in base64 and the end of its line, behind what `out` holds.
pub(super) fn push_hash(out: &mut String, hash: &Digest) {
    BASE64.encode_append(hash, out);
    out.push('\n');
}

/// Takes one line off the front of `rest`; `None` if no newline ends it.
pub(super) fn take<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (line, behind) = rest.split_once('\n')?;
    *rest = behind;
    Some(line)
}

/// Why lines are not the hashes of a proof.
pub(super) enum BadHashes {
    /// No empty line ends them.
    CutShort,
    /// This line, counted from 1, is no hash.
    Hash(usize),
    /// More than any proof has.
    TooMany,
}

/// Takes the hashes of a proof off the front of `rest`, and the empty line that ends them.
pub(super) fn take_hashes(rest: &mut &str) -> Result<Vec<Digest>, BadHashes> {
    let mut hashes = Vec::new();
    loop {
        let line = take(rest).ok_or(BadHashes::CutShort)?;
        if line.is_empty() {
            return Ok(hashes);
        }
        if hashes.len() == PROOF_HASHES_MAX {
            return Err(BadHashes::TooMany);
        }
        hashes.push(hash(line).ok_or(BadHashes::Hash(hashes.len() + 1))?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        assert_eq!(decimal("0"), Some(0));
        assert_eq!(decimal("18446744073709551615"), Some(u64::MAX));
        for bad in ["", "00", "01", "+1", "-1", " 1", "1 ", "1_0", "18446744073709551616", "٣", "0x1"] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_hash_has_one_form() {
        let mut text = String::new();
        push_hash(&mut text, &[0xff; 32]);
        assert_eq!(hash(text.trim_end()), Some([0xff; 32]));
        let spare_bits = text.trim_end().replace("8=", "9=");
        // As long as a hash, and decoded to as many bytes: 2 of the first four characters, and 3 of the last.
        let joined = format!("AAA={}", "A".repeat(40));
        for bad in [text.as_str(), &spare_bits, &text[..43], "", &"-".repeat(44), &joined] {
            assert_eq!(hash(bad), None, "{bad:?}");
        }
    }
}

//! The known-answer vectors in `reconcile/vectors/`: every byte of every message, for other implementations.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use reconcile::{Request, Response};

use crate::messages::{requests, responses};

type Vectors = BTreeMap<String, String>;

fn read(text: &str) -> Vectors {
    serde_json::from_str(text).expect("an object of names and hexadecimal bytes")
}

fn hex(vectors: &Vectors, name: &str) -> Vec<u8> {
    let text = vectors.get(name).unwrap_or_else(|| panic!("no vector named {name:?}"));
    HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
}

#[test]
fn requests_are_the_bytes_in_the_file_both_ways() {
    let vectors = read(include_str!("../../vectors/requests.json"));
    for (name, request) in requests() {
        assert_eq!(HEXLOWER.encode(&request.encode()), HEXLOWER.encode(&hex(&vectors, name)), "{name}");
        assert_eq!(Request::decode(&hex(&vectors, name)), Ok(request), "{name}");
    }
    assert_eq!(vectors.len(), requests().len());
}

#[test]
fn responses_are_the_bytes_in_the_file_both_ways() {
    let vectors = read(include_str!("../../vectors/responses.json"));
    for (name, response) in responses() {
        assert_eq!(HEXLOWER.encode(&response.encode()), HEXLOWER.encode(&hex(&vectors, name)), "{name}");
        assert_eq!(Response::decode(&hex(&vectors, name)), Ok(response), "{name}");
    }
    assert_eq!(vectors.len(), responses().len());
}

#[test]
fn bytes_that_must_be_refused_are_refused_as_request_and_as_response() {
    let vectors = read(include_str!("../../vectors/refused.json"));
    for name in vectors.keys() {
        let bytes = hex(&vectors, name);
        assert!(Request::decode(&bytes).is_err(), "as a request: {name}");
        assert!(Response::decode(&bytes).is_err(), "as a response: {name}");
    }
}

#[test]
fn extension_fields_of_a_later_version_are_allowed_and_ignored() {
    // [1, 5, h'f6', {"later": h'00'}]
    let bytes = HEXLOWER.decode(b"84010541f6a1656c617465724100").expect("hexadecimal");
    assert_eq!(Request::decode(&bytes), Ok(Request::Frontier { after: None }));
}

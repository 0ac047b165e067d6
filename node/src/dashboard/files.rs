//! The dashboard's files, and what a browser may do with them: run these scripts, ask this node, nothing else.

use std::sync::LazyLock;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// What the page may do. Values come from whoever writes to the lattice: should one ever be taken for markup, no script in
/// it runs, and nothing leaves for elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// Whether a browser may load a file from another origin; not yet among the known names.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// One file: its name, its media type, its bytes.
type File = (&'static str, &'static str, &'static [u8]);

macro_rules! file {
    ($name:literal, $kind:expr) => {
        ($name, $kind, include_bytes!(concat!("../../dashboard/", $name)))
    };
}

/// All there are.
const FILES: [File; 28] = [
    file!("index.html", HTML),
    file!("style.css", STYLE),
    file!("views.css", STYLE),
    file!("icon.svg", PICTURE),
    file!("boot.js", SCRIPT),
    file!("app.js", SCRIPT),
    file!("theme.js", SCRIPT),
    file!("stream.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("model.js", SCRIPT),
    file!("health.js", SCRIPT),
    file!("format.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("parts.js", SCRIPT),
    file!("strip.js", SCRIPT),
    file!("overview.js", SCRIPT),
    file!("network.js", SCRIPT),
    file!("peers.js", SCRIPT),
    file!("lanes.js", SCRIPT),
    file!("roots.js", SCRIPT),
    file!("state.js", SCRIPT),
    file!("events.js", SCRIPT),
    file!("proof/bytes.js", SCRIPT),
    file!("proof/cbor.js", SCRIPT),
    file!("proof/tree.js", SCRIPT),
    file!("proof/signature.js", SCRIPT),
    file!("proof/policy.js", SCRIPT),
    file!("proof/bundle.js", SCRIPT),
];

/// A tag of each file's bytes, so that a browser asks whether it still has them and is rarely sent them.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |bytes: &[u8]| format!("\"{}\"", HEXLOWER.encode(&Sha256::digest(bytes)[..8]));
    FILES.iter().map(|(_, _, bytes)| tag(bytes)).collect()
});

/// The file of this name, if there is one.
pub fn file(name: &str, headers: &HeaderMap) -> Option<Response> {
    let index = FILES.iter().position(|(known, _, _)| *known == name)?;
    let (_, kind, bytes) = FILES[index];
    let tag = TAGS[index].as_str();
    let always = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (RESOURCE_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-cache"),
        (ETAG, tag),
    ];
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    Some(if is_known {
        (StatusCode::NOT_MODIFIED, always).into_response()
    } else {
        (always, [(CONTENT_TYPE, kind)], bytes).into_response()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
        FILES.iter().map(|(name, _, bytes)| (*name, std::str::from_utf8(bytes).expect("text")))
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_tagged() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard");
        let mut found = Vec::new();
        for folder in ["", "proof"] {
            let entries = std::fs::read_dir(root.join(folder)).expect("a folder");
            let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
            found.extend(files.map(|path| path.strip_prefix(&root).expect("within").display().to_string()));
        }
        found.sort();
        let mut served: Vec<_> = FILES.iter().map(|(name, _, _)| (*name).to_owned()).collect();
        served.sort();
        assert_eq!(found, served);
        let mut headers = HeaderMap::new();
        let tag = file("app.js", &headers).expect("a file").headers()[ETAG].clone();
        headers.insert(IF_NONE_MATCH, tag);
        assert_eq!(file("app.js", &headers).expect("a file").status(), StatusCode::NOT_MODIFIED);
        assert_eq!(file("style.css", &headers).expect("a file").status(), StatusCode::OK);
        assert!(file("../Cargo.toml", &headers).is_none());
    }

    #[test]
    fn nothing_is_inline_or_from_elsewhere_and_text_never_becomes_markup() {
        for (name, text) in texts() {
            for bad in ["https://", "javascript:", "innerHTML", "eval(", "onclick=", " style=\"", "document.write"] {
                assert!(!text.contains(bad), "{name} has {bad}");
            }
            // A name of markup, not an address.
            let addresses = text.matches("http://").count() - text.matches("http://www.w3.org/2000/svg").count();
            assert_eq!(addresses, 0, "{name} names an address");
        }
        let page = texts().find(|(name, _)| *name == "index.html").expect("a page").1;
        assert!(page.matches("<script").count() == page.matches("<script type=\"module\" src=").count());
    }
}

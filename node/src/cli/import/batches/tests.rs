//! Files as tables: what rows and batches come out, and at which line it goes wrong.

use std::io::Cursor;

use lattice::clock::Timestamp;
use lattice::commit::Draft;
use lattice::ids::{CommitId, LatticeId};
use lattice::keys::{AuthorKey, NodeKeys};
use lattice::limits::VALUE_BYTES_MAX;

use super::super::rows::{Format, ROW_BYTES_MAX};
use super::*;

fn rows_of(text: &[u8], format: Option<Format>) -> Vec<Result<Row, String>> {
    let rows = rows::read(Cursor::new(text.to_vec()), format);
    rows.map(|row| row.map_err(|bad| bad.to_string())).collect()
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let rows = rows_of(text.as_bytes(), None).into_iter().map(|row| row.expect("a good row"));
    rows.map(|row| (row.key, String::from_utf8(row.value).expect("text"))).collect()
}

fn batches_of(text: &str, prefix: &str) -> Vec<Result<Batch, BadInput>> {
    let rows = rows::read(Cursor::new(text.as_bytes().to_vec()), None);
    // A second `next` after the end must not start again.
    Batches::new(rows, prefix.to_owned()).take(10_000).collect()
}

fn ndjson(count: usize, value: &str) -> String {
    (0..count).map(|n| format!("{}\n", json!({ "key": format!("k{n:05}"), "value": value }))).collect()
}

#[test]
fn both_formats_give_the_same_rows() {
    let expected = [("a".to_owned(), "1".to_owned()), ("b c".to_owned(), "x, \"y\"\nz".to_owned())];
    for text in [
        "{\"key\":\"a\",\"value\":\"1\"}\n\n  {\"value\":\"x, \\\"y\\\"\\nz\",\"key\":\"b c\",\"author\":\"ignored\"}",
        "{\"key\":\"a\",\"value_base64\":\"MQ==\"}\r\n{\"key\":\"b c\",\"value\":\"x, \\\"y\\\"\\nz\"}\r\n",
        "a,1\nb c,\"x, \"\"y\"\"\nz\"\n",
        "key,value\r\na,1\r\nb c,\"x, \"\"y\"\"\nz\"\r\n",
        "Value,note, Key\n1,-,a\n\"x, \"\"y\"\"\nz\",-,b c\n",
    ] {
        assert_eq!(pairs(text), expected, "{text}");
    }
    assert!(pairs("").is_empty() && pairs("\n\n").is_empty() && pairs("key,value\n").is_empty());
}

#[test]
fn a_bad_row_names_its_line() {
    let good = "{\"key\":\"a\",\"value\":\"1\"}\n";
    for (text, why) in [
        (format!("{good}nonsense\n"), "line 2: not an object"),
        (format!("{good}\n{good}{{\"key\":\"a\"}}"), "line 4: it has neither"),
        (format!("{good}{{\"key\":\"a\",\"value\":\"1\",\"value_base64\":\"\"}}"), "line 2: it has both"),
        (
            format!("{good}{{\"key\":\"a\",\"value\":5}}"),
            "line 2: not an object with \"key\" and \"value\": invalid type",
        ),
        (format!("{good}{{\"key\":\"a\",\"value_base64\":\"?\"}}"), "line 2: \"value_base64\" is not base64"),
        ("a,1\nb\n".to_owned(), "line 2: it has 1 column instead of 2"),
        ("a,1\nb,2,3\n".to_owned(), "line 2: it has 3 columns instead of 2"),
        ("key,x,value\na,1\n".to_owned(), "line 2: it has 2 columns instead of 3"),
        (format!("a,1\nb,\"{}", "x\n".repeat(ROW_BYTES_MAX)), "unclosed quote"),
        (format!("{good}{}", "x".repeat(ROW_BYTES_MAX + 1)), "line 2: it is longer than"),
    ] {
        let last = rows_of(text.as_bytes(), None).pop().expect("an error").expect_err("bad");
        assert!(last.contains(why), "{last}");
    }
    let not_utf8 = rows_of(b"a,1\n\xff,2\n", Some(Format::Csv)).pop().expect("an error").expect_err("bad");
    assert_eq!(not_utf8, "line 2: the key is not UTF-8");
}

#[test]
fn csv_values_may_be_any_bytes() {
    let rows = rows_of(b"a,\xff\n", Some(Format::Csv));
    let row = rows[0].as_ref().expect("a good row");
    assert_eq!(row.value, [0xff]);
    let op = rows::checked("p/", row).expect("in bounds");
    assert!(in_json(&op).contains("\"value_base64\":\"/w==\""));
}

#[test]
fn batches_stay_within_their_bounds_and_lose_nothing() {
    let cases = [("v".to_owned(), 1000), ("v".repeat(VALUE_BYTES_MAX), 9), ("\u{1}".repeat(40_000), 12)];
    for (value, count) in cases {
        let text = ndjson(count, &value);
        let batches: Vec<Batch> = batches_of(&text, "p/").into_iter().map(|batch| batch.expect("good")).collect();
        let keys: Vec<&String> = batches.iter().flat_map(|batch| &batch.keys).collect();
        assert_eq!(keys.len(), count);
        assert!(keys.is_sorted() && keys[0] == "p/k00000");
        for batch in &batches {
            assert!(batch.keys.len() <= BATCH_OPS_MAX && batch.body.len() <= BODY_BYTES_MAX, "{}", batch.body.len());
        }
        assert_eq!(batches.last().expect("some").position, text.len() as u64);
    }
}

#[test]
fn full_batches_are_within_the_limits_of_a_commit() {
    // An operation counts at least as long as its hash, and never less than it takes encoded.
    for (count, bytes) in [(3000, 0), (3000, 1), (3000, 30), (600, 960), (600, 1040), (20, VALUE_BYTES_MAX)] {
        let text = ndjson(count, &"v".repeat(bytes));
        for batch in batches_of(&text, &"p".repeat(500)) {
            let batch = batch.expect("good");
            let put = |key: &String| Op::put(key, &vec![b'v'; bytes]).expect("within bounds");
            let commit = longest_header().sign(&author(), batch.keys.iter().map(put).collect());
            assert!(commit.counted_bytes() <= COMMIT_BYTES_MAX, "{count} rows of {bytes} bytes");
        }
    }
}

fn author() -> AuthorKey {
    NodeKeys::from_seed([1; 32]).author
}

fn longest_header() -> Draft {
    let long = i64::MAX as u64;
    Draft { lattice: LatticeId::ZERO, term: long, seq: long, prev: CommitId::ZERO, time: Timestamp(long) }
}

#[test]
fn the_last_row_of_a_key_wins_within_a_batch() {
    let batches = batches_of("k,1\nother,2\nk,3\n", "");
    assert_eq!(batches.len(), 1);
    let batch = batches[0].as_ref().expect("good");
    assert_eq!(batch.keys, ["k", "other"]);
    assert!(batch.body.contains("\"3\"") && !batch.body.contains("\"1\""), "{}", batch.body);
}

#[test]
fn rows_before_a_bad_one_are_given_and_none_after_it() {
    let mut batches = batches_of("a,1\nb,2\nc\nd,4\n", "");
    assert_eq!(batches.len(), 2);
    let bad = batches.pop().expect("two").expect_err("line 3");
    assert!(bad.to_string().starts_with("line 3"), "{bad}");
    assert_eq!(batches[0].as_ref().expect("good").keys, ["a", "b"]);
    let too_long = batches_of(&format!("a,1\n{},2\n", "k".repeat(513)), "").pop().expect("an error");
    assert!(too_long.expect_err("long key").to_string().contains("line 2: a key of 513 bytes"));
    assert!(batches_of(&format!("{},2\n", "k".repeat(512)), "p").pop().expect("an error").is_err(), "with its prefix");
    let reserved = batches_of("a,1\n@member/x,2\n", "").pop().expect("an error").expect_err("reserved").to_string();
    assert!(reserved.starts_with("line 2: keys that start with \"@\""), "{reserved}");
}

//! Lines to entries: NDJSON and CSV, read row by row, with errors that name the line.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use data_encoding::BASE64;
use lattice::membership::RESERVED_PREFIX;
use lattice::op::Op;
use serde::Deserialize;

use crate::cli::text::counted;

/// Bytes of one row: the largest value takes 400 KiB as JSON with every character escaped.
pub(super) const ROW_BYTES_MAX: usize = 1024 * 1024;

/// How the rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Two columns, or a header that names the columns `key` and `value`.
    Csv,
}

impl Format {
    /// The format that a file's name promises.
    pub(super) fn of_name(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// One entry of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Line number, from 1.
    pub(super) line: u64,
    /// The key, without the import's prefix.
    pub(super) key: String,
    /// The value.
    pub(super) value: Vec<u8>,
    /// Bytes of the input up to the end of this row.
    pub(super) position: u64,
}

/// Why the input can't be imported from here on.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadInput {
    /// A row that holds no entry.
    #[error("line {line}: {why}")]
    Row {
        /// Line number, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It can't be read.
    #[error("can't be read: {0}")]
    Unreadable(io::Error),
}

/// The rows of `input`.
pub(super) fn read(
    input: impl Read + 'static,
    format: Option<Format>,
) -> Box<dyn Iterator<Item = Result<Row, BadInput>>> {
    let mut input = BufReader::new(input);
    let format = match format.map_or_else(|| guess(&mut input), Ok) {
        Ok(format) => format,
        Err(error) => return Box::new(std::iter::once(Err(BadInput::Unreadable(error)))),
    };
    match format {
        Format::Ndjson => Box::new(ndjson(input)),
        Format::Csv => Box::new(csv(input)),
    }
}

/// What starts with a brace is NDJSON: no sensible CSV does.
fn guess(input: &mut impl BufRead) -> io::Result<Format> {
    let head = input.fill_buf()?;
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(if first == Some(&b'{') { Format::Ndjson } else { Format::Csv })
}

fn ndjson(mut input: impl BufRead) -> impl Iterator<Item = Result<Row, BadInput>> {
    let (mut line, mut position) = (0, 0);
    std::iter::from_fn(move || {
        loop {
            let mut text = Vec::new();
            match (&mut input).take(ROW_BYTES_MAX as u64 + 1).read_until(b'\n', &mut text) {
                Err(error) => return Some(Err(BadInput::Unreadable(error))),
                Ok(0) => return None,
                Ok(bytes) => (line, position) = (line + 1, position + bytes as u64),
            }
            if text.len() > ROW_BYTES_MAX {
                return Some(Err(too_long(line)));
            }
            if !text.trim_ascii().is_empty() {
                let row = json_row(&text).map(|(key, value)| Row { line, key, value, position });
                return Some(row.map_err(|why| BadInput::Row { line, why }));
            }
        }
    })
}

#[derive(Deserialize)]
struct JsonRow {
    key: String,
    value: Option<String>,
    value_base64: Option<String>,
}

fn json_row(text: &[u8]) -> Result<(String, Vec<u8>), String> {
    let row: JsonRow = serde_json::from_slice(text)
        .map_err(|error| format!("not an object with \"key\" and \"value\": {}", without_line(&error)))?;
    let value = match (row.value, row.value_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(encoded)) => {
            BASE64.decode(encoded.as_bytes()).map_err(|error| format!("\"value_base64\" is not base64: {error}"))?
        }
        (None, None) => return Err("it has neither \"value\" nor \"value_base64\"".to_owned()),
        (Some(_), Some(_)) => return Err("it has both \"value\" and \"value_base64\"".to_owned()),
    };
    Ok((row.key, value))
}

/// The parser counts lines from the start of what it was given, which is always line 1 here.
fn without_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", ", at column ")
}

fn csv(input: impl Read) -> impl Iterator<Item = Result<Row, BadInput>> {
    let since_row = Rc::new(Cell::new(0));
    let metered = Metered { input, since_row: Rc::clone(&since_row) };
    let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(metered);
    let mut rows = CsvRows { reader, since_row, columns: None };
    std::iter::from_fn(move || rows.next())
}

struct CsvRows<R> {
    reader: csv::Reader<Metered<R>>,
    since_row: Rc<Cell<usize>>,
    /// Known from the first record on.
    columns: Option<Columns>,
}

impl<R: Read> CsvRows<R> {
    fn next(&mut self) -> Option<Result<Row, BadInput>> {
        let record = match self.record()? {
            Ok(record) => record,
            Err(bad) => return Some(Err(bad)),
        };
        match (self.columns, Columns::named_by(&record)) {
            (Some(columns), _) => Some(self.row(&record, columns)),
            (None, Some(named)) => {
                self.columns = Some(named);
                self.next()
            }
            (None, None) => {
                self.columns = Some(Columns::WITHOUT_HEADER);
                Some(self.row(&record, Columns::WITHOUT_HEADER))
            }
        }
    }

    fn record(&mut self) -> Option<Result<csv::ByteRecord, BadInput>> {
        let mut record = csv::ByteRecord::new();
        self.since_row.set(0);
        match self.reader.read_byte_record(&mut record) {
            Ok(false) => None,
            Ok(true) => Some(Ok(record)),
            Err(error) => Some(Err(csv_error(error, self.reader.position().line()))),
        }
    }

    fn row(&self, record: &csv::ByteRecord, columns: Columns) -> Result<Row, BadInput> {
        let line = record.position().map_or(0, csv::Position::line);
        let position = self.reader.position().byte();
        let (key, value) = csv_row(record, columns).map_err(|why| BadInput::Row { line, why })?;
        Ok(Row { line, key, value, position })
    }
}

/// Where key and value stand in each row.
#[derive(Clone, Copy)]
struct Columns {
    key: usize,
    value: usize,
    width: usize,
}

impl Columns {
    const WITHOUT_HEADER: Self = Self { key: 0, value: 1, width: 2 };

    /// The places that a header names; `None` if the record is none.
    fn named_by(record: &csv::ByteRecord) -> Option<Self> {
        let place = |name: &[u8]| record.iter().position(|field| field.trim_ascii().eq_ignore_ascii_case(name));
        Some(Self { key: place(b"key")?, value: place(b"value")?, width: record.len() })
    }
}

fn csv_row(record: &csv::ByteRecord, columns: Columns) -> Result<(String, Vec<u8>), String> {
    if record.len() != columns.width {
        let (found, width) = (record.len(), columns.width);
        let found = counted(found as u64, "column", "columns");
        return Err(format!("it has {found} instead of {width}; quote values that contain a comma"));
    }
    let (key, value) = (&record[columns.key], &record[columns.value]);
    let key = std::str::from_utf8(key).map_err(|_| "the key is not UTF-8".to_owned())?;
    Ok((key.to_owned(), value.to_vec()))
}

fn csv_error(error: csv::Error, line: u64) -> BadInput {
    let why = format!("not CSV: {error}");
    if let csv::ErrorKind::Io(error) = error.into_kind() {
        return if error.kind() == io::ErrorKind::FileTooLarge { too_long(line) } else { BadInput::Unreadable(error) };
    }
    BadInput::Row { line, why }
}

fn too_long(line: u64) -> BadInput {
    let why = format!("it is longer than {ROW_BYTES_MAX} bytes (an unclosed quote?)");
    BadInput::Row { line, why }
}

/// Stops the CSV reader, which would take an unclosed quote for a row as long as the file.
struct Metered<R> {
    input: R,
    since_row: Rc<Cell<usize>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row.get() > ROW_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let bytes = self.input.read(buffer)?;
        self.since_row.set(self.since_row.get() + bytes);
        Ok(bytes)
    }
}

/// Checks a row against what every node refuses, so that the line can be named.
pub(super) fn checked(prefix: &str, row: &Row) -> Result<Op, BadInput> {
    let bad = |why: String| BadInput::Row { line: row.line, why };
    let key = format!("{prefix}{}", row.key);
    if key.starts_with(RESERVED_PREFIX) {
        return Err(bad(format!(
            "keys that start with {RESERVED_PREFIX:?} are the lattice's own and are not imported"
        )));
    }
    Op::put(&key, &row.value).map_err(|refused| bad(refused.to_string()))
}

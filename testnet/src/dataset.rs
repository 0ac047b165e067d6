//! Real data for a testnet: keys and values out of the files that people have, recognised by their content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

/// Keys under this prefix belong to the scenarios.
pub const RESERVED_PREFIX: &str = "testnet/";

/// Keys and values, each key once, with a word about where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The file they were read from.
    pub source: PathBuf,
    /// Which format it was.
    pub format: Format,
    /// Values by key.
    pub entries: BTreeMap<String, String>,
}

/// The formats that are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A `Cargo.lock`: `name@version` -> checksum, or the source where there is none.
    CargoLock,
    /// What `apt-cache dumpavail` prints: package -> version.
    Debian,
    /// One `{"key": …, "value": …}` per line.
    Ndjson,
    /// A header `key,value`, then rows.
    Csv,
}

impl Format {
    /// The format for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CargoLock => "Cargo.lock",
            Self::Debian => "Debian packages",
            Self::Ndjson => "NDJSON",
            Self::Csv => "CSV",
        }
    }
}

/// Why there is no data.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The default is not there.
    #[error(
        "no Cargo.lock in {start} or above it; give a file: --data FILE (Cargo.lock, NDJSON, CSV, or `apt-cache dumpavail`)"
    )]
    NoDefault {
        /// Where the search began.
        start: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No known format, or a line that does not fit it.
    #[error("{path} is not {}: {detail}", .format.map_or("Cargo.lock, NDJSON, CSV or Debian packages", Format::name))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it looked like.
        format: Option<Format>,
        /// What does not fit.
        detail: String,
    },
}

impl Dataset {
    /// Reads a file of any of the formats.
    ///
    /// # Errors
    /// See [`DatasetError`]; an empty file is malformed.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let unreadable = |source| DatasetError::Unreadable { path: path.into(), source };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let malformed = |format, detail| DatasetError::Malformed { path: path.into(), format, detail };
        let format = recognise(&text).ok_or_else(|| malformed(None, "nothing in it looks like one".into()))?;
        let entries = parse(format, &text).map_err(|detail| malformed(Some(format), detail))?;
        if let Some(key) = entries.keys().find(|key| key.starts_with(RESERVED_PREFIX)) {
            return Err(malformed(
                Some(format),
                format!("key {key:?}: keys under {RESERVED_PREFIX:?} are the scenario's own"),
            ));
        }
        if entries.is_empty() {
            return Err(malformed(Some(format), "there is no entry in it".into()));
        }
        Ok(Self { source: path.into(), format, entries })
    }

    /// The `Cargo.lock` in `start` or the nearest directory above it.
    ///
    /// # Errors
    /// See [`DatasetError`].
    pub fn nearest_cargo_lock(start: &Path) -> Result<Self, DatasetError> {
        let found = start.ancestors().map(|dir| dir.join("Cargo.lock")).find(|path| path.is_file());
        Self::read(&found.ok_or_else(|| DatasetError::NoDefault { start: start.into() })?)
    }
}

fn recognise(text: &str) -> Option<Format> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    if first.starts_with('{') {
        return Some(Format::Ndjson);
    }
    if text.lines().any(|line| line.trim() == "[[package]]") {
        return Some(Format::CargoLock);
    }
    if text.lines().any(|line| line.starts_with("Package: ")) {
        return Some(Format::Debian);
    }
    first.contains(',').then_some(Format::Csv)
}

fn parse(format: Format, text: &str) -> Result<BTreeMap<String, String>, String> {
    match format {
        Format::CargoLock => cargo_lock(text),
        Format::Debian => Ok(debian(text)),
        Format::Ndjson => ndjson(text),
        Format::Csv => comma_separated(text),
    }
}

fn cargo_lock(text: &str) -> Result<BTreeMap<String, String>, String> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        checksum: Option<String>,
        source: Option<String>,
    }
    let lock: Lock = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let entry = |package: Package| {
        let value = package.checksum.or(package.source).unwrap_or_else(|| "workspace".to_owned());
        (format!("{}@{}", package.name, package.version), value)
    };
    Ok(lock.package.into_iter().map(entry).collect())
}

/// Paragraphs of `Field: value`. Where a package is there twice, the last version counts.
fn debian(text: &str) -> BTreeMap<String, String> {
    let paragraph = |lines: &str| {
        let field = |name: &str| lines.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        Some((field("Package: ")?, field("Version: ")?))
    };
    text.split("\n\n").filter_map(paragraph).collect()
}

#[derive(Deserialize)]
struct Row {
    key: String,
    value: String,
}

fn ndjson(text: &str) -> Result<BTreeMap<String, String>, String> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let entry = |(number, line): (usize, &str)| match serde_json::from_str::<Row>(line) {
        Ok(row) => Ok((row.key, row.value)),
        Err(error) => Err(format!("line {number}: {error}")),
    };
    lines.map(entry).collect()
}

fn comma_separated(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows = reader.deserialize::<Row>();
    rows.map(|row| row.map(|row| (row.key, row.value)).map_err(|error| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Dataset, DatasetError> {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("data");
        fs::write(&path, text).expect("written");
        Dataset::read(&path)
    }

    #[test]
    fn each_format_is_recognised_by_its_content() {
        let lock = "# generated\nversion = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"c1\"\n\
                    [[package]]\nname = \"own\"\nversion = \"0.1.0\"\n";
        let debian =
            "Package: a\nVersion: 1-1\nDescription: x\n more\n\nPackage: b\nVersion: 2\n\nPackage: b\nVersion: 3\n";
        let ndjson = "{\"key\":\"a\",\"value\":\"1\"}\n\n{\"key\":\"b\",\"value\":\"\\u00e9\"}\n";
        let csv = "key,value\na,1\n\"b,c\",\"two\nlines\"\n";
        let table = [
            (lock, Format::CargoLock, [("a@1.0.0", "c1"), ("own@0.1.0", "workspace")]),
            (debian, Format::Debian, [("a", "1-1"), ("b", "3")]),
            (ndjson, Format::Ndjson, [("a", "1"), ("b", "é")]),
            (csv, Format::Csv, [("a", "1"), ("b,c", "two\nlines")]),
        ];
        for (text, format, entries) in table {
            let data = read(text).expect("readable");
            assert_eq!(data.format, format);
            assert_eq!(data.entries, entries.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        }
    }

    #[test]
    fn what_is_no_data_is_refused_with_the_reason() {
        let table = [
            ("", "nothing in it looks like one"),
            ("hello", "nothing in it looks like one"),
            ("{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\"}\n", "line 2"),
            ("name,size\na,1\n", "key"),
            ("key,value\n", "no entry"),
            ("{\"key\":\"testnet/a\",\"value\":\"1\"}", "the scenario's own"),
        ];
        for (text, reason) in table {
            let refused = read(text).expect_err(text).to_string();
            assert!(refused.contains(reason), "{text:?}: {refused}");
        }
    }

    #[test]
    fn the_default_is_the_nearest_lock_file_above() {
        let dir = tempfile::tempdir().expect("directory");
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).expect("made");
        fs::write(dir.path().join("Cargo.lock"), "[[package]]\nname = \"x\"\nversion = \"1.0.0\"\n").expect("written");
        assert_eq!(Dataset::nearest_cargo_lock(&deep).expect("found").entries.len(), 1);
    }
}

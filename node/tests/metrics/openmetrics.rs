//! A scrape taken apart, and the rules that names, units and help must keep (OpenMetrics 1.0, Prometheus' naming practices).

use std::collections::BTreeMap;

/// Units in which anything may be shown: those of the rules, never parts or multiples.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// Words at the end of a name that tell of a unit which is none of the base units, or repeat the type.
const ENDINGS_REFUSED: [&str; 12] = [
    "_ms",
    "_milliseconds",
    "_micros",
    "_nanoseconds",
    "_minutes",
    "_hours",
    "_kb",
    "_kilobytes",
    "_mb",
    "_percent",
    "_gauge",
    "_counter",
];

/// A name that the design gives to a gauge, though a histogram's samples end so.
const NAMES_GIVEN: [&str; 1] = ["lattice_divergence_count"];

/// One name with all that is said under it.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: Option<String>,
    pub(crate) unit: Option<String>,
    /// By name and labels as written.
    pub(crate) samples: BTreeMap<String, f64>,
}

/// A scrape.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) families: BTreeMap<String, Family>,
}

impl Scrape {
    /// Reads the text; panics where it is none.
    pub(crate) fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("the end mark, once and at the end");
        assert!(!body.contains("# EOF"), "an end mark in the middle");
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        for line in body.lines() {
            if let Some(said) = line.strip_prefix("# ") {
                let (word, rest) = said.split_once(' ').expect("a word");
                let (name, value) = rest.split_once(' ').expect("a name and what is said of it");
                if current != name {
                    assert!(!families.contains_key(name), "{name} stands in two places");
                    name.clone_into(&mut current);
                }
                let family = families.entry(name.to_owned()).or_default();
                assert!(family.samples.is_empty(), "{line} stands behind samples");
                let previous = match word {
                    "HELP" => family.help.replace(value.to_owned()),
                    "UNIT" => family.unit.replace(value.to_owned()),
                    "TYPE" if family.kind.is_empty() => {
                        value.clone_into(&mut family.kind);
                        None
                    }
                    _ => panic!("{line}"),
                };
                assert_eq!(previous, None, "{line} stands twice");
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a sample");
                let family = families.get_mut(&current).expect("a type before its samples");
                let name = series.split('{').next().expect("a name");
                assert!(belongs(&current, &family.kind, name), "{line} under {current}");
                let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
                assert_eq!(family.samples.insert(series.to_owned(), value), None, "{line} stands twice");
            }
        }
        Self { families }
    }

    /// The value of a series, as written.
    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.families.values().find_map(|family| family.samples.get(series)).copied()
    }

    /// All that never goes back: counters, and what histograms count.
    pub(crate) fn growing(&self) -> impl Iterator<Item = (&String, f64)> {
        let grows = |family: &&Family| matches!(family.kind.as_str(), "counter" | "histogram");
        self.families.values().filter(grows).flat_map(|family| &family.samples).map(|(series, value)| (series, *value))
    }

    /// Names by which queries find samples.
    pub(crate) fn exports(&self, name: &str) -> bool {
        self.families.iter().any(|(family, said)| belongs(family, &said.kind, name))
    }
}

/// Whether a sample of this name may stand under a family.
fn belongs(family: &str, kind: &str, sample: &str) -> bool {
    let Some(suffix) = sample.strip_prefix(family) else { return false };
    match kind {
        "counter" => suffix == "_total",
        "gauge" => suffix.is_empty(),
        "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
        "info" => suffix == "_info",
        _ => false,
    }
}

/// What is wrong with our own names, units and help.
pub(crate) fn faults(scrape: &Scrape) -> Vec<String> {
    let ours = scrape.families.iter().filter(|(name, _)| name.starts_with("lattice_"));
    let strangers = scrape.families.keys().filter(|name| !name.starts_with("lattice_") && !name.starts_with("libp2p_"));
    let mut faults: Vec<_> = strangers.map(|name| format!("{name} says nothing of who made it")).collect();
    for (name, family) in ours {
        let mut fault = |what: &str| faults.push(format!("{name} {what}"));
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
            fault("is not written in small letters");
        }
        match &family.help {
            Some(help) if help.ends_with('.') && !help.ends_with("..") && help.len() > 20 => {}
            _ => fault("has no sentence of help"),
        }
        let ending = UNITS.iter().find(|unit| name.ends_with(&format!("_{unit}")));
        if ending.map(|unit| (*unit).to_owned()) != family.unit {
            fault("ends in another unit than it states");
        }
        if ENDINGS_REFUSED.iter().any(|ending| name.ends_with(ending)) {
            fault("ends in what is no base unit, or in its type");
        }
        let reserved = ["_total", "_count", "_sum", "_bucket", "_info", "_created"];
        if reserved.iter().any(|ending| name.ends_with(ending)) && !NAMES_GIVEN.contains(&name.as_str()) {
            fault("ends as samples of another type do");
        }
        if family.kind == "histogram" && family.unit.is_none() {
            fault("is a histogram of nothing in particular");
        }
        if family.kind == "histogram" && !family.samples.keys().any(|series| series.contains("le=\"+Inf\"")) {
            fault("has no last bucket");
        }
    }
    faults
}

#[test]
fn what_breaks_a_rule_is_found() {
    let scrape = |text: &str| Scrape::read(&format!("{text}# EOF\n"));
    let well = "# HELP lattice_a_seconds The time of something.\n# TYPE lattice_a_seconds gauge\n# UNIT lattice_a_seconds seconds\n\
                lattice_a_seconds 1\n";
    assert_eq!(faults(&scrape(well)), Vec::<String>::new());
    for (from, to) in [
        ("# UNIT lattice_a_seconds seconds\n", ""),
        ("_seconds", "_ms"),
        ("The time of something.", "The time of something"),
        ("lattice_a", "a"),
        ("lattice_a", "lattice_A"),
        ("# HELP lattice_a_seconds The time of something.\n", ""),
    ] {
        assert!(!faults(&scrape(&well.replace(from, to))).is_empty(), "{from} -> {to}");
    }
}

//! What the nodes must hold after a run: every acknowledged write, and nothing else.

use std::collections::BTreeMap;

/// Differences that are named; past them a count says how many more there are (a guess at what one reads).
const NAMED_MAX: usize = 20;

/// Values by key as acknowledged, deletions included.
///
/// It knows one final value per key because in a scenario only one node writes a key at a time, and only after it has
/// seen what was there before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model(BTreeMap<String, Option<String>>);

impl Model {
    /// A put was acknowledged.
    pub fn put(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_owned(), Some(value.to_owned()));
    }

    /// A delete was acknowledged.
    pub fn delete(&mut self, key: &str) {
        self.0.insert(key.to_owned(), None);
    }

    /// Adds what came later than all that is in here.
    pub fn extend(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// Keys that are there at the end.
    pub fn live(&self) -> usize {
        self.0.values().flatten().count()
    }

    /// Where the state of a node differs, in words; empty if nowhere. Keys under `@` are the lattice's own.
    pub fn differences(&self, node: &str, actual: &BTreeMap<String, String>) -> Vec<String> {
        let unlike = |(key, expected): (&String, &Option<String>)| match (expected, actual.get(key)) {
            (Some(expected), Some(found)) if expected == found => None,
            (None, None) => None,
            (Some(expected), Some(found)) => {
                Some(format!("{node}: {key:?} is {found:?}, acknowledged was {expected:?}"))
            }
            (Some(expected), None) => Some(format!("{node}: {key:?} is missing, acknowledged was {expected:?}")),
            (None, Some(found)) => Some(format!("{node}: {key:?} is {found:?}, its deletion was acknowledged")),
        };
        let unexpected = |key: &String| {
            (!key.starts_with('@') && !self.0.contains_key(key))
                .then(|| format!("{node}: {key:?} is there, nobody wrote it"))
        };
        let all = self.0.iter().filter_map(unlike).chain(actual.keys().filter_map(unexpected));
        shortened(node, all.collect())
    }
}

fn shortened(node: &str, mut differences: Vec<String>) -> Vec<String> {
    let more = differences.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        differences.truncate(NAMED_MAX);
        differences.push(format!("{node}: {more} more"));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        let mut model = Model::default();
        model.put("lost", "1");
        model.put("wrong", "1");
        model.put("gone", "1");
        model.put("right", "1");
        let mut later = Model::default();
        later.delete("gone");
        later.put("right", "2");
        model.extend(later);
        assert_eq!(model.live(), 3);
        assert!(model.differences("n", &state(&[("lost", "1"), ("wrong", "1"), ("right", "2")])).is_empty());
        let actual = state(&[("@member/x", ""), ("gone", "1"), ("right", "2"), ("stray", "1"), ("wrong", "2")]);
        assert_eq!(
            model.differences("n", &actual),
            [
                r#"n: "gone" is "1", its deletion was acknowledged"#,
                r#"n: "lost" is missing, acknowledged was "1""#,
                r#"n: "wrong" is "2", acknowledged was "1""#,
                r#"n: "stray" is there, nobody wrote it"#,
            ]
        );
    }

    #[test]
    fn a_flood_of_differences_is_cut_and_counted() {
        let mut model = Model::default();
        for key in 0..100 {
            model.put(&key.to_string(), "");
        }
        let differences = model.differences("n", &BTreeMap::new());
        assert_eq!(differences.len(), NAMED_MAX + 1);
        assert_eq!(differences.last().map(String::as_str), Some("n: 80 more"));
    }
}

//! Ordinary writes that nodes acknowledged, and the judgement on them.

use std::collections::{BTreeMap, BTreeSet};

/// What was acknowledged, by key. Each key is written once.
#[derive(Debug, Default)]
pub(super) struct Promises(BTreeMap<String, Promise>);

#[derive(Debug, Default)]
struct Promise {
    value: String,
    commits: BTreeSet<String>,
}

impl Promises {
    pub(super) fn acknowledged(&mut self, key: &str, value: &str, commit: String) {
        let promise = self.0.entry(key.to_owned()).or_default();
        value.clone_into(&mut promise.value);
        promise.commits.insert(commit);
    }

    /// Writes, each counted once.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Those that a node does not have as they were acknowledged.
    pub(super) fn lost(&self, node: &str, found: &BTreeMap<String, String>) -> Vec<String> {
        let lost = self.0.iter().filter(|(key, promise)| found.get(*key) != Some(&promise.value));
        lost.map(|(key, promise)| format!("{key} = {} at {node}: found {:?}", promise.value, found.get(key))).collect()
    }

    /// Those that were acknowledged as more than one commit, though they had one name.
    pub(super) fn double(&self) -> Vec<String> {
        let double = self.0.iter().filter(|(_, promise)| promise.commits.len() > 1);
        double.map(|(key, promise)| format!("{key} was acknowledged as {:?}", promise.commits)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_or_another_value_is_lost_and_two_commits_are_double() {
        let mut promises = Promises::default();
        for (key, commit) in
            [("there", "a"), ("there", "a"), ("absent", "b"), ("other", "c"), ("twice", "d"), ("twice", "e")]
        {
            promises.acknowledged(key, key, commit.to_owned());
        }
        assert_eq!(promises.count(), 4);
        let found = [("there", "there"), ("other", "x"), ("twice", "twice"), ("more", "nobody asked")];
        let found = found.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let lost = promises.lost("node-1", &found);
        assert_eq!(lost.len(), 2, "{lost:?}");
        assert!(lost[0].starts_with("absent = absent at node-1: found None"), "{lost:?}");
        assert_eq!(promises.double(), [r#"twice was acknowledged as {"d", "e"}"#]);
    }
}

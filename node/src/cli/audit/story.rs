//! Whether the heads of nodes tell one story: of themselves, of their logs, and of each other. Pure.

use lattice::head::Head;
use lattice::log::checkpoint::origin;

use super::finding::{Finding, Kind};

/// How far a node's clock may be ahead of the auditor's: as far as commits may be by default.
const AHEAD_MAX_MS: u64 = lattice::limits::MAX_DRIFT_MS_DEFAULT;

/// A head that its node signed, and where it was shown.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// Where.
    pub(super) url: String,
    /// What.
    pub(super) head: Head,
}

/// The log that was shown at the same URL, after the head.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownLog<'a> {
    /// Its name.
    pub(super) origin: &'a str,
    /// Its size.
    pub(super) size: u64,
}

/// What a head says that its node's log or the clock contradicts.
pub(super) fn of_one(told: &Told, log: Option<ShownLog<'_>>, now_ms: u64, max_age_ms: u64) -> Vec<Finding> {
    let Told { url, head } = told;
    let mut found = Vec::new();
    let age_ms = now_ms.saturating_sub(head.time_ms);
    if age_ms > max_age_ms {
        let sentence = format!(
            "the node's head is {} s old: it shows an old state, or its clock is slow; look at the node",
            age_ms / 1000
        );
        found.push(Finding::new(Kind::Stale, url, sentence));
    }
    let ahead_ms = head.time_ms.saturating_sub(now_ms);
    if ahead_ms > AHEAD_MAX_MS {
        let sentence = format!(
            "the node's head is dated {} s ahead: until then it could be shown again for any later state; look at the \
             node's clock, or at yours",
            ahead_ms / 1000
        );
        found.push(Finding::new(Kind::Stale, url, sentence));
    }
    let Some(ShownLog { origin: name, size }) = log else { return found };
    if !is_owner(head, name) {
        let sentence = format!(
            "node {} of lattice {} answers, but the log shown is {name}, another node's",
            head.author.short(),
            head.lattice.short()
        );
        found.push(Finding::new(Kind::OtherNode, url, sentence));
    } else if head.checkpoint_size > size {
        let signed = head.checkpoint_size;
        let sentence = format!("the node says that it signed a checkpoint over {signed} records, and shows {size}");
        found.push(Finding::new(Kind::Withheld, url, sentence));
    }
    found
}

/// What to say of a state that has changed since then, over a log that has not.
pub(super) fn unsigned(url: &str, since_ms: u64, now_ms: u64, max_age_ms: u64) -> Option<Finding> {
    let lasted_ms = now_ms.saturating_sub(since_ms);
    let sentence = format!(
        "the node's state has changed for {} s and its log has not grown: what it does is signed nowhere; ask the operator",
        lasted_ms / 1000
    );
    // Another matter than an old head, which this node may show as well.
    let finding = Finding { about: format!("{url} log"), ..Finding::new(Kind::Stale, url, sentence) };
    (lasted_ms >= max_age_ms).then_some(finding)
}

fn is_owner(head: &Head, name: &str) -> bool {
    let first = origin(&head.lattice, &head.author, 1);
    name.strip_prefix(first.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What heads of several nodes of one lattice contradict each other in.
///
/// Different roots are how a lattice works while it is written to. Two nodes that say that they took in the same
/// commits, and have different states, are not; nor are roots that stay as they are and apart.
pub(super) fn of_all(heads: &[Told]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, one) in heads.iter().enumerate() {
        for other in &heads[at + 1..] {
            if one.head.lattice == other.head.lattice && one.head.root != other.head.root {
                found.push(between(one, other));
            }
        }
    }
    found
}

fn between(one: &Told, other: &Told) -> Finding {
    // Whole: two that differ in a byte at their end would look the same.
    let roots = format!("{} and {}", one.head.root, other.head.root);
    let at = format!("{} {}", one.url, other.url);
    if one.head.frontier == other.head.frontier {
        let sentence = format!(
            "both took in the same commits and have the roots {roots}: damage, a bug or a lie; run a deep audit of both"
        );
        return Finding::new(Kind::Divergence, &at, sentence);
    }
    let sentence = format!("their roots are {roots}, and neither changes: they don't reach each other");
    // Other roots are another matter: the time begins anew whenever one of the two changes.
    let about = format!("{at} {} {}", one.head.root, other.head.root);
    Finding { about, ..Finding::new(Kind::Apart, &at, sentence) }
}

#[cfg(test)]
mod tests {
    use lattice::head::ESTIMATOR_BYTES;
    use lattice::ids::{AuthorId, LatticeId, StateRoot};

    use super::*;

    fn told(url: &str, root: u8, frontier: u8) -> Told {
        let head = Head {
            lattice: LatticeId([1; 32]),
            author: AuthorId([2; 32]),
            time_ms: 1_000,
            root: StateRoot([root; 32]),
            entries: 1,
            frontier: [frontier; 32],
            checkpoint_size: 5,
            estimator: [0; ESTIMATOR_BYTES],
        };
        Told { url: url.to_owned(), head }
    }

    fn words(found: &[Finding]) -> Vec<&'static str> {
        found.iter().map(|finding| finding.kind.word()).collect()
    }

    #[test]
    fn a_head_is_held_against_clock_and_log() {
        let own = origin(&LatticeId([1; 32]), &AuthorId([2; 32]), 1).to_string();
        let (later, foreign) = (format!("{own}/7"), own.replace("02", "03"));
        for (name, size, now, expected) in [
            (&own, 5, 2_000, vec![]),
            (&later, 9, 2_000, vec![]),
            // Its clock may be a little fast.
            (&own, 5, 0, vec![]),
            (&own, 4, 2_000, vec!["withheld"]),
            (&own, 5, 12_000, vec!["stale"]),
            (&foreign, 9, 12_000, vec!["stale", "other-node"]),
        ] {
            let found = of_one(&told("u", 1, 1), Some(ShownLog { origin: name, size }), now, 10_000);
            assert_eq!(words(&found), expected, "{name} {size} {now}");
        }
    }

    /// One of the year 2100 was never old, and could be shown for any state until then.
    #[test]
    fn a_head_from_the_future_is_no_head_of_now() {
        let mut told = told("u", 1, 1);
        told.head.time_ms = 10_000 + AHEAD_MAX_MS;
        assert_eq!(of_one(&told, None, 10_000, 10_000), []);
        assert_eq!(words(&of_one(&told, None, 9_999, 10_000)), ["stale"]);
        assert_eq!(unsigned("u", 1_000, 10_999, 10_000), None);
        assert_eq!(unsigned("u", 1_000, 11_000, 10_000).expect("it lasted").kind, Kind::Stale);
    }

    #[test]
    fn heads_are_held_against_each_other() {
        for (heads, expected) in [
            (vec![told("a", 1, 1), told("b", 1, 1)], vec![]),
            // One root with two frontiers: commits that won nothing.
            (vec![told("a", 1, 1), told("b", 1, 2)], vec![]),
            (vec![told("a", 1, 1), told("b", 2, 2)], vec!["apart"]),
            (vec![told("a", 1, 1), told("b", 2, 1)], vec!["divergence"]),
            (vec![told("a", 1, 1), told("b", 2, 1), told("c", 3, 3)], vec!["divergence", "apart", "apart"]),
        ] {
            assert_eq!(words(&of_all(&heads)), expected);
        }
        let about = |root| of_all(&[told("a", 1, 1), told("b", root, 2)]).remove(0).about;
        assert_ne!(about(2), about(3), "a root that changes is no standstill");
    }
}

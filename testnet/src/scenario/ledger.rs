//! Every acknowledgement that clients got, and the judgement on them once all is quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::client::{Level, SeatEntry};

/// One numbered write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbered {
    /// When it counts as acknowledged.
    pub(super) level: Level,
    /// The key: of this number alone, or a register that numbers go up in.
    pub(super) key: String,
    /// Whether the key is written again.
    pub(super) is_register: bool,
    /// The number, which is the value.
    pub(super) number: u64,
}

impl Numbered {
    /// The name under which it may be sent again.
    pub(super) fn name(&self) -> String {
        format!("{}={}", self.key, self.number)
    }
}

/// An acknowledgement.
#[derive(Debug, Clone)]
struct Acknowledged {
    write: Numbered,
    commit: String,
    began: Instant,
    at: Instant,
}

/// What clients saw.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    acknowledged: Vec<Acknowledged>,
    refused: Vec<(Instant, String)>,
    /// Ordinary writes acknowledged by holders: keys and values.
    ordinary: BTreeMap<String, String>,
}

/// What became of what was acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// Acknowledged at `shadow` or `quorum`, and not there; or at `local`, and neither there nor in quarantine.
    pub(super) lost: Vec<String>,
    /// Acknowledged as two commits, or as one and there as another.
    pub(super) double: Vec<String>,
    /// Acknowledged at `local` and found in quarantine.
    pub(super) in_quarantine: usize,
}

impl Ledger {
    pub(super) fn acknowledged(&mut self, write: &Numbered, commit: String, began: Instant, at: Instant) {
        self.acknowledged.push(Acknowledged { write: write.clone(), commit, began, at });
    }

    pub(super) fn refused(&mut self, write: &Numbered, at: Instant, why: &str) {
        self.refused.push((at, format!("{} at {}: {why}", write.name(), write.level.word())));
    }

    pub(super) fn ordinary(&mut self, key: String, value: String) {
        self.ordinary.insert(key, value);
    }

    /// Ordinary writes that must be there.
    pub(super) fn ordinary_writes(&self) -> &BTreeMap<String, String> {
        &self.ordinary
    }

    /// Acknowledged writes at a level, each counted once.
    pub(super) fn count(&self, level: Level) -> usize {
        let of_level = self.acknowledged.iter().filter(|one| one.write.level == level);
        of_level.map(|one| one.write.name()).collect::<BTreeSet<_>>().len()
    }

    /// When the first write at `shadow` that began after `moment` was acknowledged.
    pub(super) fn first_begun_after(&self, moment: Instant) -> Option<Instant> {
        let begun = self.at_shadow().filter(|one| one.began >= moment);
        begun.map(|one| one.at).min()
    }

    /// The longest time between two acknowledgements at `shadow`, from the last one before `from` on.
    pub(super) fn longest_gap(&self, from: Instant) -> Duration {
        let mut times: Vec<Instant> = self.at_shadow().map(|one| one.at).collect();
        times.sort_unstable();
        let first = times.partition_point(|at| *at < from).saturating_sub(1);
        let gaps = times[first..].windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }

    /// The longest time in which a write at `shadow` was on its way and none was acknowledged: what clients see of a seat
    /// that is out of service, their own pauses left out.
    pub(super) fn longest_outage(&self) -> Duration {
        let mut writes: BTreeMap<String, (Instant, Instant)> = BTreeMap::new();
        for one in self.at_shadow() {
            let (began, at) = writes.entry(one.write.name()).or_insert((one.began, one.at));
            (*began, *at) = ((*began).min(one.began), (*at).min(one.at));
        }
        let mut writes: Vec<(Instant, Instant)> = writes.into_values().map(|(began, at)| (at, began)).collect();
        writes.sort_unstable();
        let before = std::iter::once(None).chain(writes.iter().map(|(at, _)| Some(*at)));
        let waits = before.zip(&writes).map(|(before, (at, began))| *at - before.unwrap_or(*began).max(*began));
        waits.max().unwrap_or_default()
    }

    /// Answers since then that were no acknowledgement.
    pub(super) fn refused_since(&self, from: Instant) -> Vec<String> {
        self.refused.iter().filter(|(at, _)| *at >= from).map(|(_, why)| why.clone()).collect()
    }

    /// Keys to be read for the judgement.
    pub(super) fn keys(&self) -> BTreeSet<String> {
        self.acknowledged.iter().map(|one| one.write.key.clone()).collect()
    }

    fn at_shadow(&self) -> impl Iterator<Item = &Acknowledged> {
        self.acknowledged.iter().filter(|one| one.write.level == Level::Shadow)
    }

    /// Judges all acknowledgements by what the holder has, and by all commits in quarantine.
    pub(super) fn judged(&self, found: &BTreeMap<String, SeatEntry>, quarantined: &BTreeSet<String>) -> Judgement {
        let mut judgement = Judgement::default();
        let mut by_name: BTreeMap<String, (&Numbered, BTreeSet<&str>)> = BTreeMap::new();
        for Acknowledged { write, commit, .. } in &self.acknowledged {
            by_name.entry(write.name()).or_insert((write, BTreeSet::new())).1.insert(commit);
        }
        for (name, (write, commits)) in by_name {
            if commits.len() > 1 {
                judgement.double.push(format!("{name} was acknowledged as {commits:?}"));
            }
            judgement.judge(&name, write, &commits, found.get(&write.key), quarantined);
        }
        judgement
    }
}

impl Judgement {
    fn judge(
        &mut self,
        name: &str,
        write: &Numbered,
        commits: &BTreeSet<&str>,
        found: Option<&SeatEntry>,
        quarantined: &BTreeSet<String>,
    ) {
        let level = write.level.word();
        let value = found.and_then(|entry| entry.value.as_deref()?.parse::<u64>().ok());
        let is_there = match (write.is_register, value) {
            (_, None) => false,
            (true, Some(value)) => value >= write.number,
            (false, Some(value)) => value == write.number,
        };
        let is_as_acknowledged = found.is_some_and(|entry| commits.contains(entry.commit.as_str()));
        let is_in_quarantine = commits.iter().any(|commit| quarantined.contains(*commit));
        match (is_there, write.level) {
            (true, _) if write.is_register || is_as_acknowledged => {}
            (_, Level::Local) if is_in_quarantine => self.in_quarantine += 1,
            (true, _) => {
                let found = found.map(|entry| entry.commit.as_str()).unwrap_or_default();
                self.double.push(format!("{name} at {level} was acknowledged as {commits:?} and stands as {found}"));
            }
            (false, _) => self.lost.push(format!("{name} at {level}, acknowledged as {commits:?}: found {found:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(level: Level, number: u64) -> Numbered {
        Numbered { level, key: format!("once/{number}"), is_register: false, number }
    }

    fn register(number: u64) -> Numbered {
        Numbered { level: Level::Shadow, key: "register".into(), is_register: true, number }
    }

    fn entry(value: u64, commit: &str) -> SeatEntry {
        SeatEntry { value: Some(value.to_string()), commit: commit.into() }
    }

    fn judged(writes: &[(Numbered, &str)], found: &[(&str, SeatEntry)], quarantined: &[&str]) -> (usize, usize, usize) {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        for (write, commit) in writes {
            ledger.acknowledged(write, (*commit).to_owned(), now, now);
        }
        let found = found.iter().map(|(key, entry)| ((*key).to_owned(), entry.clone())).collect();
        let judgement = ledger.judged(&found, &quarantined.iter().map(|id| (*id).to_owned()).collect());
        (judgement.lost.len(), judgement.double.len(), judgement.in_quarantine)
    }

    #[test]
    fn what_is_there_as_it_was_acknowledged_is_well() {
        let found = [("once/1", entry(1, "a")), ("register", entry(5, "z"))];
        let writes = [(once(Level::Shadow, 1), "a"), (once(Level::Shadow, 1), "a"), (register(4), "y")];
        assert_eq!(judged(&writes, &found, &[]), (0, 0, 0));
    }

    #[test]
    fn what_is_absent_or_older_is_lost() {
        let found = [("register", entry(3, "z"))];
        assert_eq!(judged(&[(once(Level::Quorum, 1), "a"), (register(4), "y")], &found, &[]), (2, 0, 0));
        assert_eq!(judged(&[(once(Level::Shadow, 1), "a")], &[], &["a"]), (1, 0, 0), "quarantine is not the state");
        assert_eq!(judged(&[(once(Level::Local, 1), "a")], &[], &[]), (1, 0, 0), "local is lost only to quarantine");
        assert_eq!(judged(&[(once(Level::Local, 1), "a")], &[], &["a"]), (0, 0, 1));
    }

    #[test]
    fn two_commits_of_one_number_are_double() {
        let found = [("once/1", entry(1, "a"))];
        let writes = [(once(Level::Shadow, 1), "a"), (once(Level::Shadow, 1), "b")];
        assert_eq!(judged(&writes, &found, &[]), (0, 1, 0));
        assert_eq!(judged(&[(once(Level::Shadow, 1), "b")], &found, &[]), (0, 1, 0), "it was written twice");
    }

    #[test]
    fn an_outage_is_while_a_write_waits_and_none_is_acknowledged() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        // Nobody wrote from 10 to 1000; the third waited from 1010 on, and the second was acknowledged until 1100.
        for (number, began, ended) in [(1, 0, 10), (2, 1000, 1100), (3, 1010, 1500), (3, 5000, 9000)] {
            ledger.acknowledged(&once(Level::Shadow, number), "c".into(), at(began), at(ended));
        }
        assert_eq!(ledger.longest_outage(), Duration::from_millis(400));
        assert_eq!(Ledger::default().longest_outage(), Duration::ZERO);
    }

    #[test]
    fn the_gap_begins_at_the_last_acknowledgement_before() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        for (number, ms) in [(1, 0), (2, 400), (3, 410), (4, 500), (5, 505)] {
            ledger.acknowledged(&once(Level::Shadow, number), "c".into(), at(ms), at(ms));
        }
        assert_eq!(ledger.longest_gap(at(450)), Duration::from_millis(90));
        assert_eq!(ledger.first_begun_after(at(401)), Some(at(410)));
    }
}

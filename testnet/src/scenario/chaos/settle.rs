//! Once all is healed and clients are quiet: the seat is served, all nodes agree, are ready and accuse nobody, and
//! everything acknowledged is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::lattice::{NODES, name};
use super::load::Load;
use super::summary::{Acknowledged, millis};
use super::watch::Watch;
use super::{Run, failed};
use crate::client::{Client, Level};
use crate::dataset::RESERVED_PREFIX;
use crate::deadline;
use crate::process::Node;
use crate::scenario::ScenarioError;
use crate::scenario::compare::{at_seat, quarantined};
use crate::scenario::progress::rounded;
use crate::seat::{Seat, Standing};

/// Differences of one kind that are named one by one.
const NAMED: usize = 20;

impl Run<'_> {
    pub(super) async fn settle(
        &mut self,
        seat: &Seat,
        nodes: &[Node],
        load: &Load,
        watch: &Watch,
    ) -> Result<(), ScenarioError> {
        let healed = Instant::now();
        load.probe(self.patience()).await?;
        let standing = self.steady(seat, nodes).await?;
        self.agree(seat, nodes, watch).await?;
        let members = members(nodes, &standing)?;
        self.ready(&members).await?;
        self.summary.seconds_to_heal = Some(rounded(healed.elapsed()));
        watch.listen_for_accusations().await;
        self.summary.differences.extend(watch.seen().accusations.iter().take(NAMED).cloned());
        self.compare_seat(seat, &members, load).await?;
        self.compare_ordinary(&members, load).await?;
        self.history(seat, standing.holder).await
    }

    /// What the load and the watch saw, whether all came out right or not.
    pub(super) fn take_stock(&mut self, load: &Load, watch: &Watch) {
        let seen = load.seen();
        let (shadow, ordinary) = (seen.seat.count(Level::Shadow), seen.ordinary.count());
        self.summary.acknowledged = Acknowledged { shadow, ordinary };
        self.summary.longest_seat_outage_ms = millis(seen.seat.longest_outage());
        self.summary.longest_disagreement_ms = millis(watch.seen().apart.longest());
    }

    /// All have one root, and nothing is staged anywhere any more.
    async fn agree(&mut self, seat: &Seat, nodes: &[Node], watch: &Watch) -> Result<(), ScenarioError> {
        let agreed = deadline::until(self.patience(), async || {
            let (mut roots, mut staged, mut term) = (BTreeMap::new(), BTreeMap::new(), 0);
            for (index, node) in nodes.iter().enumerate() {
                let status = seat.admin(index).seat().await.map_err(|error| format!("{}: {error}", node.name()))?;
                roots.entry(status.state_root).or_insert_with(Vec::new).push(node.name());
                if status.staged > 0 {
                    staged.insert(node.name(), status.staged);
                }
                term = term.max(status.term);
            }
            watch.seen().apart.look(Instant::now(), roots.len() == 1);
            match roots.len() {
                1 if staged.is_empty() => Ok((roots.into_keys().next(), term)),
                _ => Err(format!("roots {roots:?}, staged commits {staged:?}")),
            }
        });
        let what = "the roots differ, or commits stay staged";
        (self.summary.root, self.summary.term) = agreed.await.map_err(|late| ScenarioError::Late { what, late })?;
        self.summary.roots_equal = true;
        self.progress.say(format!("all have one root in term {}", self.summary.term));
        Ok(())
    }

    async fn ready(&self, members: &[(usize, Client)]) -> Result<(), ScenarioError> {
        let ready = deadline::until(self.patience(), async || {
            for (node, client) in members {
                let ready = client.ready().await.map_err(|error| error.to_string())?;
                ready.map_err(|reason| format!("{}: {reason}", name(*node)))?;
            }
            Ok(())
        });
        ready.await.map_err(|late| ScenarioError::Late { what: "a node is not ready", late })
    }

    async fn compare_seat(
        &mut self,
        seat: &Seat,
        members: &[(usize, Client)],
        load: &Load,
    ) -> Result<(), ScenarioError> {
        let keys: BTreeSet<String> = load.seen().seat.keys();
        let count = keys.len();
        let found = at_seat(&members[0].1, keys, self.patience()).await?;
        let quarantined = quarantined(seat, NODES).await.map_err(failed)?;
        let judgement = load.seen().seat.judged(&found, &quarantined);
        self.found(judgement.lost, judgement.double);
        self.progress.say(format!("compared {count} keys of the seat"));
        Ok(())
    }

    /// Equal roots are equal states; every member is asked all the same.
    async fn compare_ordinary(&mut self, members: &[(usize, Client)], load: &Load) -> Result<(), ScenarioError> {
        let mut lost = Vec::new();
        for (node, client) in members {
            let entries = client.entries(RESERVED_PREFIX).await;
            let entries = entries.map_err(|error| ScenarioError::Unreadable { node: name(*node), error })?;
            let values = entries.into_iter().map(|(key, entry)| (key, entry.shown().to_owned())).collect();
            lost.extend(load.seen().ordinary.lost(&name(*node), &values));
        }
        let (count, double) = {
            let seen = load.seen();
            (seen.ordinary.count(), seen.ordinary.double())
        };
        self.found(lost, double);
        self.progress.say(format!("compared {count} ordinary keys at {} nodes", members.len()));
        Ok(())
    }

    fn found(&mut self, lost: Vec<String>, double: Vec<String>) {
        self.summary.lost += lost.len();
        self.summary.double += double.len();
        let named =
            |word: &'static str, all: Vec<String>| all.into_iter().take(NAMED).map(move |one| format!("{word}: {one}"));
        self.summary.differences.extend(named("lost", lost).chain(named("double", double)));
    }

    /// Every term's certificate holds against the one before.
    async fn history(&mut self, seat: &Seat, holder: usize) -> Result<(), ScenarioError> {
        let terms: Vec<serde_json::Value> = seat.admin(holder).get("/seat/history").await.map_err(failed)?;
        let broken = terms.iter().filter(|term| term["holds"] != true);
        self.summary.differences.extend(broken.map(|term| format!("a term that does not hold: {term}")));
        Ok(())
    }
}

/// All that have an API: mirrors are hidden.
fn members(nodes: &[Node], standing: &Standing) -> Result<Vec<(usize, Client)>, ScenarioError> {
    let mirrors: BTreeSet<usize> = standing.mirrors().collect();
    let members = (0..nodes.len()).filter(|node| !mirrors.contains(node));
    let client = |node: usize| nodes[node].reached().map(|reached| (node, reached.client));
    let absent = |node: usize| ScenarioError::Seat(format!("{} does not run", name(node)));
    members.map(|node| client(node).ok_or_else(|| absent(node))).collect()
}

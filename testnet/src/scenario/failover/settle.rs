//! Once clients are quiet: all nodes must agree, and everything acknowledged must be there or in quarantine.

use std::collections::{BTreeMap, BTreeSet};

use super::load::Load;
use super::summary::Acknowledged;
use super::{MEMBERS, Run, failed};
use crate::client::{Client, Level};
use crate::deadline;
use crate::process::Node;
use crate::scenario::ScenarioError;
use crate::scenario::compare::{at_seat, quarantined};
use crate::seat::{Seat, SeatStatus};

/// Lost or doubled writes that are named one by one.
const NAMED: usize = 20;

impl Run<'_> {
    pub(super) async fn settle(&mut self, seat: &Seat, nodes: &[Node], load: &Load) -> Result<(), ScenarioError> {
        self.steady(seat, nodes).await?;
        let (keys, ordinary) = self.account_for(load);
        self.agree(seat, nodes).await?;
        let member = client(&nodes[MEMBERS[0]])?;
        let found = at_seat(&member, keys, self.patience()).await?;
        let quarantined = quarantined(seat, nodes.len()).await.map_err(failed)?;
        let judgement = load.ledger().judged(&found, &quarantined);
        self.summary.quarantined = judgement.in_quarantine;
        (self.summary.lost, self.summary.double) = (judgement.lost.len(), judgement.double.len());
        self.summary.differences.extend(judgement.lost.into_iter().take(NAMED).map(|one| format!("lost: {one}")));
        self.summary.differences.extend(judgement.double.into_iter().take(NAMED).map(|one| format!("double: {one}")));
        self.merged(&member, &ordinary).await?;
        self.progress.say(format!("compared {} keys of the seat, {} ordinary ones", found.len(), ordinary.len()));
        self.history(seat).await
    }

    /// Counts what was acknowledged; gives the keys to read, and the ordinary writes.
    fn account_for(&mut self, load: &Load) -> (BTreeSet<String>, BTreeMap<String, String>) {
        let ledger = load.ledger();
        let ordinary = ledger.ordinary_writes().clone();
        self.summary.acknowledged = Acknowledged {
            local: ledger.count(Level::Local),
            shadow: ledger.count(Level::Shadow),
            quorum: ledger.count(Level::Quorum),
            ordinary: ordinary.len(),
        };
        (ledger.keys(), ordinary)
    }

    /// All have one root, and nothing is staged any more.
    async fn agree(&mut self, seat: &Seat, nodes: &[Node]) -> Result<(), ScenarioError> {
        let agreed = deadline::until(self.patience(), async || {
            let mut said: Vec<SeatStatus> = Vec::new();
            for (index, node) in nodes.iter().enumerate() {
                said.push(seat.admin(index).seat().await.map_err(|error| format!("{}: {error}", node.name()))?);
            }
            let roots: BTreeSet<&str> = said.iter().map(|status| status.state_root.as_str()).collect();
            let staged: u64 = said.iter().map(|status| status.staged).sum();
            match (roots.into_iter().collect::<Vec<_>>().as_slice(), staged) {
                ([root], 0) => Ok(((*root).to_owned(), said[0].term)),
                (roots, staged) => Err(format!("roots {roots:?}, {staged} commits staged")),
            }
        });
        let (root, term) = agreed.await.map_err(|late| ScenarioError::Late { what: "the roots differ", late })?;
        self.progress.say(format!("all have root {root} in term {term}"));
        (self.summary.roots_equal, self.summary.root, self.summary.term) = (true, Some(root), term);
        Ok(())
    }

    /// Ordinary writes that a holder acknowledged are there, whether it was killed right afterwards or not.
    async fn merged(&mut self, member: &Client, ordinary: &BTreeMap<String, String>) -> Result<(), ScenarioError> {
        let node = || format!("node-{}", MEMBERS[0] + 1);
        let prefix = crate::dataset::RESERVED_PREFIX;
        let there = member.entries(prefix).await;
        let there = there.map_err(|error| ScenarioError::Unreadable { node: node(), error })?;
        let is_there = |key: &String, value: &str| there.get(key).is_some_and(|entry| entry.shown() == value);
        let lost = ordinary.iter().filter(|(key, value)| !is_there(key, value));
        let lost: Vec<String> = lost.map(|(key, value)| format!("lost: the ordinary write {key}, {value}")).collect();
        self.summary.lost += lost.len();
        self.summary.differences.extend(lost.into_iter().take(NAMED));
        Ok(())
    }

    /// Every term's certificate holds against the one before.
    async fn history(&mut self, seat: &Seat) -> Result<(), ScenarioError> {
        let terms: Vec<serde_json::Value> = seat.admin(MEMBERS[0]).get("/seat/history").await.map_err(failed)?;
        let broken = terms.iter().filter(|term| term["holds"] != true);
        self.summary.differences.extend(broken.map(|term| format!("a term that does not hold: {term}")));
        Ok(())
    }
}

fn client(node: &Node) -> Result<Client, ScenarioError> {
    let reached = node.reached().ok_or_else(|| ScenarioError::Seat(format!("{} does not run", node.name())))?;
    Ok(reached.client)
}

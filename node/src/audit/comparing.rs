//! Asks the owners of logs how what was heard of them grew from what was cosigned: a node that shows different histories to
//! different peers is found by this.

use std::collections::BTreeMap;

use lattice::log::evidence::{Beginning, ForkEvidence};
use lattice::log::exchange::Request;
use lattice::log::tree::verify_consistency;
use node_core::logs::log_of;
use tokio::sync::watch;

use super::Audit;
use super::cosigning::TICK;

/// Pairs of sizes of a log that were compared: what was cosigned last, and what was heard.
type Compared = BTreeMap<String, (u64, u64)>;

impl Audit {
    /// Compares for ever.
    pub(super) async fn compare_checkpoints(&self, hidden: watch::Receiver<bool>) {
        let mut compared = Compared::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if !*hidden.borrow() {
                self.compare_all(&mut compared).await;
            }
        }
    }

    async fn compare_all(&self, compared: &mut Compared) {
        let (published, lattice) = (self.writer().published(), self.service.inner.identity.lattice);
        for heard in self.board.all() {
            let origin = heard.checkpoint().origin().to_owned();
            let Some(held) = published.witnessed.get(&origin) else { continue };
            let sizes = (held.checkpoint().size(), heard.checkpoint().size());
            // Equal sizes were compared on arrival.
            if sizes.0 == sizes.1 || sizes.0 == 0 || compared.get(&origin) == Some(&sizes) {
                continue;
            }
            let Some((member, key)) = log_of(&published.membership, &lattice, &origin) else { continue };
            let Some((peer, _)) = self.peers().into_iter().find(|(_, known)| known.author == member.author) else {
                continue;
            };
            let (first, second) = if sizes.0 < sizes.1 { (held.as_ref(), &heard) } else { (&heard, held.as_ref()) };
            let (first, second) = (first.checkpoint(), second.checkpoint());
            let request = Request::Consistency { origin: origin.clone(), old: first.size(), new: second.size() };
            let Some(answer) = self.ask(&peer, &request).await else { continue };
            // Refused once, these sizes are refused again: the log has another name by now, or shows less than it signed.
            if answer.status < 500 {
                compared.insert(origin.clone(), sizes);
            }
            let Some((old_root, new_root, proof)) = answer.as_consistency() else { continue };
            let holds = verify_consistency(first.size(), second.size(), &old_root, &new_root, &proof).is_ok();
            if holds && new_root == *second.root() && old_root != *first.root() {
                let beginning = Beginning { root: old_root, proof };
                match ForkEvidence::new(held, &heard, Some(beginning), &key) {
                    Ok(evidence) => self.keep_fork(evidence).await,
                    Err(no) => self.tell_unproven(&origin, &no),
                }
            } else if !holds || new_root != *second.root() {
                tracing::error!(log = origin, "the node of this log can't show that it only grew");
                let fields = [("log", origin.clone()), ("sizes", format!("{} {}", first.size(), second.size()))];
                self.service.inner.journal.write("alarm", format!("alarm log {origin}"), fields);
            }
        }
    }
}

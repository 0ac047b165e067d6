//! Looks at the nodes while they are disturbed: who holds the seat, whether the roots are equal, and what nobody may say.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::watch;

use super::lattice::name;
use super::load::Order;
use crate::client::Client;
use crate::process::{Node, Reached};
use crate::seat::{Seat, SeatStatus};

/// How long clients write before they rest.
const BUSY: Duration = Duration::from_millis(1_500);

/// How long they rest at most if the nodes do not agree.
const REST: Duration = Duration::from_millis(1_000);

/// Between two looks while they rest.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A node that takes longer to answer is not there.
const ANSWER: Duration = Duration::from_secs(1);

/// How long the nodes were seen apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apart {
    agreed: Instant,
    longest: Duration,
}

impl Apart {
    /// They agree now.
    pub(super) const fn since(agreed: Instant) -> Self {
        Self { agreed, longest: Duration::ZERO }
    }

    /// One look at them.
    pub(super) fn look(&mut self, now: Instant, do_agree: bool) {
        self.longest = self.longest.max(now - self.agreed);
        if do_agree {
            self.agreed = now;
        }
    }

    /// The longest time from one look at which they agreed to the next.
    pub(super) const fn longest(&self) -> Duration {
        self.longest
    }
}

/// Who is what, as the nodes say themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Roles {
    pub(super) holder: Option<usize>,
    pub(super) shadow: Option<usize>,
}

impl Roles {
    /// Keeps what was known where nobody says otherwise.
    fn update(&mut self, said: &[Option<SeatStatus>]) {
        let is = |role: &str| said.iter().position(|status| status.as_ref().is_some_and(|status| status.role == role));
        let serves = said
            .iter()
            .position(|status| status.as_ref().is_some_and(|status| status.role == "holder" && status.is_serving));
        self.holder = serves.or(self.holder);
        self.shadow = is("shadow").or(self.shadow);
    }
}

/// What is known of the nodes, shared between who disturbs them and who looks.
#[derive(Debug)]
pub(super) struct Watch {
    reached: Vec<watch::Receiver<Option<Reached>>>,
    seen: Mutex<Seen>,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// Nodes under a fault.
    pub(super) faulted: BTreeSet<usize>,
    pub(super) roles: Roles,
    pub(super) apart: Apart,
    /// What no honest node may say of another.
    pub(super) accusations: BTreeSet<String>,
}

impl Watch {
    pub(super) fn over(nodes: &[Node]) -> Self {
        let seen = Seen {
            faulted: BTreeSet::new(),
            roles: Roles::default(),
            apart: Apart::since(Instant::now()),
            accusations: BTreeSet::new(),
        };
        Self { reached: nodes.iter().map(Node::subscribe).collect(), seen: Mutex::new(seen) }
    }

    /// What was seen so far. Not to be held while anything waits.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks by turns with the clients' writing, until these are told to stop.
    pub(super) async fn run(&self, seat: &Seat, orders: &watch::Sender<Order>) {
        let mut stop = orders.subscribe();
        let rounds = async {
            loop {
                order(orders, Order::Write);
                tokio::time::sleep(BUSY).await;
                order(orders, Order::Rest);
                self.rest(seat).await;
                self.listen_for_accusations().await;
            }
        };
        tokio::select! {
            () = rounds => {}
            _ = stop.wait_for(|order| *order == Order::Stop) => {}
        }
    }

    /// Looks until the nodes agree, or the clients have rested enough.
    async fn rest(&self, seat: &Seat) {
        let began = Instant::now();
        while began.elapsed() < REST {
            if self.look(seat).await {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether all nodes that are under no fault have one root.
    async fn look(&self, seat: &Seat) -> bool {
        let ask = async |node| tokio::time::timeout(ANSWER, seat.admin(node).seat()).await.ok()?.ok();
        let said: Vec<Option<SeatStatus>> = join_all((0..self.reached.len()).map(ask)).await;
        let mut seen = self.seen();
        seen.roles.update(&said);
        let sound = said.iter().enumerate().filter(|(node, _)| !seen.faulted.contains(node));
        let roots: Option<BTreeSet<&str>> =
            sound.map(|(_, status)| status.as_ref().map(|status| status.state_root.as_str())).collect();
        let do_agree = roots.is_some_and(|roots| roots.len() <= 1);
        seen.apart.look(Instant::now(), do_agree);
        do_agree
    }

    /// Asks every node that has an API. What it found is gone with its next restart, so it is asked all the time.
    pub(super) async fn listen_for_accusations(&self) {
        let ask = async |(node, reached): (usize, &watch::Receiver<Option<Reached>>)| {
            let client = reached.borrow().as_ref()?.client.clone();
            Some((node, tokio::time::timeout(ANSWER, accusations(&client)).await.ok()?))
        };
        let said = join_all(self.reached.iter().enumerate().map(ask)).await;
        let mut seen = self.seen();
        for (node, accusations) in said.into_iter().flatten() {
            seen.accusations.extend(accusations.into_iter().map(|what| format!("{}: {what}", name(node))));
        }
    }
}

/// Gives an order, but none after the last.
fn order(orders: &watch::Sender<Order>, order: Order) {
    orders.send_if_modified(|now| {
        let is_other = *now != Order::Stop && *now != order;
        if is_other {
            *now = order;
        }
        is_other
    });
}

/// What a node says against others; all are honest here, and all disks are good.
async fn accusations(client: &Client) -> Vec<String> {
    let mut all = Vec::new();
    // A node that does not answer, a mirror for one, accuses nobody.
    if let Ok(status) = client.status().await {
        if status.divergences > 0 {
            all.push("divergences".to_owned());
        }
        all.extend(status.equivocations.iter().map(|evidence| format!("equivocation: {evidence}")));
    }
    if let Ok(forks) = client.forks().await {
        all.extend(forks.into_iter().map(|evidence| format!("a log with two histories: {evidence}")));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apart_is_from_one_agreement_to_the_next() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut apart = Apart::since(start);
        for (seconds, do_agree) in [(2, true), (3, false), (9, true), (11, true)] {
            apart.look(at(seconds), do_agree);
        }
        assert_eq!(apart.longest(), Duration::from_secs(7));
        apart.look(at(20), false);
        assert_eq!(apart.longest(), Duration::from_secs(9), "one that has not ended counts too");
    }

    #[test]
    fn the_last_known_holder_counts_until_another_serves() {
        let status = |role: &str, is_serving: bool| {
            let text = format!(
                r#"{{"term":1,"holder":null,"shadow":null,"spares":[],"role":"{role}","doing":"","is_serving":{is_serving},
                "staged":0,"log_size":0,"state_root":"r","lag":[],"takeover":null,"is_takeover_possible":null}}"#
            );
            serde_json::from_str::<SeatStatus>(&text).ok()
        };
        let mut roles = Roles::default();
        roles.update(&[status("holder", true), status("shadow", false)]);
        assert_eq!(roles, Roles { holder: Some(0), shadow: Some(1) });
        roles.update(&[None, status("holder", false)]);
        assert_eq!(roles, Roles { holder: Some(0), shadow: Some(1) }, "nobody serves");
        roles.update(&[status("spare", false), status("holder", true)]);
        assert_eq!(roles.holder, Some(1));
    }
}

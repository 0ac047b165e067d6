//! Questions to several members at once, one at a time to each: an answer is there as soon as it comes, whoever else is
//! slow.

use std::collections::BTreeSet;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use lattice::ids::AuthorId;

/// Questions under way. Dropping it drops them.
pub struct Asking<T> {
    under_way: FuturesUnordered<BoxFuture<'static, (AuthorId, T)>>,
    asked: BTreeSet<AuthorId>,
}

impl<T> Default for Asking<T> {
    fn default() -> Self {
        Self { under_way: FuturesUnordered::new(), asked: BTreeSet::new() }
    }
}

impl<T: Send + 'static> Asking<T> {
    /// Whether a member has not answered yet.
    pub fn is_waiting_for(&self, member: &AuthorId) -> bool {
        self.asked.contains(member)
    }

    /// Asks a member, unless its answer to an earlier question has not come yet.
    pub fn begin(&mut self, member: AuthorId, question: impl Future<Output = T> + Send + 'static) {
        if self.asked.insert(member) {
            self.under_way.push(question.map(move |answer| (member, answer)).boxed());
        }
    }

    /// The answers that are there: waits for the first, and takes all others that have come. Nothing is lost if this is
    /// dropped before.
    pub async fn answers(&mut self) -> Vec<T> {
        if self.under_way.is_empty() {
            return std::future::pending().await;
        }
        let mut come: Vec<_> = self.under_way.next().await.into_iter().collect();
        while let Some(Some(more)) = self.under_way.next().now_or_never() {
            come.push(more);
        }
        let answer = |(member, answer)| {
            self.asked.remove(&member);
            answer
        };
        come.into_iter().map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, interval, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn member(n: u8) -> AuthorId {
        AuthorId([n; 32])
    }

    /// All answers were once waited for together: a member that took longer than the time between two checkpoints kept
    /// the lines of all others back until they were of no use.
    #[tokio::test(start_paused = true)]
    async fn who_answers_slower_than_checkpoints_come_holds_up_nobody() {
        let (mut asking, mut checkpoints) = (Asking::default(), interval(SECOND));
        let (mut last, mut cosigned, mut late) = (0, BTreeSet::new(), 0);
        let begin = Instant::now();
        while begin.elapsed() < 20 * SECOND {
            tokio::select! {
                _ = checkpoints.tick() => last += 1,
                answers = asking.answers() => for (n, size) in answers {
                    if size == last {
                        cosigned.insert((n, size));
                    } else {
                        late += 1;
                    }
                },
            }
            for (n, took) in [(1, SECOND / 50), (2, SECOND / 40), (3, 3 * SECOND / 2)] {
                let size = last;
                if !cosigned.contains(&(n, size)) {
                    asking.begin(member(n), async move {
                        sleep(took).await;
                        (n, size)
                    });
                }
            }
        }
        for size in 1..last {
            assert!(cosigned.contains(&(1, size)) && cosigned.contains(&(2, size)), "{size}: {cosigned:?}");
        }
        assert!((10..=14).contains(&late), "the slow one goes on at its own pace: {late}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_is_asked_one_thing_at_a_time() {
        let mut asking = Asking::default();
        asking.begin(member(1), async { "first" });
        asking.begin(member(1), async { "second" });
        asking.begin(member(2), async { "other" });
        assert!(asking.is_waiting_for(&member(1)));
        assert_eq!(asking.answers().await, ["first", "other"]);
        assert!(!asking.is_waiting_for(&member(1)));
        asking.begin(member(1), async { "third" });
        assert_eq!(asking.answers().await, ["third"]);
        assert!(asking.answers().now_or_never().is_none(), "nothing is under way");
    }
}

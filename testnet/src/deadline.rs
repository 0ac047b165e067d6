//! Waiting for a state, with a bound, and saying at the end what was still missing.

use std::time::{Duration, Instant};

/// Pause between two looks. Short against every state that is waited for, long against asking for it.
const PAUSE: Duration = Duration::from_millis(50);

/// The state did not come about in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not within {} s: {last}", .waited.as_secs())]
pub struct TimedOut {
    /// How long was waited.
    pub waited: Duration,
    /// What the last look said was missing.
    pub last: String,
}

/// Looks until `look` finds what it looks for, at most for `limit`. A look that does not find it says what is missing.
///
/// # Errors
/// [`TimedOut`] with what the last look said.
pub async fn until<T>(limit: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> Result<T, TimedOut> {
    let start = Instant::now();
    let mut last = String::from("the first look did not end");
    loop {
        let left = limit.saturating_sub(start.elapsed());
        match tokio::time::timeout(left, look()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(missing)) => last = missing,
            Err(_) => return Err(TimedOut { waited: limit, last }),
        }
        // A time-out alone does not end this: it lets a look that answers at once pass, however late.
        if start.elapsed() >= limit {
            return Err(TimedOut { waited: limit, last });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_state_that_comes_is_returned_and_one_that_does_not_is_named() {
        let mut looks = 0;
        let found = until(Duration::from_secs(1), async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err("early".to_owned()) }
        })
        .await;
        assert_eq!(found, Ok(3));
        let late =
            until(Duration::from_millis(60), async || Err::<(), _>("no peers".to_owned())).await.expect_err("never");
        assert_eq!(late.last, "no peers");
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_bounded_too() {
        let hung = until(Duration::from_millis(10), async || std::future::pending::<Result<(), String>>().await);
        assert!(hung.await.is_err());
    }
}

//! How long a seat is vacant before this node serves it, told from one status after another. Pure.

use crate::seat::status::SeatStatus;

/// What the looks so far have shown.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    /// As a mirror: when the holder was last heard.
    heard_ms: Option<u64>,
}

impl Takeover {
    /// One look. Gives how long it took, if this is the first status in which this node serves a seat that it mirrored.
    pub(super) fn look(&mut self, now_ms: u64, seat: &SeatStatus) -> Option<u64> {
        match seat.role.as_str() {
            "holder" if seat.is_serving => self.heard_ms.take().map(|heard_ms| now_ms.saturating_sub(heard_ms)),
            // Elected, and no majority has granted a lease yet.
            "holder" => None,
            "shadow" | "spare" => {
                let silent_ms = seat.lag.first().map(|lag| lag.silent_ms);
                self.heard_ms = silent_ms.map(|silent_ms| now_ms.saturating_sub(silent_ms)).or(self.heard_ms);
                None
            }
            _ => {
                self.heard_ms = None;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seat::status::MirrorLag;

    fn seat(role: &str, is_serving: bool, silent_ms: Option<u64>) -> SeatStatus {
        let lag = |silent_ms| MirrorLag {
            mirror: "m".into(),
            records: 0,
            bytes: 0,
            behind_ms: 0,
            silent_ms,
            is_seeding: false,
        };
        let lag = silent_ms.map(lag).into_iter().collect();
        SeatStatus { role: role.into(), is_serving, lag, ..SeatStatus::default() }
    }

    #[test]
    fn a_takeover_takes_from_the_last_word_of_the_holder_until_the_shadow_serves() {
        let mut takeover = Takeover::default();
        for (now_ms, looked, took) in [
            (1_000, seat("shadow", false, Some(100)), None),
            (2_000, seat("shadow", false, Some(1_100)), None),
            // Standing for the seat it may have nothing to say of its lag.
            (2_200, seat("shadow", false, None), None),
            (2_500, seat("holder", false, None), None),
            (2_900, seat("holder", true, None), Some(2_000)),
            (3_500, seat("holder", true, None), None),
        ] {
            assert_eq!(takeover.look(now_ms, &looked), took, "at {now_ms}");
        }
    }

    #[test]
    fn a_node_that_never_mirrored_took_nothing_over() {
        let mut takeover = Takeover::default();
        assert_eq!(takeover.look(1, &seat("holder", true, None)), None);
        assert_eq!(takeover.look(2, &seat("shadow", false, Some(1))), None);
        assert_eq!(takeover.look(3, &seat("voter", false, None)), None);
        assert_eq!(takeover.look(4, &seat("holder", true, None)), None, "an operator gave it the seat meanwhile");
    }
}

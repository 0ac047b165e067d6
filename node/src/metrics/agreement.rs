//! Since when a node and its peers are not in step, told from one look after another. Pure.

/// What the looks so far have shown.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// Since when they differ, on the clock of the looks.
    since_ms: Option<u64>,
}

impl Agreement {
    /// One look. Gives how long a disagreement lasted, if this look is the one that found its end.
    pub(super) fn look(&mut self, now_ms: u64, agrees: bool) -> Option<u64> {
        if agrees {
            return self.since_ms.take().map(|since_ms| now_ms.saturating_sub(since_ms));
        }
        self.since_ms.get_or_insert(now_ms);
        None
    }

    /// How long the present disagreement lasts; 0 without one.
    pub(super) fn lasting_ms(&self, now_ms: u64) -> u64 {
        self.since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disagreement_is_measured_from_its_first_look_to_the_first_that_finds_none() {
        let mut agreement = Agreement::default();
        assert_eq!((agreement.look(10, true), agreement.lasting_ms(20)), (None, 0));
        assert_eq!((agreement.look(30, false), agreement.look(40, false)), (None, None));
        assert_eq!(agreement.lasting_ms(50), 20);
        assert_eq!(agreement.look(60, true), Some(30));
        assert_eq!((agreement.look(70, true), agreement.lasting_ms(80)), (None, 0));
    }
}

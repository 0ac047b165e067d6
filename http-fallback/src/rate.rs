//! A bound on requests a second: a bucket of tokens that fills steadily (pure).

/// Tokens that fill up by so many a second, and of which so many are kept.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    per_second: u64,
    capacity: u64,
    /// Thousandths of a token.
    millitokens: u64,
    at_ms: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(per_second: u64, capacity: u64) -> Self {
        Self { per_second, capacity, millitokens: capacity * 1000, at_ms: 0 }
    }

    /// Takes one token, if there is one.
    pub fn take(&mut self, now_ms: u64) -> bool {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = now_ms;
        let filled = self.millitokens.saturating_add(passed_ms.saturating_mul(self.per_second));
        self.millitokens = filled.min(self.capacity * 1000);
        let has_one = self.millitokens >= 1000;
        if has_one {
            self.millitokens -= 1000;
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_the_rate_holds() {
        let mut bucket = Bucket::new(10, 5);
        let taken = |bucket: &mut Bucket, now_ms| (0..100).filter(|_| bucket.take(now_ms)).count();
        assert_eq!(taken(&mut bucket, 1_000), 5);
        assert_eq!(taken(&mut bucket, 1_099), 0);
        assert_eq!(taken(&mut bucket, 1_100), 1);
        assert_eq!(taken(&mut bucket, 60_000), 5, "no more than the bucket holds");
        assert_eq!(taken(&mut bucket, 0), 0, "a clock that goes back gives nothing");
    }
}

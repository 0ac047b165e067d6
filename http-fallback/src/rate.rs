//! Bounds on requests a second: buckets of tokens that fill steadily, one for each address and one for all (pure).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Addresses with a bucket of their own; when all are in use, further ones share one.
pub const REMOTES_MAX: usize = 1024;

/// Whom a request came from, as the connection shows it. Whoever serves the routes puts it into each request's extensions;
/// requests without it count as of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Remote(IpAddr);

impl Remote {
    /// The owner of an address: of IPv6 the first 64 bits, of which anybody has as many others as they like.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        })
    }
}

impl Default for Remote {
    fn default() -> Self {
        Self(Ipv6Addr::UNSPECIFIED.into())
    }
}

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

impl Bucket {
    fn is_full(&self, now_ms: u64) -> bool {
        let filled = now_ms.saturating_sub(self.at_ms).saturating_mul(self.per_second);
        self.millitokens.saturating_add(filled) >= self.capacity * 1000
    }
}

/// A bucket for all, and one for each address, so that nobody alone empties the one for all.
#[derive(Debug)]
pub struct Buckets {
    all: Bucket,
    each: Bucket,
    of: HashMap<Remote, Bucket>,
    of_others: Bucket,
}

impl Buckets {
    /// Full buckets: `all` for everybody together, and `each` for one address.
    pub fn new(all: Bucket, each: Bucket) -> Self {
        Self { all, each, of: HashMap::new(), of_others: each }
    }

    /// Takes one token of an address's bucket and of the one for all, if both have one.
    pub fn take(&mut self, now_ms: u64, remote: Remote) -> bool {
        if !self.of.contains_key(&remote) && self.of.len() >= REMOTES_MAX {
            // A full one is as good as none.
            self.of.retain(|_, bucket| !bucket.is_full(now_ms));
        }
        let own = if self.of.len() < REMOTES_MAX || self.of.contains_key(&remote) {
            self.of.entry(remote).or_insert(self.each)
        } else {
            &mut self.of_others
        };
        own.take(now_ms) && self.all.take(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(n: u16) -> Remote {
        Remote::of(Ipv6Addr::new(0x2001, 0xdb8, 0, n, 0, 0, 0, 1).into())
    }

    #[test]
    fn nobody_alone_takes_what_is_for_all() {
        let mut buckets = Buckets::new(Bucket::new(10, 100), Bucket::new(1, 10));
        let taken = |buckets: &mut Buckets, n| (0..1_000).filter(|_| buckets.take(1_000, remote(n))).count();
        assert_eq!(taken(&mut buckets, 1), 10);
        assert_eq!(taken(&mut buckets, 2), 10);
        let all: usize = (3..100).map(|n| taken(&mut buckets, n)).sum();
        assert_eq!(all, 80, "all together have a bound");
        let neighbour = Remote::of(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9).into());
        assert_eq!(neighbour, remote(1), "of one owner");
        assert_eq!(Remote::of("::ffff:192.0.2.1".parse().expect("one")), Remote::of("192.0.2.1".parse().expect("one")));
    }

    #[test]
    fn addresses_beyond_the_bound_share_a_bucket_and_idle_ones_make_room() {
        let mut buckets = Buckets::new(Bucket::new(1_000_000, 1_000_000), Bucket::new(1, 10));
        let many = REMOTES_MAX as u16;
        assert!((0..many).all(|n| buckets.take(1_000, remote(n))));
        let further = (many..many + 100).filter(|n| buckets.take(1_000, remote(*n))).count();
        assert_eq!((further, buckets.of.len()), (10, REMOTES_MAX));
        assert!(buckets.take(60_000, remote(many)));
        assert_eq!(buckets.of.len(), 1);
    }

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

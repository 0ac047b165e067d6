//! The one place that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Wall time in milliseconds since 1970; 0 before that.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

//! The one place that reads clocks: the wall's for what others see, a steady one for how long things take.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use node_core::seat::timing::BootMs;
use rustix::time::{ClockId, clock_gettime};

/// Wall time in milliseconds since 1970; 0 before that.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// When this process first asked.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds on a clock that nobody sets: for pauses, silences and bans. It starts above zero, so that "never" and
/// "just now" differ.
pub fn steady_ms() -> u64 {
    1 + u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
}

/// Milliseconds since the machine started, the time that it was suspended included: a lease runs out while nobody is awake.
pub fn boot_ms() -> BootMs {
    let now = clock_gettime(ClockId::Boottime);
    BootMs(now.tv_sec.unsigned_abs() * 1_000 + now.tv_nsec.unsigned_abs() / 1_000_000)
}

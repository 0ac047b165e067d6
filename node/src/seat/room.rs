//! How much room this machine has left, read off the driver's turn: a mount that hangs must not keep leases from being renewed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Between two readings: room goes in seconds, not in milliseconds.
const EVERY: Duration = Duration::from_secs(1);

/// What is free; `None` where the system does not tell, or has not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// Bytes where the state is stored.
    pub disk_free: Option<u64>,
    /// Bytes that could be had without swapping.
    pub memory_free: Option<u64>,
}

impl Room {
    fn read(dir: &Path) -> Self {
        Self { disk_free: disk_free(dir), memory_free: memory_free() }
    }
}

/// Reads again and again. While a reading hangs, the last one stands.
pub(super) async fn keep_reading(dir: Arc<Path>, room: watch::Sender<Room>) {
    loop {
        let dir = dir.clone();
        // A reading that panicked is a bug; the last one stands.
        if let Ok(read) = tokio::task::spawn_blocking(move || Room::read(&dir)).await {
            room.send_replace(read);
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn disk_free(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// What Linux says could be had without swapping.
fn memory_free() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_room_is_told_by_itself_soon_after_the_start() {
        let dir = tempfile::tempdir().expect("a directory");
        let (room, mut told) = watch::channel(Room::default());
        let reading = tokio::spawn(keep_reading(dir.path().into(), room));
        let read = *told.wait_for(|room| *room != Room::default()).await.expect("it goes on");
        assert!(read.disk_free.is_some() && read.memory_free.is_some(), "{read:?}");
        reading.abort();
    }
}

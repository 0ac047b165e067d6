//! The operator's command that runs when the seat moves: one after the other, so that what an older move says never comes
//! last, and once for each move, across restarts too.

use std::process::Stdio;
use std::time::Duration;

use node_core::seat::named::NamedBody;
use tokio::sync::watch;

use crate::home::{Home, SEAT_TOLD};

/// How long an operator's command may run.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// A move of the seat, and what to run. Of those that wait only the newest is kept.
#[derive(Debug, Clone)]
pub(super) struct Move {
    /// The program, and its arguments.
    pub(super) command: Vec<String>,
    /// What the seat moved to.
    pub(super) body: NamedBody,
    /// Whether this node holds it.
    pub(super) is_here: bool,
}

/// Runs the commands until the driver is gone; a move that waits then is told at the next start.
pub(super) async fn tell_of(mut moves: watch::Receiver<Option<Move>>, home: Home) {
    while moves.changed().await.is_ok() && moves.has_changed().is_ok() {
        let Some(moved) = moves.borrow_and_update().clone() else { continue };
        let name = format!("{}\n", moved.body.name());
        // What can't be read was not told.
        if home.read(SEAT_TOLD).is_ok_and(|told| told == name.as_bytes()) {
            continue;
        }
        if !moved.run().await {
            continue;
        }
        if let Err(error) = home.write(SEAT_TOLD, 0o644, name.as_bytes()) {
            tracing::warn!(%error, "on_seat_change runs again for this move at the next start");
        }
    }
}

impl Move {
    /// Whether the command did what it should.
    async fn run(&self) -> bool {
        let Some((program, arguments)) = self.command.split_first() else { return true };
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command.env("LATTICE_SEAT", &self.body.seat).env("LATTICE_SEAT_TERM", self.body.term.to_string());
        command.env("LATTICE_SEAT_HOLDER", self.body.holder.to_string());
        command.env("LATTICE_SEAT_HERE", if self.is_here { "yes" } else { "no" });
        match tokio::time::timeout(COMMAND_TIMEOUT, command.status()).await {
            Ok(Ok(status)) if status.success() => return true,
            Ok(Ok(status)) => tracing::error!(command = program, %status, "on_seat_change failed"),
            Ok(Err(error)) => tracing::error!(command = program, %error, "on_seat_change can't be run"),
            Err(_) => tracing::error!(command = program, "on_seat_change took too long and was ended"),
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lattice::ids::{AuthorId, LatticeId};
    use lattice::seat::Body;

    use super::*;

    /// A command that waits until its pipe is written, and then writes down the term.
    fn to(dir: &Path, term: u64) -> Move {
        let path = |file: &str| dir.join(file).display().to_string();
        let script = "cat \"$0\" >/dev/null; echo \"$LATTICE_SEAT_TERM $LATTICE_SEAT_HERE\" >> \"$1\"".to_owned();
        let holder = AuthorId([1; 32]);
        let body = Body {
            lattice: LatticeId([2; 32]),
            seat: "green".to_owned(),
            term,
            holder,
            shadow: None,
            spares: Vec::new(),
            voters: vec![holder],
            electors: Vec::new(),
            follows: None,
            cut: 0,
            log_size: 0,
            log_root: [0; 32],
            time_ms: 0,
            reason: "a test".to_owned(),
        };
        let command = vec!["sh".to_owned(), "-c".to_owned(), script, path(&format!("pipe-{term}")), path("told")];
        Move { command, body: body.into(), is_here: true }
    }

    fn make_pipe(dir: &Path, term: u64) {
        let made = std::process::Command::new("mkfifo").arg(dir.join(format!("pipe-{term}"))).status();
        assert!(made.expect("it runs").success());
    }

    /// Ends once the command of a term reads its pipe; it goes on when this is dropped.
    async fn command_waits(dir: &Path, term: u64) -> std::fs::File {
        let pipe = dir.join(format!("pipe-{term}"));
        let opened = tokio::task::spawn_blocking(move || std::fs::File::create(pipe));
        opened.await.expect("no panic").expect("a pipe")
    }

    #[tokio::test]
    async fn moves_are_told_one_after_the_other_the_newest_last_and_each_once_across_restarts() {
        // Two moves ran two commands at once, and DNS could end with the deposed holder; each start ran one more.
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("node.key"), "").expect("written");
        let home = Home::open(dir.path()).expect("there is a key");
        // A command that should not run finds no pipe, and writes its term at once.
        [1, 3, 4].into_iter().for_each(|term| make_pipe(dir.path(), term));
        let (moves, told) = watch::channel(None);
        let telling = tokio::spawn(tell_of(told, home.clone()));
        moves.send_replace(Some(to(dir.path(), 1)));
        let first = command_waits(dir.path(), 1).await;
        moves.send_replace(Some(to(dir.path(), 2)));
        moves.send_replace(Some(to(dir.path(), 3)));
        drop(first);
        drop(command_waits(dir.path(), 3).await);
        drop(moves);
        telling.await.expect("it ends with the driver");
        std::fs::remove_file(dir.path().join("pipe-3")).expect("removed");
        let (moves, told) = watch::channel(None);
        let telling = tokio::spawn(tell_of(told, home));
        // The one that was told last is what a start finds.
        moves.send_replace(Some(to(dir.path(), 3)));
        tokio::task::yield_now().await;
        moves.send_replace(Some(to(dir.path(), 4)));
        drop(command_waits(dir.path(), 4).await);
        drop(moves);
        telling.await.expect("it ends with the driver");
        let lines = std::fs::read_to_string(dir.path().join("told")).expect("written");
        assert_eq!(lines, "1 yes\n3 yes\n4 yes\n");
    }
}

//! `testnet up`: a lattice to play with, watched in a table until Ctrl-C.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use rustix::termios::tcgetwinsize;
use tempfile::TempDir;

use crate::cluster::{self, Cluster};
use crate::interrupt::StopRequest;
use crate::process::{STOPPED_WITHIN, Stopped};
use crate::table::{self, Row};

/// Time between two looks at the nodes.
const REFRESH: Duration = Duration::from_secs(1);

/// Columns and lines of a terminal that does not tell its size.
const SIZE_DEFAULT: (usize, usize) = (80, 24);

/// Without a terminal, an unchanged line is repeated after this many looks, as a sign of life.
const REPEAT_AFTER: u32 = 60;

/// Options of `testnet up`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How many nodes to start.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=30))]
    nodes: u8,
    /// Where the nodes' directories are kept; a later start goes on with them [default: a temporary directory].
    #[arg(long, value_name = "D")]
    dir: Option<PathBuf>,
    /// Keep the temporary directory.
    #[arg(long)]
    keep: bool,
}

/// Starts the nodes, shows them until asked to stop, and stops them. Exit code 3 if they cannot be started.
///
/// # Errors
/// If the directory cannot be made, or signals or the terminal cannot be used.
pub async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    // Listening comes first: a Ctrl-C during the start must clean up too.
    let mut asked = StopRequest::listen()?;
    let home = Home::new(options)?;
    say(&format!("starting {} in {}", table::counted(options.nodes.into(), "node", "nodes"), home.path().display()));
    let program = std::env::current_exe()?;
    let started = tokio::select! {
        started = Cluster::start(&program, home.path(), options.nodes.into()) => started,
        () = asked.received() => return Ok(ExitCode::SUCCESS),
    };
    let mut cluster = match started {
        Ok(cluster) => cluster,
        Err(error) => {
            say(&format!("error: {error}"));
            return Ok(ExitCode::from(3));
        }
    };
    say(&format!("ask one: lattice status --dir {}", cluster.nodes()[0].dir().display()));
    for node in cluster.nodes() {
        let http = node.reached().and_then(|reached| reached.run.http.into_iter().next());
        http.iter().for_each(|http| say(&dashboard(node.name(), http)));
    }
    let shown = show(&mut cluster, &mut asked).await;
    stop(&mut cluster).await;
    shown?;
    Ok(ExitCode::SUCCESS)
}

/// Where the nodes' directories are: given and kept, or temporary and removed at the end.
enum Home {
    Given(PathBuf),
    Temporary(TempDir),
}

impl Home {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let Some(dir) = &options.dir else {
            let mut builder = tempfile::Builder::new();
            let dir = builder.prefix("lattice-testnet-").disable_cleanup(options.keep).tempdir()?;
            return Ok(Self::Temporary(dir));
        };
        let made = std::fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
        Ok(Self::Given(made.with_context(|| format!("{} can't be made", dir.display()))?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

async fn show(cluster: &mut Cluster, asked: &mut StopRequest) -> io::Result<()> {
    let mut screen = Screen::new();
    let mut ticks = tokio::time::interval(REFRESH);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = asked.received() => return Ok(()),
        }
        // A paused node takes long to not answer; the wish to stop must not wait for it.
        tokio::select! {
            rows = rows(cluster) => screen.show(&rows)?,
            () = asked.received() => return Ok(()),
        }
    }
}

async fn rows(cluster: &mut Cluster) -> Vec<Row> {
    let statuses = cluster::statuses(cluster.nodes()).await;
    let row = |(node, status): (&mut crate::process::Node, Result<_, String>)| {
        let ended = node.ended_by_itself().map(|status| Err(format!("ended with {status}")));
        Row {
            name: node.name().to_owned(),
            pid: node.pid(),
            http: node.reached().and_then(|reached| reached.run.http.into_iter().next()).unwrap_or_default(),
            status: ended.unwrap_or(status),
        }
    };
    cluster.nodes_mut().iter_mut().zip(statuses).map(row).collect()
}

async fn stop(cluster: &mut Cluster) {
    say("stopping");
    for (name, stopped) in cluster.stop().await {
        match stopped {
            Stopped::Cleanly(status) if status.success() => {}
            Stopped::Cleanly(status) => say(&format!("{name} stopped with {status}")),
            Stopped::BeforeAsked => say(&format!("{name} did not run any more")),
            Stopped::Killed => {
                let seconds = STOPPED_WITHIN.as_secs();
                say(&format!("{name} did not stop within {seconds} s and was killed"));
            }
        }
    }
}

fn dashboard(name: &str, http: &str) -> String {
    format!("dashboard of {name}: http://{http}/")
}

/// Says one line on standard error. Where nobody listens, such as at a terminal that was closed, it is lost.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Standard output: a table that is drawn over itself on a terminal, a line now and then elsewhere.
struct Screen {
    is_terminal: bool,
    lines_drawn: usize,
    last_line: String,
    unchanged: u32,
}

impl Screen {
    fn new() -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self { is_terminal, lines_drawn: 0, last_line: String::new(), unchanged: 0 }
    }

    fn show(&mut self, rows: &[Row]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if !self.is_terminal {
            return self.line_if_due(table::summary(rows)).map_or(Ok(()), |line| writeln!(out, "{line}"));
        }
        // A terminal that does not know its size says that it has none.
        let size = tcgetwinsize(&out).ok().map(|size| (size.ws_col.into(), size.ws_row.into()));
        let (columns, lines) = size.filter(|(columns, lines)| *columns > 0 && *lines > 0).unwrap_or(SIZE_DEFAULT);
        let text = table::fitted(&table::render(rows), columns, lines);
        if self.lines_drawn > 0 {
            // Up to where the table began, and clear from there.
            write!(out, "\x1b[{}A\x1b[J", self.lines_drawn)?;
        }
        self.lines_drawn = text.lines().count();
        write!(out, "{text}")?;
        out.flush()
    }

    fn line_if_due(&mut self, line: String) -> Option<String> {
        self.unchanged = if line == self.last_line { self.unchanged + 1 } else { 0 };
        let due = self.unchanged.is_multiple_of(REPEAT_AFTER);
        self.last_line.clone_from(&line);
        due.then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashboard_is_named_by_what_a_browser_opens() {
        assert_eq!(dashboard("node-1", "127.0.0.1:4811"), "dashboard of node-1: http://127.0.0.1:4811/");
    }

    #[test]
    fn without_a_terminal_a_line_comes_when_something_changed_or_after_a_while() {
        let mut screen = Screen { is_terminal: false, lines_drawn: 0, last_line: String::new(), unchanged: 0 };
        let lines = ["a", "a", "b"].map(|line| screen.line_if_due(line.into()));
        assert_eq!(lines, [Some("a".into()), None, Some("b".into())]);
        let repeated = (0..REPEAT_AFTER).filter_map(|_| screen.line_if_due("b".into())).count();
        assert_eq!(repeated, 1);
    }
}

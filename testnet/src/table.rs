//! The table of `testnet up`: one row per node, a pure function from what the nodes said to text.

use std::collections::BTreeSet;

use crate::client::Status;

/// Hexadecimal digits of a root that are shown: enough to tell two apart at a glance.
const ROOT_DIGITS: usize = 12;

/// What is known of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The node's name.
    pub name: String,
    /// Its process, if it runs.
    pub pid: Option<u32>,
    /// Where its API is, `host:port`.
    pub http: String,
    /// What it said, or why it said nothing.
    pub status: Result<Status, String>,
}

/// The table with a heading, and below it whether the roots are equal.
pub fn render(rows: &[Row]) -> String {
    let heading = ["NODE", "PID", "HTTP", "PEERS", "ENTRIES", "ROOT"].map(str::to_owned);
    let cells: Vec<[String; 6]> = std::iter::once(heading).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6]| {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let table: String = cells.iter().map(line).collect();
    format!("{table}peers: connected/lattice/mesh/in sync\n{}\n", summary(rows))
}

/// As much of a text as a terminal shows without wrapping or scrolling, so that it can be drawn over: long lines are
/// cut, and of too many the last ones stay, which hold the summary.
pub fn fitted(text: &str, columns: usize, lines: usize) -> String {
    // The cursor stands below the last line.
    let skipped = text.lines().count().saturating_sub(lines.saturating_sub(1));
    let cut = |line: &str| line.chars().take(columns).chain(['\n']).collect::<String>();
    text.lines().skip(skipped).map(cut).collect()
}

/// One line: how many nodes run, and whether they agree.
pub fn summary(rows: &[Row]) -> String {
    let heard: Vec<&Status> = rows.iter().filter_map(|row| row.status.as_ref().ok()).collect();
    let states: BTreeSet<_> = heard.iter().map(|status| (&status.state_root, status.entries)).collect();
    let agreement = match (states.len(), states.first()) {
        (0, _) | (_, None) => "none answers".to_owned(),
        (1, Some((root, entries))) => {
            let entries = counted(*entries, "entry", "entries");
            format!("all roots equal: {} with {entries}", short(root))
        }
        (different, Some(_)) => format!("{different} different roots"),
    };
    let answer = if rows.len() == 1 { "node answers" } else { "nodes answer" };
    format!("{} of {} {answer}, {agreement}", heard.len(), rows.len())
}

pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn cells(row: &Row) -> [String; 6] {
    let pid = row.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    let [peers, entries, root] = match &row.status {
        Ok(Status { peers, entries, state_root, .. }) => [
            format!("{}/{}/{}/{}", peers.connected, peers.lattice, peers.mesh, peers.in_sync),
            entries.to_string(),
            short(state_root).to_owned(),
        ],
        Err(silence) => ["-".into(), "-".into(), silence.clone()],
    };
    [row.name.clone(), pid, row.http.clone(), peers, entries, root]
}

fn short(root: &str) -> &str {
    root.get(..ROOT_DIGITS).unwrap_or(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::PeerCounts;

    fn row(name: &str, status: Result<&str, &str>) -> Row {
        let peers = PeerCounts { configured: 1, connected: 4, lattice: 3, mesh: 2, in_sync: 1 };
        let status = status.map_err(str::to_owned).map(|root| Status {
            name: name.into(),
            peer_id: "p".into(),
            state_root: root.repeat(32),
            entries: 9,
            log_size: 1,
            seq: 1,
            ready: true,
            write_refusal: None,
            peers,
            divergences: 0,
            equivocations: Vec::new(),
            addresses: Vec::new(),
        });
        Row { name: name.into(), pid: status.is_ok().then_some(41), http: "127.0.0.1:1".into(), status }
    }

    #[test]
    fn the_table_shows_each_node_and_the_agreement() {
        let text = render(&[row("node-1", Ok("ab")), row("node-2", Err("does not run"))]);
        assert_eq!(
            text,
            "\
NODE    PID  HTTP         PEERS    ENTRIES  ROOT
node-1  41   127.0.0.1:1  4/3/2/1  9        abababababab
node-2  -    127.0.0.1:1  -        -        does not run
peers: connected/lattice/mesh/in sync
1 of 2 nodes answer, all roots equal: abababababab with 9 entries
"
        );
    }

    #[test]
    fn what_is_drawn_neither_wraps_nor_scrolls() {
        // A wrapped line was counted as one, and each redraw left a line of the old table behind.
        let text = render(&vec![row("a-node-with-a-long-name", Err("does not answer within ten seconds")); 30]);
        assert!(text.lines().any(|line| line.chars().count() > 60));
        let fitted = fitted(&text, 60, 24);
        assert_eq!(fitted.lines().count(), 23);
        assert!(fitted.lines().all(|line| line.chars().count() <= 60), "{fitted}");
        assert!(fitted.ends_with("0 of 30 nodes answer, none answers\n"), "{fitted}");
    }

    #[test]
    fn different_roots_are_counted() {
        let rows = [row("a", Ok("ab")), row("b", Ok("cd")), row("c", Ok("ab"))];
        assert_eq!(summary(&rows), "3 of 3 nodes answer, 2 different roots");
        assert_eq!(summary(&[]), "0 of 0 nodes answer, none answers");
    }
}

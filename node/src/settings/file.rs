//! The file `lattice.toml` as a source of options: reading it, and writing the first one with every default
//! explained.

use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::log::LOG_FILTER_DEFAULT;
use super::typed::{NodeName, Typed};

/// Bytes of a configuration file that are read at all: a thousand times what one needs, and no device by
/// mistake.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Name of the file in a node's directory.
pub const FILE_NAME: &str = "lattice.toml";

/// Why a TOML file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// It can't be read.
    #[error("{}: can't be read: {why}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// It does not say what it should.
    #[error("{}, line {line}{}: {why}; correct or delete that line", file.display(), quoted(key.as_ref()))]
    Line {
        /// The file.
        file: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The key on that line, if there is one.
        key: Option<String>,
        /// What is wrong with it.
        why: String,
    },
}

fn quoted(key: Option<&String>) -> String {
    key.map(|key| format!(", {key:?}")).unwrap_or_default()
}

/// Reads the options of the node in `dir`; without a file there, none.
///
/// # Errors
///
/// [`BadFile`] with the line to correct.
pub fn read(dir: &Path) -> Result<Typed, BadFile> {
    let file = dir.join(FILE_NAME);
    if file.metadata().is_ok_and(|found| !found.is_file()) {
        // A pipe, for one, would be waited for, and the node with it.
        let why = io::Error::other("it is no regular file");
        return Err(BadFile::Unreadable { file, why });
    }
    match read_text(&file) {
        Err(BadFile::Unreadable { why, .. }) if why.kind() == io::ErrorKind::NotFound => Ok(Typed::default()),
        Err(other) => Err(other),
        Ok(text) => parse(&file, &text),
    }
}

/// Reads a file of at most [`FILE_BYTES_MAX`].
pub(super) fn read_text(file: &Path) -> Result<String, BadFile> {
    use io::Read;
    let unreadable = |why| BadFile::Unreadable { file: file.to_owned(), why };
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes"))));
    }
    Ok(text)
}

/// Reads a value out of the text of `file`.
pub(super) fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, BadFile> {
    toml::from_str(text).map_err(|error| bad_line(file, text, error.span(), error.message()))
}

/// An error at the line where `span` starts; without a span, at the last line.
pub(super) fn bad_line(file: &Path, text: &str, span: Option<Range<usize>>, why: &str) -> BadFile {
    let at = span.map_or(text.len(), |span| span.start.min(text.len()));
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let key = text[start..].lines().next().and_then(|line| line.split_once('='));
    BadFile::Line {
        file: file.to_owned(),
        line: text[..start].lines().count() + 1,
        key: key.map(|(key, _)| key.trim().to_owned()).filter(|key| !key.is_empty()),
        why: why.trim_end().replace('\n', "; "),
    }
}

/// Writes the first `lattice.toml` of a node. One that stands there already is left alone.
///
/// # Errors
///
/// What the system says, if the file can't be written.
pub fn write_first(dir: &Path, name: &NodeName, peers: &[String]) -> io::Result<()> {
    match std::fs::File::create_new(dir.join(FILE_NAME)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(mut file) => {
            file.write_all(first_text(name, peers).as_bytes())?;
            file.sync_all()
        }
    }
}

/// The first `lattice.toml`: the node's name, the peers it starts with, and every other option as a comment with its
/// default.
pub fn first_text(name: &NodeName, peers: &[String]) -> String {
    let name = toml::Value::from(name.as_str());
    let mark = if peers.is_empty() { "#" } else { "" };
    let peers = toml::Value::from(peers.to_vec());
    let log = toml::Value::from(LOG_FILTER_DEFAULT);
    format!(
        "\
# Options of this lattice node. Flags of `lattice run` go over LATTICE_… variables, those go over this file.
# An option without a line here has its default, which the commented lines show.

# What people call this node.
name = {name}

# Where to listen for other nodes: IP:PORT for TCP and QUIC on that port, or multiaddrs. Port 0 is any free one.
#p2p = [\"/ip4/0.0.0.0/tcp/4801\", \"/ip4/0.0.0.0/udp/4801/quic-v1\"]

# Where to serve the HTTP API. Beyond loopback whoever reaches the port can read; writing takes api.token.
#http = [\"127.0.0.1:4800\"]

# Ask readers of the API and of the dashboard for the token in read.token, which the node writes if it is not there.
#api_token_read = false

# Nodes to dial for ever, as multiaddrs: \"/ip4/192.0.2.7/tcp/4801\", or with \"/p2p/<peer id>\" at the end.
{mark}peers = {peers}

# Addresses of this node as others reach it, where it can't see them itself (port forwarding, containers).
#external = []

# Nodes to ask over plain HTTP what they hold, for the day on which libp2p fails: [\"http://192.0.2.7:4800\"].
#nodes = []

# Where others reach this node's HTTP, for members to be told: http_url = \"http://192.0.2.8:4800\". None by default; a
# start without it withdraws what an earlier one told.

# Where to serve /api/lattice/* for other nodes: lattice_http = [\"0.0.0.0:4802\"]. By default where the API is; with
# this, only here.

# How often those nodes are asked, by how many hundredths of that the moment is left to chance, and how long an answer
# may take.
#heartbeat_ms = 10000
#heartbeat_jitter_percent = 10
#heartbeat_timeout_ms = 5000

# After how many other roots in a row this node reconciles over HTTP.
#heartbeat_mismatches = 3

# After how long without a lattice peer over libp2p it does so at each beat.
#http_mode_after_ms = 60000

# How often this node signs its log while it grows.
#checkpoint_ms = 1000

# Take orders about the seat on loopback too, for those who show the token in admin.token: admin_http =
# [\"127.0.0.1:4803\"]. By default only on admin.sock in this directory.

# How fast a seat moves: \"lan\" for nodes within 50 ms of each other, \"wan\" for slow networks. All nodes alike.
#seat_timing = \"lan\"

# What happens to writes of the seat while its shadow is away: \"block\" refuses them, \"degrade\" goes on without one,
# and a takeover could lose them then.
#seat_no_shadow = \"block\"

# A command to run when the seat moves, with its arguments, for DNS or a load balancer. It finds LATTICE_SEAT_TERM,
# LATTICE_SEAT_HOLDER and LATTICE_SEAT_HERE (yes or no) in its environment.
#on_seat_change = []

# Relays at which this node is found, for nodes that others can't dial (behind a NAT): relays =
# [\"/ip4/192.0.2.7/tcp/4801/p2p/<peer id>\"]. Two nodes that meet through a relay then try to connect directly.
#relays = []

# Be such a relay for others, within bounds. It must be reachable itself; `external` says where if it can't see that.
#relay = false

# Look for nodes of this lattice on the local network.
#mdns = true

# \"full\": what was acknowledged survives a power cut. \"normal\": only the death of the process, but faster.
#synchronous = \"full\"

# What to log: off, error, warn, info, debug, trace, also by part of the program, such as \"info,node::sync=debug\". With
# `lattice log` it changes until the next reload.
#log = {log}

# Log JSON lines instead of text.
#log_json = false
"
    )
}

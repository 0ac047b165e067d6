//! Which node a command means: by its directory, or by the URL of its API.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::client::ClientError;
use super::exit::Failure;
use crate::api::auth::ApiToken;
use crate::seat::admin::SOCKET;

/// Name of the file that a running node keeps in its directory.
pub const RUN_FILE: &str = "run.json";

/// Name of the file with the token, in a node's directory.
pub const TOKEN_FILE: &str = "api.token";

/// Where a node lives on this machine.
#[derive(Debug, Clone, clap::Args)]
pub struct Directory {
    /// The node's directory [default: ~/.lattice]
    #[arg(long, value_name = "DIR", env = "LATTICE_DIR", global = true)]
    dir: Option<PathBuf>,
}

impl Directory {
    /// The directory, typed or by default.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] if none was typed and there is no home directory.
    pub fn path(&self) -> Result<PathBuf, Failure> {
        match (&self.dir, std::env::var_os("HOME").filter(|home| !home.is_empty())) {
            (Some(dir), _) => Ok(dir.clone()),
            (None, Some(home)) => Ok(Path::new(&home).join(".lattice")),
            (None, None) => Err(Failure::Usage("there is no home directory to look in; give --dir DIR".to_owned())),
        }
    }
}

/// The running node that a command asks.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    #[command(flatten)]
    directory: Directory,
    /// Asks the node at this URL (http://HOST:PORT) instead of the one that runs in the directory
    #[arg(long, value_name = "URL", env = "LATTICE_URL")]
    url: Option<String>,
    /// File with the node's API token [default: api.token in the directory]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Target {
    /// The node whose API is at a URL.
    pub fn at(url: String) -> Self {
        Self { directory: Directory { dir: None }, url: Some(url), token_file: None }
    }

    /// The node that runs in a directory.
    pub fn in_directory(dir: &Path) -> Self {
        Self { directory: Directory { dir: Some(dir.to_owned()) }, url: None, token_file: None }
    }

    /// The same node, with the token in this file if one is named.
    pub fn with_token_file(self, token_file: Option<PathBuf>) -> Self {
        Self { token_file, ..self }
    }

    /// The URL of the node's API, without a slash at the end.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the URL can't be one, or no node runs in the directory.
    pub fn base_url(&self) -> Result<String, Failure> {
        match &self.url {
            Some(url) if url.starts_with("http://") && url.len() > "http://".len() => {
                Ok(url.trim_end_matches('/').to_owned())
            }
            Some(url) => Err(Failure::Usage(format!(
                "--url {url:?} is not a URL that can be asked: write http://HOST:PORT \
                 (for TLS, put a proxy or a tunnel before it)"
            ))),
            None => {
                let dir = self.directory.path()?;
                Ok(format!("http://{}", running_in(&dir)?))
            }
        }
    }

    /// The directory of the node, if it is not meant by a URL.
    pub fn directory(&self) -> Option<&Directory> {
        self.url.is_none().then_some(&self.directory)
    }

    /// What to do if the node does not answer, in words.
    pub fn advice(&self) -> String {
        match (&self.url, self.directory.path()) {
            // A hidden mirror of the seat serves no API.
            (None, Ok(dir)) if UnixStream::connect(dir.join(SOCKET)).is_ok() => {
                format!(
                    "a node runs there; if it mirrors the seat it serves no API: `lattice seat status --dir {}`",
                    dir.display()
                )
            }
            (None, Ok(dir)) => format!("start it with `lattice run --dir {}`", dir.display()),
            (Some(_), _) | (None, Err(_)) => "check the URL and that the node runs".to_owned(),
        }
    }

    /// The process that runs in the directory, as it says itself.
    pub fn pid(&self) -> Option<u32> {
        let dir = self.directory.path().ok().filter(|_| self.url.is_none())?;
        read_run_file(&dir).ok().map(|file| file.pid)
    }

    /// The token to write with; `None` if there is no file with one where nobody said that there is.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] if the token file can't be read or holds no token.
    pub fn token(&self) -> Result<Option<ApiToken>, Failure> {
        let (file, typed) = match &self.token_file {
            Some(file) => (file.clone(), true),
            None => (self.directory.path()?.join(TOKEN_FILE), false),
        };
        let bad = |why: String| Failure::Usage(format!("token file {}: {why}", file.display()));
        match std::fs::read_to_string(&file) {
            Ok(text) => ApiToken::from_text(&text).map(Some).map_err(|error| bad(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !typed => Ok(None),
            Err(error) => Err(bad(error.to_string())),
        }
    }
}

/// What a running node writes down so that commands find it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RunFile {
    /// Process id.
    pub pid: u32,
    /// Addresses of the API, real ports.
    pub http: Vec<SocketAddr>,
    /// Multiaddresses for other nodes, with the peer id.
    pub p2p: Vec<String>,
}

/// The address under which the node that runs in `dir` answers.
fn running_in(dir: &Path) -> Result<SocketAddr, ClientError> {
    let file = read_run_file(dir)?;
    // Loopback first: an address of another interface may be firewalled even from here.
    let reachable = file.http.iter().copied().map(as_client);
    let nearest = reachable.min_by_key(|address| !address.ip().is_loopback());
    nearest.ok_or_else(|| ClientError::NoNode(dir.to_owned()))
}

fn read_run_file(dir: &Path) -> Result<RunFile, ClientError> {
    let text = std::fs::read_to_string(dir.join(RUN_FILE)).map_err(|_| ClientError::NoNode(dir.to_owned()))?;
    serde_json::from_str(&text).map_err(|_| ClientError::NoNode(dir.to_owned()))
}

/// "All interfaces" is an address to listen on, not one to connect to.
fn as_client(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_file_leads_to_an_address_that_can_be_connected_to() {
        let dir = tempfile::tempdir().expect("a directory");
        let table = [
            (r#"["0.0.0.0:81"]"#, Some("127.0.0.1:81")),
            (r#"["[::]:81"]"#, Some("[::1]:81")),
            (r#"["192.0.2.1:81","127.0.0.1:82"]"#, Some("127.0.0.1:82")),
            (r#"["192.0.2.1:81"]"#, Some("192.0.2.1:81")),
            ("[]", None),
            ("half a fi", None),
        ];
        for (http, expected) in table {
            let text = format!(r#"{{"pid":1,"http":{http},"p2p":[]}}"#);
            std::fs::write(dir.path().join(RUN_FILE), text).expect("writable");
            let found = running_in(dir.path()).ok().map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{http}");
        }
    }
}

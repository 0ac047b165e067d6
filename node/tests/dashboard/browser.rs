//! Chromium without a window, with an empty profile, spoken to by WebDriver; it can reach this machine and nothing else.

use std::process::Stdio;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use testnet::skipping::{BROWSER, skip};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The driver, as Debian names it.
const DRIVER: &str = "chromedriver";

/// Names under which the browser is found.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Time for the driver to say where it listens.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// What the driver says then.
const LISTENING: &str = "started successfully on port ";

/// A name that leads to this machine, as an operator's would to a node: what is allowed on loopback alone is not there.
pub(crate) const ELSEWHERE: &str = "lattice.example";

const FLAGS: [&str; 8] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
];

/// A browser and its driver. Dropping it ends both.
pub(crate) struct Browser {
    pub(crate) client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver leads a group of its own, and the browser is in it.
        let pid = self.driver.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = pid {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Browser {
    /// A browser; `None`, with the reason printed, where there is none.
    pub(crate) async fn open() -> Option<Self> {
        let Some(binary) = BROWSERS.into_iter().find_map(found) else {
            skip(BROWSER, &"no Chromium on this machine: apt-get install chromium chromium-driver");
            return None;
        };
        let Some(driver) = found(DRIVER) else {
            skip(BROWSER, &"no chromedriver on this machine: apt-get install chromium-driver");
            return None;
        };
        let profile = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(driver);
        // What the browser leaves behind goes with the profile.
        command.env("TMPDIR", profile.path());
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.process_group(0).kill_on_drop(true).spawn().expect("the driver starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let listening = async {
            loop {
                let line = lines.next_line().await.expect("text").expect("the driver says where it listens");
                if let Some((_, port)) = line.split_once(LISTENING) {
                    return port.trim_end_matches('.').to_owned();
                }
            }
        };
        let port = tokio::time::timeout(STARTS_WITHIN, listening).await.expect("the driver listens");
        // Whatever else it prints is nobody's.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let mut flags: Vec<_> = FLAGS.iter().map(ToString::to_string).collect();
        flags.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
        flags.push(format!("--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"));
        let wanted = json!({
            "goog:chromeOptions": { "binary": binary, "args": flags },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let wanted = wanted.as_object().expect("an object").clone();
        let at = format!("http://127.0.0.1:{port}");
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(wanted).connect(&at).await.expect("a session");
        Some(Self { client, driver, _profile: profile })
    }

    /// Runs a script in the page and gives what it returns; a promise is waited for.
    pub(crate) async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        let script = format!(
            "const [give, args] = [arguments[arguments.length - 1], Array.from(arguments).slice(0, -1)];
             (async () => {{ {script} }})().then((value) => give({{ value }}), (error) => give({{ error: String(error.stack) }}));"
        );
        let mut given = self.client.execute_async(&script, arguments).await.expect("the script runs");
        assert!(given["error"].is_null(), "{}", given["error"]);
        given["value"].take()
    }

    /// A command of the browser's own protocol.
    pub(crate) async fn command(&self, name: &str, parameters: Value) {
        let command = Raw { path: "goog/cdp/execute", body: json!({ "cmd": name, "params": parameters }) };
        self.client.issue_cmd(command).await.expect("the browser does it");
    }

    /// How wide and high the page is, and whether it is dark.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", size).await;
    }

    pub(crate) async fn scheme(&self, scheme: &str) {
        // Without motion: colours that are on their way are no one's.
        let still = json!({ "name": "prefers-reduced-motion", "value": "reduce" });
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }, still] });
        self.command("Emulation.setEmulatedMedia", features).await;
    }

    /// Nothing was said on the console but what `allowed` names, and nothing was asked of anybody but `hosts`.
    pub(crate) async fn expect_quiet(&self, hosts: &[&str], allowed: &[&str]) {
        let said = self.log("browser").await;
        let bad: Vec<_> = said.iter().filter(|line| !allowed.iter().any(|part| line.contains(part))).collect();
        assert!(bad.is_empty(), "the console has: {bad:#?}");
        let mut asked = 0;
        for line in self.log("performance").await {
            let event: Value = serde_json::from_str(&line).expect("JSON");
            if event["message"]["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let url = event["message"]["params"]["request"]["url"].as_str().expect("a URL").to_owned();
            let is_ours = hosts.iter().any(|host| url.starts_with(&format!("{host}/")) || url == *host);
            // The browser's own first tab among them.
            let is_local = ["data:", "blob:", "about:", "chrome:"].iter().any(|scheme| url.starts_with(scheme));
            assert!(is_ours || is_local, "{url} was asked for");
            asked += u32::from(is_ours);
        }
        assert!(asked > 0, "what was asked is told");
    }

    /// What was logged of this kind since it was asked last.
    pub(crate) async fn log(&self, kind: &'static str) -> Vec<String> {
        let lines = self.client.issue_cmd(Raw { path: "se/log", body: json!({ "type": kind }) }).await.expect("a log");
        let lines = lines.as_array().expect("lines").iter();
        lines.map(|line| line["message"].as_str().expect("text").to_owned()).collect()
    }

    /// Ends it in order.
    pub(crate) async fn close(self) {
        self.client.clone().close().await.expect("closed");
    }
}

/// Where a program is found, if it is.
fn found(name: &str) -> Option<std::path::PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A command that WebDriver does not know and this driver does.
#[derive(Debug)]
struct Raw {
    path: &'static str,
    body: Value,
}

impl fantoccini::wd::WebDriverCompatibleCommand for Raw {
    fn endpoint(&self, base: &reqwest::Url, session: Option<&str>) -> Result<reqwest::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &reqwest::Url) -> (axum::http::Method, Option<String>) {
        (axum::http::Method::POST, Some(self.body.to_string()))
    }
}

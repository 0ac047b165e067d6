//! Runs the programs that make a network, and says what is missing where they can't.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

/// Why there is no network to cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no network namespaces here: `{command}` says {detail}")]
pub struct NoNetwork {
    /// What was tried.
    command: String,
    /// What it said.
    detail: String,
}

/// The package in which Debian and its relatives have a program that is used here.
const PACKAGES: [(&str, &str); 4] =
    [("ip", "iproute2"), ("bridge", "iproute2"), ("nft", "nftables"), ("unshare", "util-linux")];

/// Runs a command line without quotes.
pub(super) fn run(command: &str) -> Result<(), NoNetwork> {
    run_with_input(command, "")
}

/// Runs a command line without quotes, which reads `input`.
pub(super) fn run_with_input(command: &str, input: &str) -> Result<(), NoNetwork> {
    let failed = |detail: String| NoNetwork { command: command.to_owned(), detail };
    let output = output(command, input).map_err(|error| failed(explained(command, &error.to_string())))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(explained(command, String::from_utf8_lossy(&output.stderr).trim())))
}

fn output(command: &str, input: &str) -> io::Result<Output> {
    let mut words = command.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ended early reads nothing; what it said tells why.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

/// What was said, and if a program is missing, where it comes from.
fn explained(command: &str, said: &str) -> String {
    let missing = said.contains("No such file or directory");
    // A program that runs another one puts its name in quotes.
    let quoted = PACKAGES.iter().find(|(program, _)| said.contains(&format!("\"{program}\"")));
    let first = PACKAGES.iter().find(|(program, _)| command.split_whitespace().next() == Some(program));
    let package = quoted.or(first).filter(|_| missing);
    match package {
        Some((program, package)) => format!("{said} ({program} is in the package {package})"),
        None => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let missing = "No such file or directory (os error 2)";
        assert_eq!(explained("bridge link", missing), format!("{missing} (bridge is in the package iproute2)"));
        let within = r#"exec of "nft" failed: No such file or directory"#;
        assert_eq!(explained("ip netns exec n nft -f -", within), format!("{within} (nft is in the package nftables)"));
        assert_eq!(explained("ip link", "Operation not permitted"), "Operation not permitted");
    }

    #[test]
    fn what_a_command_says_is_the_reason() {
        let error = run_with_input("cat /there/is/no/such/file", "").expect_err("it fails").to_string();
        assert!(error.starts_with("no network namespaces here: `cat /there/is/no/such/file` says"), "{error}");
        run_with_input("grep -q given", "what was given").expect("it reads its input");
    }
}

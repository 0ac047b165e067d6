//! The command line `lattice`: what is typed, handed to a running node over HTTP or to the daemon itself.
//!
//! Each command is a file of its own with its arguments and a function that does it. What they print goes to
//! standard output, what they say about themselves to standard error.
//!
//! # Reading order
//!
//! 1. [`exit`]: how a command ends. [`target`]: which node it means. [`client`]: how it talks to that node.
//! 2. One file per command. `import`, `verify` and `audit` have parts.
//! 3. [`text`]: how facts are laid out for people. `whole`: files that appear once they are whole.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod exit;

pub mod target;

pub mod client;

pub mod text;

pub mod sse;

mod audit;
mod backup;

mod completions;
mod conditions;
mod delete;
mod doctor;
mod export;
mod get;
mod import;
mod init;
mod invite;
mod join;
mod keygen;
mod list;
mod man;
mod peers;
mod policy;
mod proof;
mod put;
mod quarantine;
mod reload;
mod restore;
mod run;
mod seat;
mod status;
mod verify;
mod watch;
mod whole;

use exit::Failure;

/// One key/value state on many nodes, without a leader.
#[derive(Debug, Parser)]
#[command(name = "lattice", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 yes, 1 no, 2 wrong usage, 3 could not tell (the node does not answer).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Founds a lattice and its first node.
    Init(init::Args),
    /// Makes a key for somebody who founds a lattice together with others.
    Keygen(keygen::Args),
    /// Prints a ticket with which one more node can join; asks the running node.
    Invite(invite::Args),
    /// Makes a node that joins the lattice of a ticket.
    Join(join::Args),
    /// Runs a node until Ctrl-C.
    Run(run::Args),
    /// Shows what a node says of itself.
    Status(status::Args),
    /// Lists the peers of a node.
    Peers(peers::Args),
    /// Sets an entry.
    Put(put::Args),
    /// Prints the value of an entry.
    Get(get::Args),
    /// Deletes an entry.
    Delete(delete::Args),
    /// Lists entries in key order.
    List(list::Args),
    /// Prints changes as they happen.
    Watch(watch::Args),
    /// Writes the entries of a file; safe to stop and to repeat.
    Import(import::Args),
    /// Prints entries as lines that `import` reads.
    Export(export::Args),
    /// Fetches a proof of an entry, an absence, a commit or a log record.
    Proof(proof::Args),
    /// Judges a proof offline, by a policy and nothing else.
    Verify(verify::Args),
    /// Shows whose logs and cosignatures count in a lattice.
    Policy(policy::Args),
    /// Follows nodes from outside, or looks through a stopped node's files, and believes neither.
    Audit(audit::Args),
    /// Looks at a node from all sides: what is wrong, and what to do.
    Doctor(doctor::Args),
    /// Has a running node read its settings again.
    Reload(reload::ReloadArgs),
    /// Says or changes what a running node logs.
    Log(reload::LogArgs),
    /// Copies a node's directory while it runs, and checks the copy.
    Backup(backup::Args),
    /// Puts a backup back, without signing anything twice.
    Restore(restore::Args),
    /// The seat: who holds it, and orders to the node of a directory.
    Seat(seat::Args),
    /// What cuts took away here: to be shown, written again, or dropped.
    Quarantine(quarantine::Args),
    /// Prints what a shell needs to complete this program's words.
    Completions(completions::Args),
    /// Writes a manual page for each command.
    Man(man::Args),
    /// Lattices of several processes on this machine.
    #[command(subcommand)]
    Testnet(testnet::cli::Args),
}

/// Does what `cli` says, to its exit code. What went wrong is said on standard error.
pub async fn run(cli: Cli) -> ExitCode {
    match do_command(cli.command).await {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}

async fn do_command(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Init(args) => init::run(args)?,
        Command::Keygen(args) => keygen::run(&args)?,
        Command::Invite(args) => invite::run(args).await?,
        Command::Join(args) => join::run(args).await?,
        Command::Run(args) => run::run(args).await?,
        Command::Status(args) => status::run(args).await?,
        Command::Peers(args) => peers::run(args).await?,
        Command::Put(args) => put::run(args).await?,
        Command::Get(args) => get::run(args).await?,
        Command::Delete(args) => delete::run(args).await?,
        Command::List(args) => list::run(args).await?,
        Command::Watch(args) => watch::run(args).await?,
        Command::Import(args) => import::run(args).await?,
        Command::Export(args) => export::run(args).await?,
        Command::Proof(args) => proof::run(args).await?,
        Command::Verify(args) => return verify::run(&args),
        Command::Policy(args) => policy::run(args).await?,
        Command::Audit(args) => return audit::run(args).await,
        Command::Doctor(args) => return doctor::run(args).await,
        Command::Reload(args) => reload::run(args).await?,
        Command::Log(args) => reload::run_log(args).await?,
        Command::Backup(args) => backup::run(args).await?,
        Command::Restore(args) => restore::run(args).await?,
        Command::Seat(args) => return seat::run(args).await,
        Command::Quarantine(args) => return quarantine::run(args).await,
        Command::Completions(args) => completions::run(&args)?,
        Command::Man(args) => man::run(&args)?,
        Command::Testnet(args) => {
            return testnet::cli::run(args).await.map_err(|error| Failure::No(format!("{error:#}")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;

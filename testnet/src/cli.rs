//! The arguments of `lattice testnet`, and which part of this crate each one runs.

use std::process::ExitCode;

use crate::compose;
use crate::guard::{self, GuardArgs};
use crate::scenario::{self, Scenario};
use crate::simulation::command;
use crate::up;

/// Lattices of real processes on this machine.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Args {
    /// Starts a lattice of several nodes and shows it until Ctrl-C.
    Up(up::Options),
    /// Runs a scenario unattended and says whether it came out right.
    #[command(subcommand)]
    Run(Scenario),
    /// Runs many nodes in this process with virtual time and faults drawn from a seed; the same seed is the same run.
    Simulate(command::Options),
    /// Prints a compose file for a lattice in containers.
    Compose(compose::Options),
    /// Runs a node that ends when its starter does; used by the testnet itself.
    #[command(hide = true)]
    Guard(GuardArgs),
}

/// Runs `lattice testnet …` to its exit code: 0 yes, 1 no, 2 wrong arguments, 3 could not tell.
///
/// # Errors
/// What none of the exit codes stands for, such as a full disk.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args {
        Args::Up(options) => up::run(&options).await,
        Args::Run(scenario) => scenario::run(&scenario).await,
        // It waits for nothing and has all cores busy, so nothing else wants this thread.
        Args::Simulate(options) => Ok(command::simulate(&options)),
        Args::Compose(options) => {
            compose::run(&options)?;
            Ok(ExitCode::SUCCESS)
        }
        Args::Guard(args) => match guard::run(&args)? {},
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        testnet: super::Args,
    }

    #[test]
    fn the_arguments_are_consistent_and_read() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        for line in [
            "x up --nodes 3 --dir D",
            "x run convergence --data F --nodes 5 --json --timeout 9 --keep",
            "x run failover --rounds 20 --planned 5 --wan --timeout 9",
            "x run chaos --minutes 5 --seed 7 --json",
            "x run chaos --seconds 30",
            "x simulate --seed 7 --trace --without answer-after-durable",
            "x simulate --seeds 1..201",
            "x simulate --seeds 1..3 --trace",
            "x simulate --trace",
            "x compose --nodes 9",
            "x guard --parent 7 -- run --dir D",
        ] {
            Cli::try_parse_from(line.split(' ')).expect(line);
        }
        Cli::try_parse_from(["x", "run", "convergence", "--nodes", "1"]).expect_err("nobody to converge with");
        Cli::try_parse_from(["x", "run", "chaos", "--minutes", "1", "--seconds", "1"]).expect_err("one length only");
        Cli::try_parse_from(["x", "simulate", "--seeds", "5..5"]).expect_err("no seed at all");
    }
}

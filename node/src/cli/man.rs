//! `lattice man`: a manual page for each command.

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::Cli;
use super::exit::{Failure, usage};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to: lattice.1, lattice-run.1 and so on; it is made if it is not there
    dir: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    write(&args.dir).map_err(|error| usage(format!("{}: {error}", args.dir.display())))
}

fn write(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_that_is_shown_has_a_page() {
        let dir = tempfile::tempdir().expect("a directory");
        write(&dir.path().join("man1")).expect("written");
        let page = |name: &str| std::fs::read_to_string(dir.path().join("man1").join(format!("{name}.1"))).expect(name);
        assert!(page("lattice").contains("Exit codes"), "the program's page says how it ends");
        for command in Cli::command().get_subcommands() {
            let page = page(&format!("lattice-{}", command.get_name()));
            assert!(page.contains(".SH NAME"), "{page}");
        }
        assert!(page("lattice-run").contains("heartbeat"));
    }
}

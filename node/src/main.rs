//! The program `lattice`: reads the command line and runs what it says.

use std::process::ExitCode;

use clap::Parser;
use node::cli::{self, Cli};

/// A batch of entries is hundreds of thousands of small pieces of memory, made on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("lattice: can't start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(cli));
    // A thread that waits for standard input would keep the runtime from ending.
    runtime.shutdown_background();
    code
}

//! The program: reads the command line and runs the command.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use towline::{cli::Cli, commands};

/// Gives memory back to the system after a burst of sessions; see docs/performance.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    commands::execute(Cli::parse().command)
}

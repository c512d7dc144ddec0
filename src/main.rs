//! The program: reads the command line and runs the command.

use std::process::ExitCode;

use clap::Parser;
use towline::{cli::Cli, commands};

fn main() -> ExitCode {
    commands::execute(Cli::parse().command)
}

//! The commands of the program: `run`, `check`, `demo`, `echo`, `health`, `eval` and `fmt`.

mod check;
mod demo;
mod echo;
mod eval;
mod failure;
mod fmt;
mod health;
mod run;
mod signals;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use self::failure::Failure;
use crate::{
    cli::{Command, EXIT_OK},
    log,
    settings::{self, Log, Settings},
};

/// Runs a command to its end.
pub fn execute(command: Command) -> ExitCode {
    let result = match command {
        Command::Run(config) => run::run(config.config.as_deref()),
        Command::Check(config) => check::check(config.config.as_deref()),
        Command::Demo(config) => demo::demo(config.config),
        Command::Echo(options) => echo::echo(options.bind),
        Command::Health(options) => health::health(&options.url),
        Command::Eval(options) => eval::eval(&options),
        Command::Fmt(options) => fmt::fmt(&options),
    };
    match result {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(failure) => {
            report(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Writes why the command failed to standard error.
fn report(failure: &Failure) {
    // A standard error that cannot be written to leaves the exit code as the only report.
    let _ = match failure {
        Failure::Reported => Ok(()),
        Failure::Program(text) => writeln!(io::stderr(), "{text}"),
        failure => writeln!(io::stderr(), "towline: {failure}"),
    };
}

fn load(config: Option<&Path>) -> Result<Settings, Failure> {
    let settings = Settings::load(config, settings::environment())?;
    start_log(&settings.log)?;
    Ok(settings)
}

fn start_log(settings: &Log) -> Result<(), Failure> {
    log::init(settings).map_err(|error| Failure::Io(io::Error::other(error)))
}

fn block_on(program: impl Future<Output = io::Result<()>>) -> Result<(), Failure> {
    Ok(actix::System::new().block_on(program)?)
}

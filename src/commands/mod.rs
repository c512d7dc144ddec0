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
    let code = match result {
        Ok(()) => EXIT_OK,
        Err(failure) => {
            report(&failure);
            failure.exit_code()
        }
    };
    log::flush();
    ExitCode::from(code)
}

/// Prints why the command failed.
fn report(failure: &Failure) {
    // A standard error that cannot be used leaves the exit code as the only report.
    let _ = match failure {
        Failure::Reported => Ok(()),
        // Diagnostics may be long: a tool waits for the reader of its output.
        Failure::Program(text) => writeln!(io::stderr(), "{text}"),
        failure => log::print(&format!("towline: {failure}\n")),
    };
}

fn load(config: Option<&Path>) -> Result<Settings, Failure> {
    let settings = Settings::load(config, settings::environment())?;
    start_log(&settings.log)?;
    Ok(settings)
}

fn start_log(settings: &Log) -> Result<(), Failure> {
    Ok(log::init(settings)?)
}

fn block_on(program: impl Future<Output = io::Result<()>>) -> Result<(), Failure> {
    Ok(actix::System::new().block_on(program)?)
}

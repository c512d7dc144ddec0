//! The commands of the program, one module for each.

mod check;
mod configuration;
mod demo;
mod drain;
mod echo;
mod error;
mod eval;
mod events;
mod fmt;
mod follow;
mod generate;
mod health;
mod init;
mod reload;
mod reloads;
mod replay;
mod run;
mod sessions;
mod signals;
mod source;
mod table;
mod tap;
mod upstreams;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use self::error::CommandError;
use crate::{
    access,
    cli::{Command, EXIT_OK},
    log,
};

/// Runs a command until it ends.
pub fn execute(command: Command) -> ExitCode {
    let result = match command {
        Command::Run(source) => run::run(&source),
        Command::Check(options) => check::check(&options),
        Command::Init(options) => init::init(&options.file),
        Command::Demo(options) => demo::demo(options.config.as_deref()),
        Command::Echo(options) => echo::echo(options.bind),
        Command::Health(options) => health::health(&options),
        Command::Tap(options) => tap::tap(&options),
        Command::Replay(options) => replay::replay(&options),
        Command::Sessions(options) => sessions::sessions(&options),
        Command::Events(options) => events::events(&options),
        Command::Upstreams(options) => upstreams::upstreams(&options),
        Command::Drain(options) => drain::drain(&options),
        Command::Reload(options) => reload::reload(&options),
        Command::Reloads(options) => reloads::reloads(&options),
        Command::Configuration(options) => configuration::configuration(&options),
        Command::Eval(options) => eval::eval(&options),
        Command::Fmt(options) => fmt::fmt(&options),
        Command::Completions(options) => generate::completions(options.shell),
        Command::Man(options) => generate::man(&options.folder),
    };
    let code = match result {
        Ok(()) => EXIT_OK,
        Err(error) => {
            report(&error);
            error.exit_code()
        }
    };
    access::flush();
    log::flush();
    ExitCode::from(code)
}

/// Prints the failure of a command.
fn report(error: &CommandError) {
    // If standard error cannot be used, the exit code is the only report.
    let _ = match error {
        CommandError::Reported => Ok(()),
        // Diagnostics may be long: a command-line tool waits for the reader of its output.
        CommandError::Program(text) => writeln!(io::stderr(), "{text}"),
        error => log::report(&error.to_string()),
    };
}

/// Prints text to standard output. A closed output, as by `head`, is not an error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn start_log(config: &log::Config) -> Result<(), CommandError> {
    Ok(log::init(config)?)
}

fn block_on(program: impl Future<Output = io::Result<()>>) -> Result<(), CommandError> {
    Ok(actix::System::new().block_on(program)?)
}

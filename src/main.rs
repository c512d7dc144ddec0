//! The program: arguments, logger, settings, run.

use std::{
    fmt,
    fs::{self, File},
    io,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use towline::{
    cli::{Cli, Command, EXIT_CONFIG, EXIT_FAILURE, EXIT_OK, Eval, Fmt},
    echo, log,
    settings::{self, DEMO_FILE, Layers, Log, LogFormat, Settings, SettingsError},
    tools::{
        eval::{Evaluation, Subject},
        fmt::{Formatted, formatted},
    },
};

/// How long `towline health` waits: shorter than the usual timeout of a container's health check.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the program ends badly.
enum Failure {
    Settings(SettingsError),
    Io(io::Error),
    Unwell(String),
    /// Something is wrong with what the program was given; this is all that is left to be told.
    Told(String),
    Interrupted,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(config) => run(config.config.as_deref()),
        Command::Check(config) => check(config.config.as_deref()),
        Command::Demo(config) => demo(config.config),
        Command::Echo(options) => echo(options.bind),
        Command::Health(options) => health(&options.url),
        Command::Eval(options) => eval(&options),
        Command::Fmt(options) => format(&options),
    };
    match result {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(failure) => {
            // Nothing is left to be done about a standard error that cannot be written to.
            let _ = match &failure {
                Failure::Told(words) if words.is_empty() => Ok(()),
                Failure::Told(words) => writeln!(io::stderr(), "{words}"),
                _ => writeln!(io::stderr(), "towline: {failure}"),
            };
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(config: Option<&Path>) -> Result<(), Failure> {
    let settings = load(config)?;
    block_on(async { towline::run(settings, shutdown()?).await })
}

fn check(config: Option<&Path>) -> Result<(), Failure> {
    let layers = Layers::read(config, settings::environment())?;
    layers.check()?;
    write!(io::stdout(), "{}", layers.report())?;
    Ok(())
}

fn demo(config: Option<PathBuf>) -> Result<(), Failure> {
    let settings = load(Some(&config.unwrap_or_else(|| DEMO_FILE.into())))?;
    block_on(async {
        let bind = settings.upstreams.first().and_then(|(_, upstream)| upstream.url.address());
        let bind =
            bind.ok_or_else(|| io::Error::other("the demo's upstream is an address of this machine"))?;
        let (_, upstream) = echo::serve(bind)?;
        actix_rt::spawn(upstream);
        if let Some(listener) = settings.listeners.first() {
            let url = format!("ws://{}", listener.bind);
            writeln!(io::stdout(), "Towline takes clients on {url}, an echo server stands behind it.")?;
            writeln!(io::stdout(), "In another terminal:  echo hello | websocat -n1 {url}")?;
            writeln!(io::stdout(), "                      echo snot | websocat -n1 {url}")?;
        }
        towline::run(settings, shutdown()?).await
    })
}

fn echo(bind: std::net::SocketAddr) -> Result<(), Failure> {
    start_log(&Log { level: "info".to_owned(), format: LogFormat::Text })?;
    block_on(async { echo::run(bind, shutdown()?).await })
}

fn health(url: &str) -> Result<(), Failure> {
    let asked = async {
        let request = awc::Client::default().get(url).timeout(HEALTH_TIMEOUT);
        request.send().await.map(|response| response.status()).map_err(|error| error.to_string())
    };
    match actix::System::new().block_on(asked) {
        Ok(status) if status.is_success() => Ok(()),
        Ok(status) => Err(Failure::Unwell(format!("{url} answers {status}"))),
        Err(error) => Err(Failure::Unwell(format!("{url}: {error}"))),
    }
}

fn eval(options: &Eval) -> Result<(), Failure> {
    let name = options.program.display().to_string();
    let text = read(&options.program)?;
    for folder in &options.module_path {
        fs::read_dir(folder).map_err(|error| named(folder, &error))?;
    }
    let modules = settings::Folders::new(options.module_path.clone(), &settings::Machine);
    let subject = Subject::compile_with(&name, &text, &modules);
    let subject = subject.map_err(|errors| Failure::Told(errors.to_string()))?;
    let mut output = io::BufWriter::new(io::stdout().lock());
    let mut errors = io::stderr().lock();
    let mut evaluation = Evaluation::new(subject, options.meta);
    let ended = match &options.input {
        Some(file) => evaluation.run(open(file)?, &mut output, &mut errors),
        None => evaluation.run(io::stdin().lock(), &mut output, &mut errors),
    };
    match ended {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Told(String::new())),
        // Whoever read the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn format(options: &Fmt) -> Result<(), Failure> {
    let mut well = true;
    for file in &options.files {
        well &= format_file(file, options.check)?;
    }
    if well { Ok(()) } else { Err(Failure::Told(String::new())) }
}

/// Formats one file in place, or says that it would change. Gives whether all is well.
fn format_file(file: &Path, check: bool) -> Result<bool, Failure> {
    let is_stdin = file == Path::new("-");
    let text = if is_stdin { io::read_to_string(io::stdin())? } else { read(file)? };
    let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let changed = match formatted(&name, &text) {
        Ok(Formatted::Same) => None,
        Ok(Formatted::Changed(new)) => Some(new),
        Err(errors) => {
            writeln!(io::stderr(), "{errors}")?;
            return Ok(false);
        }
    };
    match changed {
        Some(_) if check => {
            writeln!(io::stdout(), "{name}")?;
            return Ok(false);
        }
        Some(new) if !is_stdin => fs::write(file, new).map_err(|error| named(file, &error))?,
        new if is_stdin && !check => io::stdout().write_all(new.as_deref().unwrap_or(&text).as_bytes())?,
        _ => {}
    }
    Ok(true)
}

fn read(file: &Path) -> io::Result<String> {
    fs::read_to_string(file).map_err(|error| named(file, &error))
}

fn open(file: &Path) -> io::Result<File> {
    File::open(file).map_err(|error| named(file, &error))
}

fn named(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

fn load(config: Option<&Path>) -> Result<Settings, Failure> {
    let settings = Settings::load(config, settings::environment())?;
    start_log(&settings.log)?;
    Ok(settings)
}

fn start_log(log: &Log) -> Result<(), Failure> {
    log::init(log).map_err(|error| Failure::Io(io::Error::other(error)))
}

fn block_on(program: impl Future<Output = io::Result<()>>) -> Result<(), Failure> {
    Ok(actix::System::new().block_on(program)?)
}

/// Ready at the first SIGTERM or SIGINT; the second ends the process at once.
fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        either(&mut terminate, &mut interrupt).await;
        actix_rt::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            let _ = writeln!(io::stderr(), "towline: {}", Failure::Interrupted);
            std::process::exit(EXIT_FAILURE.into());
        });
    })
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => EXIT_CONFIG,
            Self::Io(_) | Self::Unwell(_) | Self::Told(_) | Self::Interrupted => EXIT_FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Unwell(words) | Self::Told(words) => f.write_str(words),
            Self::Interrupted => f.write_str("second signal: ended at once"),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

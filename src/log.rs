//! The log: one line per entry, on standard error.
//!
//! In text form, for people and `grep`, the target is the module's path without the crate's name:
//! ```text
//! 2026-11-25T03:20:18.123Z INFO  session: opened session=1:0 listener=ws peer=127.0.0.1:51402
//! ```
//! In JSON form, for log collectors:
//! ```text
//! {"time":"2026-11-25T03:20:18.123Z","level":"INFO","target":"session","message":"opened session=1:0"}
//! ```
//! Messages are a few words followed by `key=value` pairs; [`Quoted`] writes values that may contain spaces.
//! Control characters in a message are escaped, so that a peer cannot forge lines.
//!
//! Logging never blocks (guarantee C3): the `writer` module has a bounded queue and a writer thread.
//! Everything that the process prints to standard error while it serves goes through the queue, including
//! panics. Lines that do not fit in the queue are dropped and counted.

mod config;
mod filter;
mod limit;
mod lost;
mod queue;
mod report;
mod writer;

pub use config::{Config, Format};

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt::{self, Write as _},
    io::{self, Write},
    panic::PanicHookInfo,
    sync::{OnceLock, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use env_logger::{Builder, Target};
use log::{Level, LevelFilter};

use crate::printable::{self, Printable, is_active};

pub use self::{
    filter::{Filter, FilterError},
    limit::Suppressed,
    lost::{LostLines, lost_lines},
    report::{REPORT_FORMAT, format, report},
};
pub(crate) use self::{
    limit::{LimitedLine, LineLimit, PlaceLimit},
    lost::count_suppressed,
    writer::Writer,
};

/// The crate's name, the first segment of its modules' paths.
const OWN: &str = "towline";

/// A value in a `key=value` pair: quoted and escaped unless it is a single word.
///
/// ```
/// # use towline::log::Quoted;
/// assert_eq!(Quoted("ws://h/").to_string(), "ws://h/");
/// assert_eq!(Quoted("say \"hi\"\n").to_string(), r#""say \"hi\"\n""#);
/// assert_eq!(Quoted("").to_string(), r#""""#);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

/// How long the process waits at its end for the log's reader. A live reader reads the whole queue in a
/// fraction of this time; a blocked one must not delay the end.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The writer to standard error. It is created when the first text is printed.
static STDERR: OnceLock<Writer> = OnceLock::new();

/// The filter of log lines; `None` before [`init`].
static FILTER: RwLock<Option<env_filter::Filter>> = RwLock::new(None);

/// The format of log lines, set by [`init`]. Before that, lines have the text format.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// Starts the log and redirects panics to it. `RUST_LOG` takes precedence over `log.level`.
///
/// # Errors
/// When the process has a logger already, or standard error cannot be used.
pub fn init(log: &Config) -> io::Result<()> {
    let mut builder = Builder::new();
    let environment = std::env::var("RUST_LOG").ok();
    let chosen = set_filter(environment.as_deref(), &log.level);
    // The filter may change.
    builder.filter_level(LevelFilter::Trace);
    let format = *FORMAT.get_or_init(|| log.format);
    builder.format(move |out, record| {
        let line = LogLine {
            time: SystemTime::now(),
            level: record.level(),
            target: target(record.target()),
            message: &record.args().to_string(),
        };
        line.write(format, out)
    });
    builder.target(Target::Pipe(Box::new(Stderr(stderr()?))));
    log::set_boxed_logger(Box::new(Filtered(builder.build()))).map_err(io::Error::other)?;
    std::panic::set_hook(Box::new(log_panic));
    if chosen.is_err() {
        let value = environment.unwrap_or_default();
        log::warn!("RUST_LOG is not a filter, log.level applies value={}", Quoted(&value));
    }
    Ok(())
}

/// Applies another `log.level`, unless `RUST_LOG` takes precedence.
pub fn set_level(level: &str) {
    // The start has warned of a variable that is not a filter.
    let _ = set_filter(std::env::var("RUST_LOG").ok().as_deref(), level);
}

/// Applies the filter of the environment or of the settings.
fn set_filter(environment: Option<&str>, settings: &str) -> Result<(), FilterError> {
    let mut builder = env_filter::Builder::new();
    let chosen = choose(&mut builder, environment, settings);
    let filter = builder.build();
    log::set_max_level(filter.filter());
    *FILTER.write().unwrap_or_else(PoisonError::into_inner) = Some(filter);
    chosen
}

/// A logger whose filter may change.
struct Filtered(env_logger::Logger);

impl log::Log for Filtered {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        let filter = FILTER.read().unwrap_or_else(PoisonError::into_inner);
        filter.as_ref().is_some_and(|filter| filter.enabled(metadata))
    }

    fn log(&self, record: &log::Record<'_>) {
        let filter = FILTER.read().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = filter.as_ref().is_some_and(|filter| filter.matches(record));
        drop(filter);
        if is_wanted {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Queues whole lines for standard error, after everything logged so far. Does not wait for the reader.
///
/// # Errors
/// When standard error cannot be used at all.
pub fn print(text: &str) -> io::Result<()> {
    stderr()?.print(text.as_bytes());
    Ok(())
}

/// Waits up to one second until everything printed and logged so far is written. The process calls this last.
pub fn flush() {
    if let Some(stderr) = STDERR.get() {
        stderr.flush(FLUSH_LIMIT);
    }
}

fn stderr() -> io::Result<&'static Writer> {
    if let Some(stderr) = STDERR.get() {
        return Ok(stderr);
    }
    let stderr = Writer::stderr(write_dropped)?;
    Ok(STDERR.get_or_init(|| stderr))
}

/// Appends the line that reports that `count` lines were dropped at this point.
fn write_dropped(count: u64, out: &mut Vec<u8>) {
    let line = LogLine {
        time: SystemTime::now(),
        level: Level::Warn,
        target: target(module_path!()),
        message: &format!("log lines dropped count={count}"),
    };
    // Writing to memory does not fail.
    let _ = line.write(format(), out);
}

/// Logs a panic. The standard hook would block on standard error when nothing reads from it.
fn log_panic(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let message = info.payload_as_str().unwrap_or("a value that is not text");
    log::error!(
        "panic location={} thread={} message={}",
        Quoted(&location),
        Quoted(thread.name().unwrap_or_default()),
        Quoted(message)
    );
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        log::error!("panic backtrace={}", Quoted(&backtrace.to_string()));
    }
}

/// The sink of the logger. It passes each formatted line to the [`Writer`].
struct Stderr(&'static Writer);

impl Write for Stderr {
    /// Queues one line. The logger calls this once for each line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.print(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sets the filter from the environment, or from the settings when `RUST_LOG` is unset or empty.
///
/// `RUST_LOG` may use more of env_logger's syntax than [`Filter`] does; env_logger then parses it. A text
/// that env_logger cannot parse is an error, and the settings apply, because env_logger would print its error
/// straight to standard error.
fn choose(
    builder: &mut env_filter::Builder,
    environment: Option<&str>,
    settings: &str,
) -> Result<(), FilterError> {
    let environment = environment.filter(|text| !text.is_empty());
    let (filter, outcome) = match environment.map(|text| (text, Filter::parse_any(text))) {
        Some((_, Ok(filter))) => (filter, Ok(())),
        Some((text, Err(_))) if is_env_filter(text) => {
            builder.parse(text);
            return Ok(());
        }
        Some((_, Err(error))) => (Filter::parse(settings).unwrap_or_default(), Err(error)),
        None => (Filter::parse(settings).unwrap_or_default(), Ok(())),
    };
    for (target, level) in filter.directives() {
        builder.filter(target, level);
    }
    outcome
}

/// Whether env_logger can parse the text.
fn is_env_filter(text: &str) -> bool {
    env_filter::Builder::new().try_parse(text).is_ok()
}

/// A warning about the text of `RUST_LOG`; `None` when the whole text is valid.
pub fn environment_warning(variable: &str) -> Option<String> {
    match Filter::parse(variable) {
        Ok(_) => None,
        Err(FilterError::Syntax) if is_env_filter(variable) => None,
        Err(FilterError::Syntax) => Some(format!(
            "RUST_LOG = {variable:?} is not a filter and has no effect: log.level applies. A filter {}",
            FilterError::Syntax
        )),
        Err(FilterError::Unknown { name, hint }) => {
            Some(format!("RUST_LOG = {variable:?}: no module or crate is called {name:?}; {hint}"))
        }
    }
}

/// The module's path without the crate's name; the full path for other crates.
fn target(module: &str) -> &str {
    module.strip_prefix(OWN).and_then(|rest| rest.strip_prefix("::")).unwrap_or(module)
}

struct LogLine<'a> {
    time: SystemTime,
    level: Level,
    target: &'a str,
    message: &'a str,
}

// === impl LogLine ===

impl LogLine<'_> {
    fn write(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        let time = humantime::format_rfc3339_millis(self.time);
        match format {
            Format::Text => {
                writeln!(out, "{time} {:<5} {}: {}", self.level, self.target, Printable(self.message))
            }
            Format::Json => {
                let text = |text: &str| printable::json(&serde_json::Value::from(text).to_string());
                let [target, message] = [self.target, self.message].map(text);
                let level = self.level;
                writeln!(
                    out,
                    r#"{{"time":"{time}","level":"{level}","target":{target},"message":{message}}}"#
                )
            }
        }
    }
}

// === impl Quoted ===

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let apart =
            |letter: char| letter.is_whitespace() || is_active(letter) || matches!(letter, '"' | '\\' | '=');
        if !self.0.is_empty() && !self.0.contains(apart) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                letter if is_active(letter) => write!(f, "{}", letter.escape_default())?,
                letter => f.write_char(letter)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(format: Format, message: &str) -> String {
        let time = humantime::parse_rfc3339("2026-11-25T03:20:18.123Z").unwrap();
        let line = LogLine { time, level: Level::Info, target: target("towline::session"), message };
        let mut out = Vec::new();
        line.write(format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_has_time_level_target_and_message() {
        assert_eq!(
            written(Format::Text, "opened peer=127.0.0.1"),
            "2026-11-25T03:20:18.123Z INFO  session: opened peer=127.0.0.1\n"
        );
        assert_eq!(
            written(Format::Json, "say \"hi\"\n"),
            concat!(
                r#"{"time":"2026-11-25T03:20:18.123Z","level":"INFO","#,
                r#""target":"session","message":"say \"hi\"\n"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn modules_of_other_crates_keep_their_crate() {
        assert_eq!(target("towline::wire::link"), "wire::link");
        assert_eq!(target("towline"), "towline");
        assert_eq!(target("towlines::x"), "towlines::x");
        assert_eq!(target("actix_server::worker"), "actix_server::worker");
    }

    #[test]
    fn the_environment_takes_precedence() {
        let writes = |environment, settings, target: &str, level| {
            let mut builder = env_filter::Builder::new();
            choose(&mut builder, environment, settings).unwrap();
            let logger = builder.build();
            logger.matches(&log::Record::builder().target(target).level(level).build())
        };
        let (ours, other) = ("towline::session", "actix_server");
        assert!(writes(None, "debug", ours, Level::Debug));
        assert!(!writes(None, "debug", other, Level::Debug));
        assert!(writes(None, "debug", other, Level::Warn));
        assert!(!writes(None, "info", ours, Level::Debug));
        assert!(writes(Some("debug"), "off", ours, Level::Debug));
        assert!(!writes(Some("off"), "debug", ours, Level::Error));
        assert!(writes(Some(""), "debug", ours, Level::Debug), "set to nothing is not set");
        assert!(writes(Some("actix_server"), "info", other, Level::Trace), "RUST_LOG's own language");
        assert!(!writes(Some("actix_server"), "info", ours, Level::Error));
        assert!(
            writes(Some("warn,session=debug"), "info", ours, Level::Debug),
            "names as the log shows them"
        );
        assert!(writes(Some("session"), "info", ours, Level::Trace));
        assert!(writes(Some("warn,mine=debug,session=debug"), "info", ours, Level::Debug));
        assert!(writes(Some("warn,mine=debug"), "info", "mine::own", Level::Debug));
    }

    #[test]
    fn with_an_invalid_environment_the_settings_apply() {
        let mut builder = env_filter::Builder::new();
        assert_eq!(choose(&mut builder, Some("a=loud"), "debug"), Err(FilterError::Syntax));
        let logger = builder.build();
        assert!(
            logger.matches(&log::Record::builder().target("towline::session").level(Level::Debug).build())
        );
    }

    #[test]
    fn a_wrong_rust_log_is_a_warning() {
        for good in ["debug", "session=debug", "towline::net,actix_http=trace", "info/regular expression"] {
            assert_eq!(environment_warning(good), None, "{good}");
        }
        for (wrong, words) in [
            ("a=loud", "RUST_LOG = \"a=loud\" is not a filter and has no effect: log.level applies"),
            ("loud", "RUST_LOG = \"loud\": no module or crate is called \"loud\"; there are"),
            ("sesion=debug", "did you mean \"session\"?"),
        ] {
            let warning = environment_warning(wrong).unwrap();
            assert!(warning.contains(words), "{warning}");
        }
    }

    #[test]
    fn dropped_lines_are_one_line_of_the_log() {
        let mut out = Vec::new();
        write_dropped(7, &mut out);
        let line = String::from_utf8(out).unwrap();
        assert!(line.ends_with(" WARN  log: log lines dropped count=7\n"), "{line}");
    }

    /// The variable that marks the run of this test that panics. It runs in a separate process, because the
    /// log belongs to the process.
    const PANICS: &str = "TOWLINE_TEST_PANICS";

    #[test]
    fn a_panic_is_logged_without_waiting_for_a_reader() {
        if std::env::var_os(PANICS).is_some() {
            init(&Config { level: "info".to_owned(), format: Format::Text }).unwrap();
            for _ in 0..3000 {
                std::panic::catch_unwind(|| panic!("boom\n")).unwrap_err();
            }
            return flush();
        }
        let name = "log::tests::a_panic_is_logged_without_waiting_for_a_reader";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", name]).env(PANICS, "").env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
        child.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        let mut child = child.spawn().unwrap();
        // Nothing reads the pipe until the process has ended.
        let stderr = child.stderr.take().unwrap();
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || ended.send(child.wait()));
        let status =
            end.recv_timeout(Duration::from_secs(60)).expect("a panic waits for the log's reader").unwrap();
        assert!(status.success());
        let log = io::read_to_string(stderr).unwrap();
        let line = log.lines().next().unwrap();
        assert!(line.contains("ERROR log: panic location=src/log.rs:"), "{line}");
        assert!(line.ends_with(r#"message="boom\n""#), "{line}");
    }

    #[test]
    fn single_words_are_not_quoted() {
        let table = [
            ("abc", "abc"),
            ("ws://h:1/ü?***", "ws://h:1/ü?***"),
            ("two words", r#""two words""#),
            ("a=b", r#""a=b""#),
            ("\u{1b}[31m", r#""\u{1b}[31m""#),
            ("back\\slash", r#""back\\slash""#),
        ];
        for (text, quoted) in table {
            assert_eq!(Quoted(text).to_string(), quoted);
        }
    }

    proptest! {
        #[test]
        fn every_message_is_one_line(message in r"[a\r\n\x00-\x1f\x7f\u{85}]{0,20}") {
            for format in [Format::Text, Format::Json] {
                let line = written(format, &message);
                prop_assert_eq!(line.lines().count(), 1);
                let bare = line.trim_end_matches('\n');
                prop_assert!(!bare.contains(|letter| letter < ' '), "{:?}", bare);
            }
        }
    }
}

//! The log: one line for each thing that happened, on standard error.
//!
//! Text, for people and `grep`; the room is the module without the crate's name:
//! ```text
//! 2026-11-25T03:20:18.123Z INFO  session: opened session=1:0 listener=ws peer=127.0.0.1:51402
//! ```
//! JSON, for collectors:
//! ```text
//! {"time":"2026-11-25T03:20:18.123Z","level":"INFO","room":"session","message":"opened session=1:0"}
//! ```
//! Messages are a few words and then `key=value` pairs; [`Quoted`] writes values that may hold spaces.
//! Control characters in a message are escaped, so that nobody outside can write lines of his own.

use std::{
    fmt::{self, Write as _},
    io::{self, Write},
    time::SystemTime,
};

use env_logger::Builder;
use log::{Level, LevelFilter, SetLoggerError};

use crate::settings::{Log, LogFormat};

/// The crate's own name, in front of its modules' names.
const OWN: &str = "towline";

/// Which messages are written, in `RUST_LOG`'s language: `info`, or `info,towline::session=debug`.
///
/// A level alone is for Towline's own rooms; other crates then tell no more than warnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Vec<(Option<String>, LevelFilter)>);

/// A text that is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "takes a level (off, error, warn, info, debug or trace), or levels of rooms with commas between \
     them, such as \"info,towline::session=debug\""
)]
pub struct FilterError;

/// A value in a `key=value` pair: quoted and escaped where it would not stand as one word.
///
/// ```
/// # use towline::log::Quoted;
/// assert_eq!(Quoted("ws://h/").to_string(), "ws://h/");
/// assert_eq!(Quoted("say \"hi\"\n").to_string(), r#""say \"hi\"\n""#);
/// assert_eq!(Quoted("").to_string(), r#""""#);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

/// Starts the log. `RUST_LOG` wins over the level of the settings.
///
/// # Errors
/// When the process has a logger already.
pub fn init(log: &Log) -> Result<(), SetLoggerError> {
    let mut builder = Builder::new();
    choose(&mut builder, std::env::var("RUST_LOG").ok().as_deref(), &log.level);
    let format = log.format;
    builder.format(move |out, record| {
        let line = Line {
            time: SystemTime::now(),
            level: record.level(),
            room: room(record.target()),
            message: &record.args().to_string(),
        };
        line.write(format, out)
    });
    builder.try_init()
}

/// Sets the filter of the environment, or of the settings when that is not set.
///
/// `RUST_LOG` may be more than a [`Filter`]: env_logger reads that, and complains by itself about what
/// it cannot read.
fn choose(builder: &mut Builder, environment: Option<&str>, settings: &str) {
    let wanted = environment.filter(|text| !text.is_empty()).unwrap_or(settings);
    let Ok(filter) = Filter::parse(wanted) else {
        builder.parse_filters(wanted);
        return;
    };
    for (room, level) in filter.0 {
        builder.filter(room.as_deref(), level);
    }
}

/// The module without the crate's name; other crates' modules in full.
fn room(target: &str) -> &str {
    target.strip_prefix(OWN).and_then(|rest| rest.strip_prefix("::")).unwrap_or(target)
}

struct Line<'a> {
    time: SystemTime,
    level: Level,
    room: &'a str,
    message: &'a str,
}

// === impl Filter ===

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// When a part of it is neither a level nor `room=level`.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if let Ok(level) = text.trim().parse() {
            return Ok(Self::of_level(level));
        }
        text.split(',').map(|part| directive(part.trim())).collect::<Result<_, _>>().map(Self)
    }

    fn of_level(level: LevelFilter) -> Self {
        // A client that speaks no HTTP is no error of ours, and cannot write to the log at will.
        let strangers = (Some("actix_http::h1::dispatcher".to_owned()), LevelFilter::Off);
        Self(vec![(None, level.min(LevelFilter::Warn)), (Some(OWN.to_owned()), level), strangers])
    }
}

/// `debug`, `towline::session=debug`, or `towline::session` for all of it.
fn directive(part: &str) -> Result<(Option<String>, LevelFilter), FilterError> {
    if let Ok(level) = part.parse() {
        return Ok((None, level));
    }
    let (room, level) = match part.split_once('=') {
        Some((room, level)) => (room, level.parse().map_err(|_| FilterError)?),
        None if part.contains("::") || part == OWN => (part, LevelFilter::Trace),
        None => return Err(FilterError),
    };
    let letters = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':');
    if room.is_empty() || !room.chars().all(letters) {
        return Err(FilterError);
    }
    Ok((Some(room.to_owned()), level))
}

// === impl Line ===

impl Line<'_> {
    fn write(&self, format: LogFormat, out: &mut impl Write) -> io::Result<()> {
        let time = humantime::format_rfc3339_millis(self.time);
        match format {
            LogFormat::Text => {
                writeln!(out, "{time} {:<5} {}: {}", self.level, self.room, Escaped(self.message))
            }
            LogFormat::Json => {
                let [room, message] = [self.room, self.message].map(serde_json::Value::from);
                let level = self.level;
                writeln!(out, r#"{{"time":"{time}","level":"{level}","room":{room},"message":{message}}}"#)
            }
        }
    }
}

/// A message on one line.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            letter if letter.is_control() => write!(f, "{}", letter.escape_default()),
            letter => f.write_char(letter),
        })
    }
}

// === impl Quoted ===

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let apart = |letter: char| {
            letter.is_whitespace() || letter.is_control() || matches!(letter, '"' | '\\' | '=')
        };
        if !self.0.is_empty() && !self.0.contains(apart) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                letter if letter.is_control() => write!(f, "{}", letter.escape_default())?,
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

    fn written(format: LogFormat, message: &str) -> String {
        let time = humantime::parse_rfc3339("2026-11-25T03:20:18.123Z").unwrap();
        let line = Line { time, level: Level::Info, room: room("towline::session"), message };
        let mut out = Vec::new();
        line.write(format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_has_time_level_room_and_message() {
        assert_eq!(
            written(LogFormat::Text, "opened peer=127.0.0.1"),
            "2026-11-25T03:20:18.123Z INFO  session: opened peer=127.0.0.1\n"
        );
        assert_eq!(
            written(LogFormat::Json, "say \"hi\"\n"),
            concat!(
                r#"{"time":"2026-11-25T03:20:18.123Z","level":"INFO","#,
                r#""room":"session","message":"say \"hi\"\n"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn rooms_of_others_keep_their_crate() {
        assert_eq!(room("towline::wire::link"), "wire::link");
        assert_eq!(room("towline"), "towline");
        assert_eq!(room("towlines::x"), "towlines::x");
        assert_eq!(room("actix_server::worker"), "actix_server::worker");
    }

    #[test]
    fn a_level_alone_is_for_our_own_rooms() {
        let parsed = |text| Filter::parse(text).unwrap().0;
        let own = || Some("towline".to_owned());
        let strangers = || (Some("actix_http::h1::dispatcher".to_owned()), LevelFilter::Off);
        assert_eq!(parsed("debug"), [(None, LevelFilter::Warn), (own(), LevelFilter::Debug), strangers()]);
        assert_eq!(parsed("OFF"), [(None, LevelFilter::Off), (own(), LevelFilter::Off), strangers()]);
        assert_eq!(
            parsed("info, towline::session=debug,towline::wire"),
            [
                (None, LevelFilter::Info),
                (Some("towline::session".to_owned()), LevelFilter::Debug),
                (Some("towline::wire".to_owned()), LevelFilter::Trace),
            ]
        );
        for wrong in ["", "loud", "info,", "towline=loud", "=info", "a b=info", "info,session"] {
            assert_eq!(Filter::parse(wrong), Err(FilterError), "{wrong}");
        }
    }

    #[test]
    fn the_environment_wins() {
        let writes = |environment, settings, room: &str, level| {
            let mut builder = Builder::new();
            choose(&mut builder, environment, settings);
            let logger = builder.build();
            logger.matches(&log::Record::builder().target(room).level(level).build())
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
    }

    #[test]
    fn values_that_are_one_word_stand_bare() {
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
        fn no_message_makes_a_second_line(message in r"[a\r\n\x00-\x1f\x7f\u{85}]{0,20}") {
            for format in [LogFormat::Text, LogFormat::Json] {
                let line = written(format, &message);
                prop_assert_eq!(line.lines().count(), 1);
                let bare = line.trim_end_matches('\n');
                prop_assert!(!bare.contains(|letter| letter < ' '), "{:?}", bare);
            }
        }
    }
}

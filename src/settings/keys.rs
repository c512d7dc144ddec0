//! The table of all keys: what values each takes, and its default.
//!
//! Reading, checking, `towline check` and the tests of the documents all use this table, so they cannot
//! disagree about a key. It replaces structs with optional fields, which would stop at the first error and
//! lose the origin of each value.

use std::{fmt, time::Duration};

use config::{Value, ValueKind};

use crate::processor::Side;

/// One section of the settings, or one kind of section.
pub(super) struct Section {
    /// `server`, or `listener` for all of `[listener.NAME]`.
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) keys: &'static [Key],
}

/// How often a section may occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `[server]`
    Single,
    /// `[listener.NAME]`
    Named,
    /// `[[route]]`
    Listed,
}

/// One key of a section; a dot in its name separates a table in the section from the table's key.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) preset: Preset,
}

/// The kind of values that a key takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Any text, or text with a specific check.
    Text,
    /// A URL, whose userinfo and query are secret.
    Url,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// An integer within bounds.
    Count(u64, u64),
    /// `true` or `false`.
    Flag,
    /// `"auto"`, `true` or `false`.
    AutoFlag,
    /// Close codes: numbers, and texts such as "4000-4999".
    CloseCodes,
    /// HTTP statuses, in the same form.
    Statuses,
    /// One of these numbers.
    OneOf(&'static [u64]),
    /// A duration with a unit, within bounds.
    Duration(Duration, Duration),
    /// A duration as above, or "never".
    Timeout(Duration, Duration),
    /// A size in bytes with a unit, within bounds.
    Size(u64, u64),
    /// An address to listen on, or a list of them.
    Addresses,
    /// A list of texts.
    List,
    /// A list of URLs.
    Urls,
    /// A list of processors, with or without options.
    Processors(Side),
    /// A table of header names and values; the values are secret.
    Headers,
}

/// Default value of a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Preset {
    /// Required: there is no default.
    Required,
    /// Optional, without a default.
    Absent,
    Text(&'static str),
    Count(u64),
    Flag(bool),
    /// Numbers, and ranges of numbers such as "4000-4999".
    Ranges(&'static [&'static str]),
    List(&'static [&'static str]),
    /// An empty table, `{}`.
    Empty,
}

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Bounds of most durations. Zero would be ambiguous ("never" or "at once"), and more than a day is likely a
/// wrong unit.
const ANY_DURATION: Kind = Kind::Duration(MILLISECOND, DAY);
/// Durations measured by a worker's ticker: the lower bound is its resolution.
const TICKED: Kind = Kind::Duration(Duration::from_millis(100), DAY);
const TICKED_OR_NEVER: Kind = Kind::Timeout(Duration::from_millis(100), DAY);
/// Durations measured by the kernel, in seconds.
const KERNEL: Kind = Kind::Timeout(Duration::from_secs(1), DAY);
/// With a burst of more than an hour, a limit would not limit the rate.
const BURST: Kind = Kind::Duration(MILLISECOND, Duration::from_secs(60 * 60));

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// The largest message; fixed for compatibility.
const MESSAGE: Kind = Kind::Size(1, 64 * MIB);
/// Below 4 KiB, a buffer costs a system call for every few small messages. Above 64 MiB per session, memory
/// runs out.
const BUFFER: Kind = Kind::Size(4 * KIB, 64 * MIB);
/// From a handful of sessions to more memory than any machine has.
const POOL: Kind = Kind::Size(MIB, 1024 * 1024 * MIB);
/// Below 1 KiB no browser's handshake fits; above 1 MiB a head is an attack.
const HEADER: Kind = Kind::Size(KIB, MIB);
/// Bytes per second; 0 is no limit.
const BYTES_A_SECOND: Kind = Kind::Size(0, 1024 * 1024 * MIB);

/// More threads than any machine has cores.
const WORKERS_MAX: u64 = 1024;
/// A ledger with more events than this is a queue, and its client has given up waiting.
const IN_FLIGHT_MAX: u64 = 1_000_000;
/// A connection with more overdue replies in a row than this stopped answering long ago.
const OVERDUE_MAX: u64 = 1000;
const RESTARTS_MAX: u64 = 1_000_000;
/// More connections than a machine can hold.
const SESSIONS_MAX: u64 = 10_000_000;
const HANDSHAKES_MAX: u64 = 1_000_000;
/// More per second than a machine can accept.
const NEW_SESSIONS_MAX: u64 = 1_000_000;
const MESSAGES_A_SECOND_MAX: u64 = 1_000_000_000;

/// One event with this many steps takes minutes of a worker.
const STEPS_MAX: u64 = 1_000_000_000;
const RECURSION_MAX: u64 = 1_000_000;
/// Below 1 KiB no event fits; above the largest message the result could not be sent.
const VALUE: Kind = Kind::Size(KIB, 64 * MIB);

const MESSAGES_A_SECOND: Kind = Kind::Count(0, MESSAGES_A_SECOND_MAX);
const SLOW_CONSUMER: Kind = Kind::Choice(&["disconnect", "drop_oldest", "drop_newest"]);
const ON_END: Kind = Kind::Choice(&["reconnect", "pass"]);
const ON_LIMIT: Kind = Kind::Choice(&["error", "delay", "close"]);

/// Client headers that upstreams usually want to see; the default of `forward_headers`.
const FORWARDED: &[&str] = &[
    "authorization",
    "cookie",
    "origin",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
];

const fn key(name: &'static str, kind: Kind, preset: Preset) -> Key {
    Key { name, kind, preset }
}

/// All sections, in the order of the documents.
pub(super) static SECTIONS: [Section; 9] = [
    Section {
        name: "server",
        shape: Shape::Single,
        keys: &[
            key("workers", Kind::Count(0, WORKERS_MAX), Preset::Count(0)),
            key("max_sessions", Kind::Count(0, SESSIONS_MAX), Preset::Count(0)),
            key("max_handshakes", Kind::Count(1, HANDSHAKES_MAX), Preset::Count(1024)),
            key("buffer", POOL, Preset::Text("1GiB")),
        ],
    },
    Section {
        name: "log",
        shape: Shape::Single,
        keys: &[
            key("level", Kind::Text, Preset::Text("info")),
            key("format", Kind::Choice(&["text", "json"]), Preset::Text("text")),
        ],
    },
    Section {
        name: "admin",
        shape: Shape::Single,
        keys: &[key("bind", Kind::Text, Preset::Text("127.0.0.1:9140"))],
    },
    Section {
        name: "drain",
        shape: Shape::Single,
        keys: &[
            key("window", ANY_DURATION, Preset::Text("10s")),
            key("grace", ANY_DURATION, Preset::Text("30s")),
            key("close_code", Kind::OneOf(&[1001, 1012]), Preset::Count(1001)),
        ],
    },
    Section {
        name: "language",
        shape: Shape::Single,
        keys: &[
            key("module_path", Kind::List, Preset::List(&[])),
            key("max_steps", Kind::Count(1_000, STEPS_MAX), Preset::Count(1_000_000)),
            key("max_recursion", Kind::Count(1, RECURSION_MAX), Preset::Count(1024)),
            key("max_value", VALUE, Preset::Text("16MiB")),
        ],
    },
    Section {
        name: "listener",
        shape: Shape::Named,
        keys: &[
            key("bind", Kind::Addresses, Preset::Required),
            key("codec", Kind::Text, Preset::Text("message")),
            key("preprocessors", Kind::Processors(Side::Pre), Preset::List(&[])),
            key("postprocessors", Kind::Processors(Side::Post), Preset::List(&[])),
            key("max_message", MESSAGE, Preset::Text("1MiB")),
            key("max_frame", MESSAGE, Preset::Text("1MiB")),
            key("buffer", BUFFER, Preset::Text("64KiB")),
            key("max_header", HEADER, Preset::Text("16KiB")),
            key("max_sessions", Kind::Count(0, SESSIONS_MAX), Preset::Count(0)),
            key("max_sessions_per_address", Kind::Count(0, SESSIONS_MAX), Preset::Count(0)),
            key("max_new_sessions", Kind::Count(0, NEW_SESSIONS_MAX), Preset::Count(0)),
            key("handshake_timeout", TICKED, Preset::Text("5s")),
            key("ping_interval", TICKED_OR_NEVER, Preset::Text("30s")),
            key("ping_timeout", TICKED, Preset::Text("10s")),
            key("idle_timeout", TICKED_OR_NEVER, Preset::Text("never")),
            key("slow_consumer_timeout", TICKED_OR_NEVER, Preset::Text("30s")),
            key("slow_consumer", SLOW_CONSUMER, Preset::Text("disconnect")),
            key("tcp_keepalive", KERNEL, Preset::Text("60s")),
            key("tcp_user_timeout", KERNEL, Preset::Text("60s")),
            key("close_timeout", ANY_DURATION, Preset::Text("1s")),
            key("on_client_close", Kind::Choice(&["finish", "cancel"]), Preset::Text("finish")),
            key("rate.messages", MESSAGES_A_SECOND, Preset::Count(0)),
            key("rate.bytes", BYTES_A_SECOND, Preset::Text("0B")),
            key("rate.burst", BURST, Preset::Text("1s")),
            key("rate.on_limit", ON_LIMIT, Preset::Text("error")),
            key("address_rate.messages", MESSAGES_A_SECOND, Preset::Count(0)),
            key("address_rate.bytes", BYTES_A_SECOND, Preset::Text("0B")),
            key("address_rate.burst", BURST, Preset::Text("1s")),
            key("address_rate.on_limit", ON_LIMIT, Preset::Text("error")),
        ],
    },
    Section {
        name: "upstream",
        shape: Shape::Named,
        keys: &[
            key("url", Kind::Url, Preset::Required),
            key("allow_urls", Kind::Urls, Preset::List(&[])),
            key("codec", Kind::Text, Preset::Text("message")),
            key("preprocessors", Kind::Processors(Side::Pre), Preset::List(&[])),
            key("postprocessors", Kind::Processors(Side::Post), Preset::List(&[])),
            key("max_message", MESSAGE, Preset::Text("1MiB")),
            key("max_frame", MESSAGE, Preset::Text("1MiB")),
            key("buffer", BUFFER, Preset::Text("64KiB")),
            key("exchange", Kind::Choice(&["stream", "request"]), Preset::Text("stream")),
            key("correlation", Kind::Text, Preset::Text("")),
            key("reply_timeout", ANY_DURATION, Preset::Text("30s")),
            key("max_overdue", Kind::Count(1, OVERDUE_MAX), Preset::Count(3)),
            key("max_in_flight", Kind::Count(1, IN_FLIGHT_MAX), Preset::Count(128)),
            key("connect_timeout", ANY_DURATION, Preset::Text("5s")),
            key("ping_interval", TICKED_OR_NEVER, Preset::Text("30s")),
            key("ping_timeout", TICKED, Preset::Text("10s")),
            key("slow_consumer_timeout", TICKED_OR_NEVER, Preset::Text("30s")),
            key("tcp_keepalive", KERNEL, Preset::Text("60s")),
            key("tcp_user_timeout", KERNEL, Preset::Text("60s")),
            key("close_timeout", ANY_DURATION, Preset::Text("1s")),
            key("forward_path", Kind::Flag, Preset::Flag(true)),
            key("host", Kind::Text, Preset::Text("upstream")),
            key("forward_headers", Kind::List, Preset::List(FORWARDED)),
            key("headers", Kind::Headers, Preset::Empty),
            key("forward_response_headers", Kind::List, Preset::List(&["set-cookie"])),
            key("restart.min", ANY_DURATION, Preset::Text("100ms")),
            key("restart.max", ANY_DURATION, Preset::Text("10s")),
            key("restart.max_restarts", Kind::Count(1, RESTARTS_MAX), Preset::Count(10)),
            key("restart.window", ANY_DURATION, Preset::Text("60s")),
            key("restart.probe", ANY_DURATION, Preset::Text("30s")),
            key("restart.rate", Kind::Count(1, RESTARTS_MAX), Preset::Count(200)),
            key("on_upstream_close.pass", Kind::CloseCodes, Preset::Ranges(&["4000-4999", "1008"])),
            key("on_upstream_close.else", ON_END, Preset::Text("reconnect")),
            key("on_refused.pass", Kind::Statuses, Preset::Ranges(&["401", "403"])),
            key("on_refused.else", ON_END, Preset::Text("reconnect")),
            key("on_give_up", Kind::Choice(&["keep", "close"]), Preset::Text("keep")),
        ],
    },
    Section {
        name: "pipeline",
        shape: Shape::Named,
        keys: &[key("source", Kind::Text, Preset::Absent), key("file", Kind::Text, Preset::Absent)],
    },
    Section {
        name: "route",
        shape: Shape::Listed,
        keys: &[
            key("listener", Kind::Text, Preset::Absent),
            key("path", Kind::Text, Preset::Text("/")),
            key("strip_prefix", Kind::Flag, Preset::Flag(false)),
            key("incoming", Kind::List, Preset::List(&[])),
            key("upstream", Kind::Text, Preset::Absent),
            key("outgoing", Kind::List, Preset::List(&[])),
            key("errors", Kind::List, Preset::List(&[])),
            key("error_replies", Kind::AutoFlag, Preset::Text("auto")),
            key("on_upstream_loss", Kind::Choice(&["auto", "keep", "close"]), Preset::Text("auto")),
            key("stateless", Kind::Flag, Preset::Flag(false)),
            key("subprotocols", Kind::List, Preset::List(&[])),
            key("dial_before_accept", ANY_DURATION, Preset::Text("1s")),
        ],
    },
];

/// The section with this name.
///
/// # Panics
/// When the table has none; all callers pass literal names.
pub(super) fn section(name: &str) -> &'static Section {
    SECTIONS.iter().find(|section| section.name == name).expect("sections are asked for by literal names")
}

/// The key at a path such as `["listener", "ws", "bind"]`; `None` if there is none.
pub(super) fn find(path: &[String]) -> Option<&'static Key> {
    let section = SECTIONS.iter().find(|section| path.first().is_some_and(|name| name == section.name))?;
    let skipped = if section.shape == Shape::Single { 1 } else { 2 };
    let name = path.get(skipped..)?.join(".");
    section.keys.iter().find(|key| key.name == name)
}

// === impl Section ===

impl Section {
    /// The key with this name.
    ///
    /// # Panics
    /// When the section has none; all callers pass literal names.
    pub(super) fn key(&self, name: &str) -> &'static Key {
        self.keys.iter().find(|key| key.name == name).expect("keys are asked for by literal names")
    }
}

// === impl Kind ===

impl Kind {
    /// Whether the value may be more than one scalar.
    pub(super) fn is_compound(self) -> bool {
        matches!(
            self,
            Self::Addresses
                | Self::List
                | Self::Urls
                | Self::CloseCodes
                | Self::Statuses
                | Self::Processors(_)
                | Self::Headers
        )
    }
}

impl fmt::Display for Kind {
    /// Describes the allowed values: `a whole number from 0 to 1024`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Text | Self::Url => f.write_str("a text"),
            Self::Choice(choices) => {
                let quoted: Vec<_> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
                match quoted.split_last() {
                    Some((last, before)) => write!(f, "{} or {last}", before.join(", ")),
                    None => Ok(()),
                }
            }
            Self::Flag => f.write_str("true or false"),
            Self::AutoFlag => f.write_str("\"auto\", true or false"),
            Self::CloseCodes => f.write_str(
                "close codes that a close frame may carry, such as 1008 or \"4000-4999\", from 1000 to 4999",
            ),
            Self::Statuses => f.write_str("HTTP statuses such as 401 or \"500-599\", from 300 to 599"),
            Self::OneOf(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
                f.write_str(&numbers.join(" or "))
            }
            Self::Count(min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Duration(min, max) => write!(
                f,
                "a time with its unit such as \"30s\", from {} to {}",
                humantime::format_duration(min),
                humantime::format_duration(max).to_string().replace("1day", "1 day")
            ),
            Self::Timeout(min, max) => write!(f, "{}, or \"never\"", Self::Duration(min, max)),
            Self::Size(min, max) => {
                write!(f, "a size with its unit such as \"64KiB\", from {} to {}", Size(min), Size(max))
            }
            Self::Addresses => f.write_str("an address such as \"127.0.0.1:9139\", or a list of addresses"),
            Self::List | Self::Urls => f.write_str("a list of texts"),
            Self::Processors(side) => {
                write!(f, "a list of {}s, each a name or a table such as {{ name = \"lines\" }}", side.noun())
            }
            Self::Headers => f.write_str("a table of header names and texts"),
        }
    }
}

/// A number of bytes, printed in the largest binary unit that divides it.
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes > 0 && bytes % (MIB * MIB) == 0 => write!(f, "{}TiB", bytes / (MIB * MIB)),
            bytes if bytes > 0 && bytes % (KIB * MIB) == 0 => write!(f, "{}GiB", bytes / (KIB * MIB)),
            bytes if bytes > 0 && bytes % MIB == 0 => write!(f, "{}MiB", bytes / MIB),
            bytes if bytes > 0 && bytes % KIB == 0 => write!(f, "{}KiB", bytes / KIB),
            bytes => write!(f, "{bytes}B"),
        }
    }
}

// === impl Preset ===

impl Preset {
    /// The value, as if it were written in a file.
    pub(super) fn value(self) -> Option<Value> {
        let kind = match self {
            Self::Required | Self::Absent => return None,
            Self::Text(text) => ValueKind::from(text),
            Self::Count(number) => ValueKind::from(number),
            Self::List(items) => ValueKind::Array(items.iter().map(|item| Value::from(*item)).collect()),
            Self::Flag(flag) => ValueKind::from(flag),
            Self::Ranges(items) => ValueKind::Array(items.iter().map(|item| number_or_text(item)).collect()),
            Self::Empty => ValueKind::Table(config::Map::new()),
        };
        Some(Value::new(None, kind))
    }
}

/// A number if the text is one, as it would be written in a file; else the text in quotes.
pub(super) fn number_or_text(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from)
}

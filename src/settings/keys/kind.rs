//! The kinds of values that keys accept, and the defaults of keys.

use std::{fmt, time::Duration};

use config::{Value, ValueKind};

use super::Section;
use crate::processor::Side;

/// The kind of values that a key accepts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Any text, or text with a specific check.
    Text,
    /// A URL, whose userinfo and query are secret.
    Url,
    /// One of the given texts.
    Choice(&'static [&'static str]),
    /// An integer from the first to the second bound, inclusive.
    Count(u64, u64),
    /// A number from 0 to 1.
    Ratio,
    /// `true` or `false`.
    Flag,
    /// `"auto"`, `true` or `false`.
    AutoFlag,
    /// Close codes: numbers, and texts such as "4000-4999".
    CloseCodes,
    /// HTTP statuses from this one: numbers, and texts such as "400-499".
    Statuses(u16),
    /// One of the given numbers.
    OneOf(&'static [u64]),
    /// A duration with a unit, from the first to the second bound, inclusive.
    Duration(Duration, Duration),
    /// A duration with a unit, from the first to the second bound, inclusive, or "never".
    Timeout(Duration, Duration),
    /// A size in bytes with a unit, from the first to the second bound, inclusive.
    Size(u64, u64),
    /// An address to listen on, or a list of such addresses.
    Addresses,
    /// A list of texts.
    List,
    /// A path. A relative path starts at the folder of the settings.
    Path,
    /// A list of paths. Relative paths start at the folder of the settings.
    Paths,
    /// The name of a section of the given kind, such as `upstream`.
    Reference(&'static str),
    /// A list of names of sections of the given kind.
    References(&'static str),
    /// A list of URLs.
    Urls,
    /// A list of URLs, and of tables with these keys.
    Endpoints(&'static Section),
    /// A list of tables with these keys.
    Tables(&'static Section),
    /// A table of paths into a message and of the values there.
    Tests,
    /// A table of claims and of the headers that have their values.
    Values,
    /// A table of names and of the values that a request must have there. The values are secret: a request may be
    /// known by them.
    Matches,
    /// A list of processors, with or without options.
    Processors(Side),
    /// A table of header names and values. The values are secret.
    Headers,
    /// A table of names and of hashes of keys. The hashes are secret.
    Hashes,
    /// A table of claims, each with a list of values.
    Claims,
}

/// The default value of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Preset {
    /// Required: there is no default.
    Required,
    /// Optional, without a default.
    Absent,
    Text(&'static str),
    Count(u64),
    Ratio(f64),
    Flag(bool),
    /// Numbers, and ranges of numbers such as "4000-4999".
    Ranges(&'static [&'static str]),
    List(&'static [&'static str]),
    /// An empty table, `{}`.
    Empty,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

// === impl Kind ===

impl Kind {
    /// Whether a value of this kind is a table of secrets.
    pub(crate) fn is_secret_table(self) -> bool {
        matches!(self, Self::Headers | Self::Hashes | Self::Matches)
    }

    /// Whether a value of this kind may consist of several scalars.
    pub(crate) fn is_compound(self) -> bool {
        matches!(
            self,
            Self::Addresses
                | Self::List
                | Self::Paths
                | Self::References(_)
                | Self::Urls
                | Self::Endpoints(_)
                | Self::Tables(_)
                | Self::Tests
                | Self::Values
                | Self::Matches
                | Self::CloseCodes
                | Self::Statuses(_)
                | Self::Processors(_)
                | Self::Headers
                | Self::Hashes
                | Self::Claims
        )
    }
}

impl fmt::Display for Kind {
    /// Describes the allowed values for error texts, such as `a whole number from 0 to 1024`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Text | Self::Path | Self::Reference(_) | Self::Url => f.write_str("a string"),
            Self::Choice(choices) => {
                let quoted: Vec<_> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
                match quoted.split_last() {
                    Some((last, [])) => f.write_str(last),
                    Some((last, before)) => write!(f, "{} or {last}", before.join(", ")),
                    None => Ok(()),
                }
            }
            Self::Ratio => f.write_str("a number from 0 to 1"),
            Self::Flag => f.write_str("true or false"),
            Self::AutoFlag => f.write_str("\"auto\", true or false"),
            Self::CloseCodes => f.write_str(
                "close codes that a close frame may carry, such as 1008 or \"4000-4999\", from 1000 to 4999",
            ),
            Self::Statuses(min) => {
                write!(f, "HTTP statuses such as 401 or \"500-599\", from {min} to 599")
            }
            Self::OneOf(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
                f.write_str(&numbers.join(" or "))
            }
            Self::Count(min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Duration(min, max) => write!(
                f,
                "a duration with a unit, such as \"30s\", from {} to {}",
                humantime::format_duration(min),
                humantime::format_duration(max).to_string().replace("1day", "1 day")
            ),
            Self::Timeout(min, max) => write!(f, "{}, or \"never\"", Self::Duration(min, max)),
            Self::Size(min, max) => {
                write!(f, "a size with a unit, such as \"64KiB\", from {} to {}", Size(min), Size(max))
            }
            Self::Addresses => f.write_str("an address such as \"127.0.0.1:9139\", or a list of addresses"),
            Self::List | Self::Paths | Self::References(_) | Self::Urls => f.write_str("a list of strings"),
            Self::Endpoints(_) => f.write_str(
                "a list of servers, each a URL or a table such as { url = \"ws://host:8139\", weight = 2 }",
            ),
            Self::Tables(section) => {
                let keys: Vec<_> = section.keys().map(|key| key.name).collect();
                write!(f, "a list of tables with the keys {}", keys.join(", "))
            }
            Self::Tests => f.write_str(
                "a table of paths and values, such as { op = \"subscribe\", \"params.kind\" = \"*\" }",
            ),
            Self::Values | Self::Matches => {
                f.write_str("a table of names and values, such as { tenant = \"a\" }")
            }
            Self::Processors(side) => {
                write!(f, "a list of {}s, each a name or a table such as {{ name = \"lines\" }}", side.noun())
            }
            Self::Headers => f.write_str("a table of header names and values"),
            Self::Hashes => f.write_str("a table of names and hashes"),
            Self::Claims => {
                f.write_str("a table of claims and lists of values, such as { scope = [\"read\"] }")
            }
        }
    }
}

/// A number of bytes, printed in the largest binary unit that divides it.
pub(crate) struct Size(pub(crate) u64);

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
    /// The default as a value in a settings file; `None` if there is none.
    pub(crate) fn value(self) -> Option<Value> {
        let kind = match self {
            Self::Required | Self::Absent => return None,
            Self::Text(text) => ValueKind::from(text),
            Self::Count(number) => ValueKind::from(number),
            Self::Ratio(part) => ValueKind::from(part),
            Self::List(items) => ValueKind::Array(items.iter().map(|item| Value::from(*item)).collect()),
            Self::Flag(flag) => ValueKind::from(flag),
            Self::Ranges(items) => ValueKind::Array(items.iter().map(|item| number_or_text(item)).collect()),
            Self::Empty => ValueKind::Table(config::Map::new()),
        };
        Some(Value::new(None, kind))
    }
}

/// The text as a number if it is one, otherwise in quotes, as in a settings file.
pub(crate) fn number_or_text(text: &str) -> Value {
    text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from)
}

//! Ids and numbers of events.

use std::{fmt, str::FromStr};

/// The id of an event, unique within one run of the process.
///
/// Its text is `source:stream:event`, all decimal. `source` is the number of the listener in the settings,
/// from 1. `stream` is the number of the session on that listener since the process started, from 0. `event`
/// is the number of the event in that session, from 0.
///
/// ```
/// # use towline_event::{EventId, EventNumber};
/// let id = EventId { source: 1, stream: 0, event: EventNumber(9) };
/// assert_eq!(id.to_string(), "1:0:9");
/// assert_eq!("1:0:9".parse(), Ok(id));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Number of the listener in the settings, from 1.
    pub source: u32,
    /// Number of the session on that listener since the process started, from 0.
    pub stream: u64,
    /// Number of the event in that session, from 0.
    pub event: EventNumber,
}

/// The number of an event in its session, from 0: the last part of its [`EventId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventNumber(pub u64);

/// The error for a text that is not of the form `source:stream:event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id is three decimal numbers separated by colons, such as 1:0:9")]
pub struct EventIdError;

// === impl EventId ===

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.stream, self.event.0)
    }
}

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        let mut parts = text.split(':');
        let id = Self {
            source: number(parts.next())?,
            stream: number(parts.next())?,
            event: EventNumber(number(parts.next())?),
        };
        match parts.next() {
            None => Ok(id),
            Some(_) => Err(EventIdError),
        }
    }
}

fn number<T: FromStr>(part: Option<&str>) -> Result<T, EventIdError> {
    part.and_then(|digits| digits.parse().ok()).ok_or(EventIdError)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_that_are_not_three_numbers_are_refused() {
        for text in ["", "1", "1:0", "1:0:9:1", "a:0:9", "1:-1:0", "4294967296:0:0"] {
            assert_eq!(text.parse::<EventId>(), Err(EventIdError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn ids_round_trip_through_text(source: u32, stream: u64, event: u64) {
            let id = EventId { source, stream, event: EventNumber(event) };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn the_id_parser_never_panics(text in ".{0,40}") {
            let _ = text.parse::<EventId>();
        }
    }
}

//! Time zones: names, constants and offsets.

use std::{str::FromStr, sync::LazyLock};

use chrono::FixedOffset;
use chrono_tz::{TZ_VARIANTS, Tz};

use towline_event::Value;

/// The library module that has the time zone constants.
const MODULE: &str = "std::datetime::timezones";

/// The full names of the time zone constants, in the order of the zones.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    TZ_VARIANTS.iter().map(|zone| format!("{MODULE}::{}", constant_name(zone.name()))).collect()
});

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// A zone of the IANA database, such as `Europe/Berlin`.
    Named(Tz),
    /// An offset from UTC, such as `+02:00`.
    Fixed(FixedOffset),
}

impl Zone {
    pub(super) const UTC: Self = Self::Named(Tz::UTC);
}

/// Parses a zone name of the IANA database, or an offset: hours with an optional sign, and optional minutes
/// with an optional colon: `+02:00`, `-0930`, `02`.
impl FromStr for Zone {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(zone) = text.parse() {
            return Ok(Self::Named(zone));
        }
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (hours, minutes) = digits.split_at_checked(2).ok_or(())?;
        let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
        let minutes = if digits.len() == 2 { 0 } else { two_digits(minutes).filter(|m| *m < 60).ok_or(())? };
        let seconds = two_digits(hours).ok_or(())? * 3600 + minutes * 60;
        let east = if text.starts_with('-') { -seconds } else { seconds };
        FixedOffset::east_opt(east).map(Self::Fixed).ok_or(())
    }
}

fn two_digits(text: &str) -> Option<i32> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// The value of a time zone constant: the name of the zone. In Tremor the value is a number that changes with
/// Tremor's database and must not be used directly.
pub(in crate::library) fn zone_named(module: &str, name: &str) -> Option<Value> {
    if module != MODULE {
        return None;
    }
    let zone = TZ_VARIANTS.iter().find(|zone| constant_name(zone.name()) == name)?;
    Some(Value::string(zone.name()))
}

/// The full names of the time zone constants.
pub(in crate::library) fn zone_names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(String::as_str)
}

/// The constant for a zone: `Etc/GMT+1` is `ETC_GMT_PLUS_1`, `Etc/GMT-1` is `ETC_GMT_MINUS_1`,
/// `America/Port-au-Prince` is `AMERICA_PORT_AU_PRINCE`.
fn constant_name(zone: &str) -> String {
    let mut name = String::with_capacity(zone.len() + 8);
    let mut rest = zone.chars().peekable();
    while let Some(char) = rest.next() {
        let counts = rest.peek().is_some_and(char::is_ascii_digit);
        match char {
            '+' if counts => name.push_str("_PLUS_"),
            '-' if counts => name.push_str("_MINUS_"),
            '/' | '-' | '+' => name.push('_'),
            other => name.push(other.to_ascii_uppercase()),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn only_valid_offsets_are_accepted() {
        let table = [
            ("+02:00", 7200),
            ("-0930", -34_200),
            ("02", 7200),
            ("-02", -7200),
            ("0049", 2940),
            ("-00", 0),
            ("+23:59", 86_340),
        ];
        for (text, seconds) in table {
            assert_eq!(text.parse(), Ok(Zone::Fixed(FixedOffset::east_opt(seconds).unwrap())), "{text}");
        }
        for text in [
            "",
            "-",
            "+1",
            "@01:00",
            "01ABC",
            "+01:79",
            "+01:",
            "24:00",
            "+-1:00",
            "é:00",
            "1é",
            "europe/berlin",
        ] {
            assert_eq!(text.parse::<Zone>(), Err(()), "{text}");
        }
    }

    #[test]
    fn every_zone_has_its_own_constant() {
        let names: HashSet<&str> = zone_names().collect();
        assert_eq!(names.len(), TZ_VARIANTS.len());
        for name in names {
            let (module, word) = name.rsplit_once("::").unwrap();
            assert!(
                word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'),
                "{name}"
            );
            let zone = zone_named(module, word).unwrap();
            assert!(matches!(zone.as_str().unwrap().parse(), Ok(Zone::Named(_))), "{name}");
        }
    }

    #[test]
    fn names_are_spelled_as_in_tremor() {
        let table = [
            ("Europe/Berlin", "EUROPE_BERLIN"),
            ("America/Port-au-Prince", "AMERICA_PORT_AU_PRINCE"),
            ("Etc/GMT+10", "ETC_GMT_PLUS_10"),
            ("GMT-0", "GMT_MINUS_0"),
            ("W-SU", "W_SU"),
            ("MST7MDT", "MST7MDT"),
        ];
        for (zone, name) in table {
            assert_eq!(constant_name(zone), name);
        }
    }
}

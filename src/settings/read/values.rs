//! Parses the values of keys. The errors say what the key accepts.

use std::time::Duration;

use config::{Value, ValueKind};

use crate::{settings::keys::Kind, traces::Ratio};

pub(crate) fn text(value: &Value) -> Result<&str, String> {
    match &value.kind {
        ValueKind::String(text) => Ok(text),
        _ => Err("takes a string in quotes".to_owned()),
    }
}

/// Parses an array of texts, or comma-separated texts from the environment.
pub(crate) fn list(value: &Value) -> Result<Vec<String>, String> {
    texts(value, commas)
}

/// Parses an array of URLs, or comma-separated URLs from the environment.
pub(crate) fn urls(value: &Value) -> Result<Vec<String>, String> {
    texts(value, comma_separated_urls)
}

fn texts(value: &Value, split: impl Fn(&str) -> Vec<String>) -> Result<Vec<String>, String> {
    let wrong = || "takes a list of strings".to_owned();
    match &value.kind {
        ValueKind::Array(items) => {
            items.iter().map(|item| text(item).map(str::to_owned).map_err(|_| wrong())).collect()
        }
        ValueKind::String(text) if value.origin().is_some() => Ok(split(text)),
        _ => Err(wrong()),
    }
}

/// All values, or all errors joined by semicolons.
pub(crate) fn all<T>(results: impl Iterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors.join("; ")) }
}

/// Parses `true` or `false`, or these words from the environment.
pub(crate) fn flag(value: &Value, kind: Kind) -> Result<bool, String> {
    match &value.kind {
        ValueKind::Boolean(flag) => Ok(*flag),
        ValueKind::String(word) if value.origin().is_some() => {
            word.parse().map_err(|_| format!("takes {kind}"))
        }
        _ => Err(format!("takes {kind}")),
    }
}

/// The parts of a comma-separated text. An empty text has no parts.
pub(crate) fn commas(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The parts of a text of comma-separated URLs. A comma before anything but another URL is part of a URL, for
/// example of a password.
pub(super) fn comma_separated_urls(text: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for part in text.split(',') {
        match urls.last_mut() {
            Some(last) if !begins_url(part.trim()) => last.extend([",", part]),
            _ => urls.push(part.to_owned()),
        }
    }
    let trimmed = urls.iter().map(|url| url.trim_matches([',', ' ', '\t']));
    trimmed.filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

fn begins_url(text: &str) -> bool {
    let is_scheme =
        |scheme: &str| !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphabetic());
    text.starts_with("unix:") || text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
}

pub(super) fn duration(value: &Value, kind: Kind) -> Result<Duration, String> {
    let takes = || format!("takes {kind}");
    let text = text(value).map_err(|_| takes())?;
    if !text.ends_with(|letter: char| letter.is_alphabetic()) {
        return Err(takes());
    }
    let duration = humantime::parse_duration(text).map_err(|_| takes())?;
    match kind {
        Kind::Duration(min, max) if duration < min || duration > max => Err(takes()),
        _ => Ok(duration),
    }
}

pub(super) fn timeout(value: &Value, kind: Kind) -> Result<Option<Duration>, String> {
    if text(value) == Ok("never") {
        return Ok(None);
    }
    let (Kind::Duration(min, max) | Kind::Timeout(min, max)) = kind else { return Ok(None) };
    duration(value, Kind::Duration(min, max)).map(Some).map_err(|_| format!("takes {kind}"))
}

pub(super) fn size(value: &Value, kind: Kind) -> Result<usize, String> {
    let takes = || format!("takes {kind}");
    let text = text(value).map_err(|_| takes())?;
    if !text.ends_with(|letter: char| letter.is_alphabetic()) {
        return Err(takes());
    }
    let bytes: bytesize::ByteSize = text.parse().map_err(|_| takes())?;
    match kind {
        Kind::Size(min, max) if bytes.as_u64() < min || bytes.as_u64() > max => Err(takes()),
        _ => usize::try_from(bytes.as_u64()).map_err(|_| takes()),
    }
}

pub(super) fn count(value: &Value, kind: Kind) -> Result<u64, String> {
    let takes = || format!("takes {kind}");
    let number = match &value.kind {
        ValueKind::I64(number) => u64::try_from(*number).map_err(|_| takes())?,
        ValueKind::U64(number) => *number,
        ValueKind::String(digits) if value.origin().is_some() => digits.parse().map_err(|_| takes())?,
        _ => return Err(takes()),
    };
    match kind {
        Kind::Count(min, max) if number < min || number > max => Err(takes()),
        Kind::OneOf(numbers) if !numbers.contains(&number) => Err(takes()),
        _ => Ok(number),
    }
}

/// Parses a number from 0 to 1, with or without a fraction.
pub(super) fn ratio(value: &Value, kind: Kind) -> Result<Ratio, String> {
    let number = match &value.kind {
        ValueKind::Float(number) => Some(*number),
        ValueKind::I64(number) => Some(*number as f64),
        ValueKind::U64(number) => Some(*number as f64),
        ValueKind::String(digits) if value.origin().is_some() => digits.parse().ok(),
        _ => None,
    };
    number.and_then(Ratio::new).ok_or_else(|| format!("takes {kind}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Kind = Kind::Duration(Duration::from_millis(1), Duration::from_secs(86_400));
    const ANY_SIZE: Kind = Kind::Size(0, u64::MAX);

    #[test]
    fn times_and_sizes_have_units() {
        let time = |text: &str| duration(&Value::from(text), DAY).ok();
        for (text, millis) in
            [("1ms", 1), ("1.5s", 1500), ("30s", 30_000), ("1m 30s", 90_000), ("1day", 86_400_000)]
        {
            assert_eq!(time(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "0", "5", "s", "-1s", "1 fortnight", "0ms", "1us", "2days", "99999999999999999999s"]
        {
            assert_eq!(time(text), None, "{text}");
        }
        let bytes = |text: &str| size(&Value::from(text), ANY_SIZE).ok();
        for (text, count) in
            [("1B", 1), ("64KiB", 65_536), ("64 kB", 64_000), ("1MiB", 1 << 20), ("0.5KiB", 512)]
        {
            assert_eq!(bytes(text), Some(count), "{text}");
        }
        for text in ["", "64", "KiB", "-1KiB", "1 KiBs", "1e3"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_comma_in_a_url_separates_nothing() {
        for (text, urls) in [
            ("", &[][..]),
            (" , ", &[]),
            ("ws://a", &["ws://a"]),
            ("ws://a, ws://b,unix:/c,", &["ws://a", "ws://b", "unix:/c"]),
            ("ws://me:p,w@a,ws://me:,@b/?x,y", &["ws://me:p,w@a", "ws://me:,@b/?x,y"]),
            ("ws://me:,,@a,,ws://b", &["ws://me:,,@a", "ws://b"]),
            ("ws://a,b,wss://c", &["ws://a,b", "wss://c"]),
            ("a,ws://b", &["a", "ws://b"]),
        ] {
            assert_eq!(comma_separated_urls(text), urls, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in r"[0-9.e+ -]{0,22}(ms|s|day|years|KiB|EiB|B|[a-zß]{0,3})") {
            let _ = duration(&Value::from(text.as_str()), DAY);
            let _ = size(&Value::from(text.as_str()), ANY_SIZE);
        }

        #[test]
        fn what_a_time_prints_as_it_is_read_as(millis in 1_u64..86_400_000) {
            let time = Duration::from_millis(millis);
            let text = humantime::format_duration(time).to_string();
            prop_assert_eq!(duration(&Value::from(text), DAY), Ok(time));
        }
    }
}

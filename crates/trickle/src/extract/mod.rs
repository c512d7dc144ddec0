//! Extractors: patterns that match a string and extract parts of it, such as `re|(?P<year>\d{4})|`. A format
//! is compiled with its program, which reports its errors. At run time a value either matches and yields the
//! extracted parts, or it does not match; extractors do not fail.
//!
//! # Security
//! Regular expressions run in linear time and have a bounded size. All other extractors read their input
//! once, from left to right.

mod cidr;
mod dissect;
mod format;
mod grok;
mod grok_logs;
mod grok_patterns;
mod influx;
mod kv;
mod regexes;

use std::{ops::Range, str::FromStr};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::{DateTime, NaiveDate, NaiveDateTime};

use self::{cidr::Cidr, dissect::Dissect, grok::Grok, kv::Kv, regexes::Captures};
pub(crate) use self::{format::written, regexes::Budget};
use crate::value::limits;
use towline_event::{Data, Value};

/// The kinds of extractors.
pub(crate) const KINDS: [&str; 11] =
    ["base64", "cidr", "datetime", "dissect", "glob", "grok", "influx", "json", "kv", "re", "rerg"];

/// The standard alphabet; padding is optional.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A compiled extractor.
#[derive(Debug)]
pub(crate) struct Extractor(Kind);

/// Why an extractor does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// An error in the format: the message, which follows the name of the kind, and the range of the format
    /// that it refers to.
    Format { words: String, letters: Option<Range<usize>> },
    /// The extractors of the program together exceed a limit.
    TooMuch(String),
}

#[derive(Debug)]
enum Kind {
    /// The decoded text.
    Base64,
    /// Prefix and mask of an address, in one of these networks.
    Cidr(Cidr),
    /// Nanoseconds since the epoch.
    Datetime(String),
    Dissect(Dissect),
    /// `true`.
    Glob(glob::Pattern),
    Grok(Box<Grok>),
    /// Measurement, tags, fields and timestamp of a line; the default timestamp is the ingest time.
    Influx,
    Json,
    Kv(Kv),
    /// The named captures of the first match.
    Re(Captures),
    /// The named captures of all matches, as one array per name.
    Rerg(Captures),
}

impl Extractor {
    /// Compiles `kind|format|`.
    ///
    /// # Errors
    /// An unknown kind, or an error in the format.
    pub(crate) fn compile(kind: &str, format: &str, budget: &mut Budget) -> Result<Self, Wrong> {
        let format = format::unescaped(format);
        let kind = kind.to_ascii_lowercase();
        let plain = |kind: Kind| match format.is_empty() {
            true => Ok(kind),
            false => Err(Wrong::from("takes no format: nothing stands between its `|`")),
        };
        let compiled = match kind.as_str() {
            "base64" => plain(Kind::Base64)?,
            "json" => plain(Kind::Json)?,
            "influx" => plain(Kind::Influx)?,
            "cidr" => Kind::Cidr(Cidr::compile(&format)?),
            "datetime" => Kind::Datetime(datetime_format(format)?),
            "dissect" => Kind::Dissect(Dissect::compile(&format)?),
            "glob" => Kind::Glob(glob::Pattern::new(&format).map_err(|error| no_glob(&error))?),
            "grok" => Kind::Grok(Box::new(Grok::compile(&format, budget)?)),
            "kv" => Kind::Kv(Kv::compile(&format)?),
            "re" => Kind::Re(Captures::compile(&format, budget)?),
            "rerg" => Kind::Rerg(Captures::compile(&format, budget)?),
            other => return Err(format!("is no extractor: {other:?}").into()),
        };
        Ok(Self(compiled))
    }

    /// The parts extracted from a value; `None` if it does not match. Only strings match. `ingest_ns` is the
    /// time at which the event was received.
    pub(crate) fn extract(&self, value: &Value, ingest_ns: u64) -> Option<Value> {
        let text = value.as_str()?;
        let found = match &self.0 {
            Kind::Base64 => Value::string(String::from_utf8(BASE64.decode(text).ok()?).ok()?),
            Kind::Cidr(cidr) => cidr.extract(text)?,
            Kind::Datetime(format) => datetime(text, format)?,
            Kind::Dissect(dissect) => dissect.extract(text)?,
            Kind::Glob(glob) => glob.matches(text).then_some(Value::Bool(true))?,
            Kind::Grok(grok) => grok.extract(text)?,
            Kind::Influx => influx::extract(text, ingest_ns)?,
            Kind::Json => Data::json(text.into()).ok()?.into_value(),
            Kind::Kv(kv) => kv.extract(text)?,
            Kind::Re(captures) => captures.first(text)?,
            Kind::Rerg(captures) => captures.all(text)?,
        };
        limits::measure(&found, 0, limits::SIZE_MAX).is_ok().then_some(found)
    }

    /// Whether the value matches, without building the result where possible. The decoded bytes of base64
    /// need not be UTF-8 here.
    pub(crate) fn matches(&self, value: &Value) -> bool {
        match (&self.0, value.as_str()) {
            (_, None) => false,
            (Kind::Base64, Some(text)) => BASE64.decode(text).is_ok(),
            (Kind::Glob(glob), Some(text)) => glob.matches(text),
            (Kind::Re(captures), Some(text)) => captures.is_match(text),
            _ => self.extract(value, 0).is_some(),
        }
    }
}

fn no_glob(error: &glob::PatternError) -> Wrong {
    let words = format!("takes a pattern, and this is none: {}", error.msg);
    Wrong::Format { words, letters: Some(error.pos..error.pos + 1) }
}

/// Checks a format of chrono.
fn datetime_format(format: String) -> Result<String, String> {
    if format.is_empty() {
        return Err("takes a format such as %Y-%m-%d %H:%M:%S".to_owned());
    }
    let known = |item: chrono::format::Item<'_>| !matches!(item, chrono::format::Item::Error);
    match chrono::format::StrftimeItems::new(&format).all(known) {
        true => Ok(format),
        false => Err(format!("does not know a specifier in {format:?}")),
    }
}

/// Nanoseconds since the epoch. The default zone is UTC, and the default time is midnight.
fn datetime(text: &str, format: &str) -> Option<Value> {
    let nanos = match DateTime::parse_from_str(text, format) {
        Ok(moment) => moment.timestamp_nanos_opt(),
        Err(_) => match NaiveDateTime::parse_from_str(text, format) {
            Ok(moment) => moment.and_utc().timestamp_nanos_opt(),
            Err(_) => {
                let midnight = NaiveDate::parse_from_str(text, format).ok()?.and_hms_opt(0, 0, 0)?;
                midnight.and_utc().timestamp_nanos_opt()
            }
        },
    };
    nanos.map(Value::Int)
}

// === impl Wrong ===

impl Wrong {
    /// The same error without its range, where the range does not refer to the format itself.
    fn without_place(self) -> Self {
        match self {
            Self::Format { words, .. } => words.into(),
            much @ Self::TooMuch(_) => much,
        }
    }
}

impl From<String> for Wrong {
    fn from(words: String) -> Self {
        Self::Format { words, letters: None }
    }
}

impl From<&str> for Wrong {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

/// A float; `None` if JSON cannot represent it.
fn float(text: &str) -> Option<Value> {
    f64::from_str(text).ok().filter(|number| number.is_finite()).map(Value::Float)
}

/// An integer.
fn integer(text: &str) -> Option<Value> {
    i64::from_str(text).ok().map(Value::Int)
}

#[cfg(test)]
mod linear;
#[cfg(test)]
mod tests;

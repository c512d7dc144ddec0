//! Extractors: patterns that match a string and extract parts of it, such as `re|(?P<year>\d{4})|`.
//!
//! A format is compiled with its program, which reports its errors. At run time a value either matches and
//! yields the extracted parts, or it does not match; extractors do not fail.
//!
//! # Security
//! Regular expressions run in linear time and have a bounded size. All other extractors read their input
//! once, from left to right.

mod cidr;
mod dissect;
mod escapes;
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
pub(crate) use self::{escapes::written, regexes::Budget};
use crate::value::limits;
use towline_event::{Data, Value};

/// The kinds of extractors.
pub(crate) const KINDS: [&str; 11] =
    ["base64", "cidr", "datetime", "dissect", "glob", "grok", "influx", "json", "kv", "re", "rerg"];

/// The standard alphabet of base64, with optional padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A compiled extractor.
#[derive(Debug)]
pub(crate) struct Extractor(ExtractorKind);

/// Why an extractor does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FormatError {
    /// An error in the format. `message` is shown after the name of the extractor's kind; `range` is the part of
    /// the format that it refers to.
    Format { message: String, range: Option<Range<usize>> },
    /// The extractors of the program together exceed a limit.
    OverBudget(String),
}

#[derive(Debug)]
enum ExtractorKind {
    /// The result is the decoded text.
    Base64,
    /// The result is the prefix and mask of an address in one of these networks.
    Cidr(Cidr),
    /// The result is a time in nanoseconds since the Unix epoch. The field is the format.
    Datetime(String),
    Dissect(Dissect),
    /// The result is `true`.
    Glob(glob::Pattern),
    Grok(Box<Grok>),
    /// The result is the measurement, tags, fields and timestamp of a line. The default timestamp is the
    /// ingest time.
    Influx,
    Json,
    Kv(Kv),
    /// The result is the named captures of the first match.
    Re(Captures),
    /// The result is the named captures of all matches, as one array per name.
    Rerg(Captures),
}

impl Extractor {
    /// Compiles `kind|format|`.
    ///
    /// # Errors
    /// An unknown kind, or an error in the format.
    pub(crate) fn compile(kind: &str, format: &str, budget: &mut Budget) -> Result<Self, FormatError> {
        let format = escapes::unescaped(format);
        let kind = kind.to_ascii_lowercase();
        let plain = |kind: ExtractorKind| match format.is_empty() {
            true => Ok(kind),
            false => Err(FormatError::from("takes no format; leave the space between its `|` empty")),
        };
        let compiled = match kind.as_str() {
            "base64" => plain(ExtractorKind::Base64)?,
            "json" => plain(ExtractorKind::Json)?,
            "influx" => plain(ExtractorKind::Influx)?,
            "cidr" => ExtractorKind::Cidr(Cidr::compile(&format)?),
            "datetime" => ExtractorKind::Datetime(datetime_format(format)?),
            "dissect" => ExtractorKind::Dissect(Dissect::compile(&format)?),
            "glob" => ExtractorKind::Glob(glob::Pattern::new(&format).map_err(|error| no_glob(&error))?),
            "grok" => ExtractorKind::Grok(Box::new(Grok::compile(&format, budget)?)),
            "kv" => ExtractorKind::Kv(Kv::compile(&format)?),
            "re" => ExtractorKind::Re(Captures::compile(&format, budget)?),
            "rerg" => ExtractorKind::Rerg(Captures::compile(&format, budget)?),
            other => return Err(format!("is not an extractor: {other:?}").into()),
        };
        Ok(Self(compiled))
    }

    /// Whether the extractor searches a text with a pattern. The time then depends on the pattern as well.
    pub(crate) fn searches(&self) -> bool {
        matches!(
            self.0,
            ExtractorKind::Glob(_) | ExtractorKind::Grok(_) | ExtractorKind::Re(_) | ExtractorKind::Rerg(_)
        )
    }

    /// The parts extracted from a value; `None` if it does not match. Only strings match. `ingest_ns` is the
    /// time at which the event was received.
    pub(crate) fn extract(&self, value: &Value, ingest_ns: u64) -> Option<Value> {
        let text = value.as_str()?;
        let found = match &self.0 {
            ExtractorKind::Base64 => Value::string(String::from_utf8(BASE64.decode(text).ok()?).ok()?),
            ExtractorKind::Cidr(cidr) => cidr.extract(text)?,
            ExtractorKind::Datetime(format) => datetime(text, format)?,
            ExtractorKind::Dissect(dissect) => dissect.extract(text)?,
            ExtractorKind::Glob(glob) => glob.matches(text).then_some(Value::Bool(true))?,
            ExtractorKind::Grok(grok) => grok.extract(text)?,
            ExtractorKind::Influx => influx::extract(text, ingest_ns)?,
            ExtractorKind::Json => Data::json(text.into()).ok()?.into_value(),
            ExtractorKind::Kv(kv) => kv.extract(text)?,
            ExtractorKind::Re(captures) => captures.first(text)?,
            ExtractorKind::Rerg(captures) => captures.all(text)?,
        };
        limits::measure(&found, 0, limits::SIZE_MAX).is_ok().then_some(found)
    }

    /// Whether the value matches; avoids building the result where possible. The decoded bytes of base64 need
    /// not be UTF-8 for a match.
    pub(crate) fn matches(&self, value: &Value) -> bool {
        match (&self.0, value.as_str()) {
            (_, None) => false,
            (ExtractorKind::Base64, Some(text)) => BASE64.decode(text).is_ok(),
            (ExtractorKind::Glob(glob), Some(text)) => glob.matches(text),
            (ExtractorKind::Re(captures), Some(text)) => captures.is_match(text),
            _ => self.extract(value, 0).is_some(),
        }
    }
}

fn no_glob(error: &glob::PatternError) -> FormatError {
    let message = format!("takes a glob pattern, and this one is invalid: {}", error.msg);
    FormatError::Format { message, range: Some(error.pos..error.pos + 1) }
}

/// Returns a date format, if it is valid for the `chrono` crate.
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

/// The time that a text denotes, in nanoseconds since the Unix epoch; `None` if the text does not match. The
/// default zone is UTC, and the default time is midnight.
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

// === impl FormatError ===

impl FormatError {
    /// The same error without its range, for a range that does not refer to the format itself.
    fn without_place(self) -> Self {
        match self {
            Self::Format { message, .. } => message.into(),
            much @ Self::OverBudget(_) => much,
        }
    }
}

impl From<String> for FormatError {
    fn from(message: String) -> Self {
        Self::Format { message, range: None }
    }
}

impl From<&str> for FormatError {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

/// Parses a float; `None` if JSON cannot represent it.
fn float(text: &str) -> Option<Value> {
    f64::from_str(text).ok().filter(|number| number.is_finite()).map(Value::Float)
}

/// Parses an integer; `None` if the text is not an integer of 64 bits.
fn integer(text: &str) -> Option<Value> {
    i64::from_str(text).ok().map(Value::Int)
}

#[cfg(test)]
mod linear;
#[cfg(test)]
mod tests;

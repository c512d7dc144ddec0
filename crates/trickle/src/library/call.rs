//! The call of a library function: access to its arguments, and limits for building its result.

use std::{fmt, io};

use bytes::Bytes;

use super::Outcome;
use crate::value::{
    cost::Steps,
    describe::{article, overflow},
    number::{Number, whole},
};
use towline_event::{Origin, Record, Value};

/// Bytes of text that a function processes in one step. The slowest functions (changing case, regular
/// expressions) process several hundred megabytes per second, so a step takes less than two microseconds.
pub(crate) const BYTES_PER_STEP: usize = 256;

/// Size of an array element in bytes, without the data it points to.
const ITEM: usize = size_of::<Value>();

/// Maximum length of a text shown in an error, in characters; a longer text is cut.
const SHOWN_MAX: usize = 40;

/// One call of a function.
pub(crate) struct Call<'c> {
    /// The function's name, for its errors.
    pub(super) name: &'static str,
    /// The arguments of the call. Their number fits the function's arity.
    pub(super) args: &'c [&'c Value],
    pub(super) context: &'c Context<'c>,
    /// The steps that remain for the event.
    pub(super) steps: &'c Steps,
}

/// The context of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'c> {
    /// The current time, in nanoseconds since the Unix epoch.
    pub(crate) now_ns: u64,
    /// The time when the event entered the proxy, in nanoseconds since the Unix epoch.
    pub(crate) ingest_ns: u64,
    /// The origin of the event, if known.
    pub(crate) origin: Option<&'c Origin>,
    /// Maximum size of the result, in bytes.
    pub(crate) size_max: usize,
}

/// A text under construction, within the size limit of a value.
pub(super) struct Text<'t, 'c> {
    call: &'t Call<'c>,
    text: Vec<u8>,
}

// === impl Call: arguments ===

impl<'c> Call<'c> {
    /// An argument of any type. `index` is less than the number of arguments.
    pub(super) fn any(&self, index: usize) -> &'c Value {
        static NULL: Value = Value::Null;
        self.args.get(index).copied().unwrap_or(&NULL)
    }

    pub(super) fn string(&self, index: usize) -> Result<&'c str, String> {
        self.any(index).as_str().ok_or_else(|| self.wrong(index, "a string"))
    }

    pub(super) fn bytes(&self, index: usize) -> Result<&'c Bytes, String> {
        match self.any(index) {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong(index, "a binary")),
        }
    }

    pub(super) fn array(&self, index: usize) -> Result<&'c [Value], String> {
        match self.any(index) {
            Value::Array(items) => Ok(items),
            _ => Err(self.wrong(index, "an array")),
        }
    }

    pub(super) fn record(&self, index: usize) -> Result<&'c Record, String> {
        match self.any(index) {
            Value::Record(record) => Ok(record),
            _ => Err(self.wrong(index, "a record")),
        }
    }

    pub(super) fn number(&self, index: usize) -> Result<Number, String> {
        match self.any(index) {
            Value::Big(big) => Err(self.fail(overflow(big))),
            value => Number::of(value).ok_or_else(|| self.wrong(index, "a number")),
        }
    }

    pub(super) fn integer(&self, index: usize) -> Result<i128, String> {
        match self.number(index) {
            Ok(Number::Int(number)) => Ok(number),
            Err(error) if matches!(self.any(index), Value::Big(_)) => Err(error),
            _ => Err(self.wrong(index, "an integer")),
        }
    }

    /// A non-negative integer argument, clamped to the range of `usize`.
    pub(super) fn size(&self, index: usize) -> Result<usize, String> {
        let number = self.integer(index)?;
        if number < 0 {
            return Err(self.not(index, "a non-negative integer", &number));
        }
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    }
}

// === impl Call: errors ===

impl Call<'_> {
    /// The error for an argument of the wrong type: `std::string::len takes a string, not an integer`.
    pub(super) fn wrong(&self, index: usize, wanted: &str) -> String {
        self.not(index, wanted, &article(self.any(index)))
    }

    /// The error for a wrong argument that is described by `found`.
    pub(super) fn not(&self, index: usize, wanted: &str, found: &dyn fmt::Display) -> String {
        const PLACES: [&str; 3] = ["first", "second", "third"];
        match PLACES.get(index) {
            Some(place) if self.args.len() > 1 => {
                format!("{} takes {wanted} as its {place} argument, not {found}", self.name)
            }
            _ => format!("{} takes {wanted}, not {found}", self.name),
        }
    }

    /// The error for a failed call, with the name of the function: `std::integer::parse: …`.
    pub(super) fn fail(&self, why: impl fmt::Display) -> String {
        format!("{}: {why}", self.name)
    }
}

// === impl Call: bounds ===

impl<'c> Call<'c> {
    /// Fails if a result of `bytes` bytes would exceed the size limit of a value.
    pub(super) fn room(&self, bytes: usize) -> Result<(), String> {
        let most = self.context.size_max;
        if bytes <= most {
            return Ok(());
        }
        let (most, unit) = if most < 1 << 20 { (most, "bytes") } else { (most >> 20, "MiB") };
        Err(self.fail(format_args!("the result would be larger than {most} {unit}")))
    }

    /// Spends the steps for visiting `items` items.
    pub(super) fn walk(&self, items: usize) -> Result<(), String> {
        self.steps.spend(items)
    }

    /// Spends the steps for reading `bytes` bytes of text.
    pub(super) fn read(&self, bytes: usize) -> Result<(), String> {
        self.walk(bytes / BYTES_PER_STEP)
    }

    /// Spends the steps for an array or a record of `items` items, and checks its size.
    pub(super) fn build(&self, items: usize) -> Result<(), String> {
        self.walk(items)?;
        self.room(items.saturating_mul(ITEM))
    }

    /// Begins a text result.
    pub(super) fn text<'t>(&'t self) -> Text<'t, 'c> {
        Text { call: self, text: Vec::new() }
    }

    /// The result for an integer; fails if it does not fit 64 bits.
    pub(super) fn whole(&self, number: i128) -> Outcome {
        whole(number).ok_or_else(|| self.fail("integer overflow: the result does not fit 64 bits"))
    }

    /// The result for a float; fails if it is not finite, because JSON cannot represent it.
    pub(super) fn finite(&self, number: f64) -> Outcome {
        if number.is_finite() { Ok(Value::Float(number)) } else { Err(self.fail("float overflow")) }
    }
}

/// A text argument as shown in errors: in backticks, cut if long.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        None => format!("`{text}`"),
        Some((end, _)) => format!("`{}…`", &text[..end]),
    }
}

// === impl Text ===

impl Text<'_, '_> {
    pub(super) fn push(&mut self, text: &str) -> Result<(), String> {
        self.call.room(self.text.len().saturating_add(text.len()))?;
        self.text.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Appends a string unchanged, any other value as JSON.
    pub(super) fn push_value(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::String(text) => self.push(text),
            other => self.push_json(other, false),
        }
    }

    pub(super) fn push_json(&mut self, value: &Value, pretty: bool) -> Result<(), String> {
        let call = self.call;
        let written = if pretty {
            serde_json::to_writer_pretty(&mut *self, value)
        } else {
            serde_json::to_writer(&mut *self, value)
        };
        // Every value can be written as JSON, so only the size limit can fail.
        written.map_err(|_| call.room(usize::MAX).err().unwrap_or_default())
    }

    pub(super) fn finish(self) -> Outcome {
        self.call.read(self.text.len())?;
        let text = String::from_utf8(self.text).map_err(|error| self.call.fail(error))?;
        Ok(Value::string(text))
    }
}

impl io::Write for Text<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.call.room(self.text.len().saturating_add(bytes.len())).is_err() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Write for Text<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text).map_err(|_| fmt::Error)
    }
}

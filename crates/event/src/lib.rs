//! Events, the unit of data in the proxy: ids, data and metadata.
//!
//! An [`Event`] is one message inside the proxy. Its [`Data`] stays unparsed JSON text until a pipeline reads
//! it; its [`Meta`] is the record that programs call `$`.
//!
//! This crate uses no actors, sockets or clocks.

mod big;
mod json;

use std::{cmp::Ordering, fmt, net::SocketAddr, str::FromStr, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use indexmap::IndexMap;
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

pub use self::big::BigNumber;
pub use self::json::{Small, small_float};

/// A record: keys in the order in which they were first written.
pub type Record = IndexMap<ByteString, Value>;

/// The name of an event, unique within one run of the process.
///
/// Prints and parses as `source:stream:event`, all decimal: the number of the listener in the
/// settings from 1, the number of the session on that listener since start from 0, the number of
/// the event in that session from 0.
///
/// ```
/// # use towline_event::EventId;
/// let id = EventId { source: 1, stream: 0, event: 9 };
/// assert_eq!(id.to_string(), "1:0:9");
/// assert_eq!("1:0:9".parse(), Ok(id));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Number of the listener in the settings, from 1.
    pub source: u32,
    /// Number of the session on that listener since start, from 0.
    pub stream: u64,
    /// Number of the event in that session, from 0.
    pub event: u64,
}

/// A text that is not `source:stream:event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id is three decimal numbers with colons between them, such as 1:0:9")]
pub struct EventIdError;

/// One message inside the proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event's id; a reply has the id of the event it answers.
    pub id: EventId,
    /// The content.
    pub data: Data,
    /// The metadata: `$` in the language.
    pub meta: Meta,
    /// The origin; `None` unless a program reads it.
    pub origin: Option<Arc<Origin>>,
    /// When it entered the proxy, in nanoseconds since the Unix epoch.
    pub ingest_ns: u64,
}

/// The origin of an event, as returned by `tremor::origin`.
///
/// `tremor-ws://10.0.0.7:51334/9139` is a message of the client 10.0.0.7:51334 to the listener on
/// port 9139; `tremor-ws://chat.internal:8139/rooms` is one of the upstream `ws://chat.internal:8139/rooms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Address or name of the peer; IPv6 addresses without brackets.
    pub host: String,
    /// The peer's port, if known.
    pub port: Option<u16>,
    /// For a client, the port it connected to; for an upstream, the segments of its path.
    pub path: Box<[String]>,
}

impl Origin {
    /// The scheme of every origin.
    pub const SCHEME: &str = "tremor-ws";

    /// The origin of events from a client; `port` is the port that it connected to.
    pub fn of_client(peer: SocketAddr, port: u16) -> Self {
        Self { host: peer.ip().to_string(), port: Some(peer.port()), path: Box::new([port.to_string()]) }
    }
}

/// The data of an event: a value, or JSON text that is not parsed yet.
#[derive(Debug, Clone)]
pub enum Data {
    /// A value.
    Value(Value),
    /// Well-formed JSON text, not parsed yet. Made by [`Data::json`] only.
    Json(JsonText),
}

/// JSON text that is known to be one well-formed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(ByteString);

/// A value of the language and of the codecs.
///
/// Cloning is cheap: strings, bytes, arrays and records are shared.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number that fits 64 signed bits.
    Int(i64),
    /// An integer above `i64::MAX`; smaller ones are always [`Value::Int`].
    Uint(u64),
    /// Any other number in the range of floats.
    Float(f64),
    /// A number out of both ranges.
    Big(BigNumber),
    /// UTF-8 text.
    String(ByteString),
    /// Bytes, written to JSON as base64 text.
    Bytes(Bytes),
    /// An ordered list.
    Array(Arc<Vec<Value>>),
    /// Keys and values, in order.
    Record(Arc<Record>),
}

/// The metadata of an event: the record `$` of the language.
///
/// `$binary`, whether the message is binary, is a separate field because every message has it. The rest is
/// one shared record, copied only when it is changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meta {
    /// `$binary`
    pub binary: bool,
    /// Whether `binary` decides the kind of the message that goes out; if not, a codec may take the kind
    /// from the type of the data.
    binary_set: bool,
    rest: Option<Arc<Record>>,
}

/// A value that is not allowed for a metadata key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// `$binary` is a boolean.
    #[error("$binary takes true or false, not {0}")]
    BinaryNotBool(&'static str),
    /// `$` is a record.
    #[error("$ takes a record, not {0}")]
    NotRecord(&'static str),
}

// === impl EventId ===

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.stream, self.event)
    }
}

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        let mut parts = text.split(':');
        let id = Self {
            source: number(parts.next())?,
            stream: number(parts.next())?,
            event: number(parts.next())?,
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

// === impl Data ===

impl Data {
    /// Checks JSON text without building a value.
    ///
    /// # Errors
    /// The parser's error, with line and column, when `text` is not one JSON document or nests deeper than
    /// 127 levels.
    pub fn json(text: ByteString) -> Result<Self, serde_json::Error> {
        json::check(&text)?;
        Ok(Self::Json(JsonText(text)))
    }

    /// Bytes of memory, without `size_of::<Self>()`; see [`Value::size`].
    pub fn size(&self) -> usize {
        match self {
            Self::Json(text) => text.0.len(),
            Self::Value(value) => value.size(),
        }
    }

    /// The value; parses JSON text.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Json(text) => text.parse(),
        }
    }

    /// The value, without a copy if it is a value already; parses JSON text.
    pub fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Json(text) => text.parse(),
        }
    }
}

impl From<Value> for Data {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.to_value() == other.to_value()
    }
}

impl JsonText {
    /// The text as received, white space included.
    pub fn as_text(&self) -> &ByteString {
        &self.0
    }

    /// Whether the document is a string.
    pub fn is_string(&self) -> bool {
        self.0.trim_start().starts_with('"')
    }

    /// The text itself.
    pub fn into_text(self) -> ByteString {
        self.0
    }

    fn parse(&self) -> Value {
        json::parse(&self.0).expect("checked by the same parser when it was made")
    }
}

// === impl Value ===

impl Value {
    /// The name of the value's type, for error texts.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Uint(_) => "integer",
            Self::Big(number) if number.is_integer() => "integer",
            Self::Big(_) => "float",
            Self::Float(_) => "float",
            Self::String(_) => "string",
            Self::Bytes(_) => "binary",
            Self::Array(_) => "array",
            Self::Record(_) => "record",
        }
    }

    /// Bytes of memory, without `size_of::<Self>()`; a shared part counts each time it occurs.
    pub fn size(&self) -> usize {
        /// Size of a key, its value, and their slot in the table.
        const ENTRY: usize = size_of::<(ByteString, Value)>() + 2 * size_of::<usize>();
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Uint(_) | Self::Float(_) => 0,
            Self::Big(number) => number.as_str().len(),
            Self::String(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Array(items) => items.iter().map(|item| size_of::<Self>() + item.size()).sum(),
            Self::Record(record) => record.iter().map(|(key, value)| ENTRY + key.len() + value.size()).sum(),
        }
    }

    /// A string value.
    pub fn string(text: impl Into<ByteString>) -> Self {
        Self::String(text.into())
    }

    /// An array value.
    pub fn array(items: Vec<Value>) -> Self {
        Self::Array(Arc::new(items))
    }

    /// A record value with the given pairs, in their order.
    pub fn record<K: Into<ByteString>>(pairs: impl IntoIterator<Item = (K, Value)>) -> Self {
        let record: Record = pairs.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Self::Record(Arc::new(record))
    }

    /// The value of a key; `None` if this is not a record or lacks the key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Record(record) => record.get(key),
            _ => None,
        }
    }

    /// The text; `None` if this is not a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Parses a JSON document.
    ///
    /// # Errors
    /// The parser's error, with line and column, when `text` is not one JSON document or nests deeper than
    /// 127 levels.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        json::parse(text)
    }

    /// Compact JSON without a trailing newline. A float that JSON cannot represent becomes `null`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned())
    }
}

impl PartialEq for Value {
    /// Numbers are equal when their numeric values are: `1 == 1.0`. The order of a record's keys does not
    /// matter.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Int(a), Self::Float(b)) | (Self::Float(b), Self::Int(a)) => {
                compare_int_to_float((*a).into(), *b).is_eq()
            }
            (Self::Uint(a), Self::Float(b)) | (Self::Float(b), Self::Uint(a)) => {
                compare_int_to_float((*a).into(), *b).is_eq()
            }
            (Self::Big(a), Self::Big(b)) => a == b,
            (Self::Big(a), Self::Float(b)) | (Self::Float(b), Self::Big(a)) => a.cmp_float(*b).is_eq(),
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Record(a), Self::Record(b)) => a == b,
            _ => false,
        }
    }
}

/// Compares an integer and a float by their exact numeric values.
pub fn compare_int_to_float(int: i128, float: f64) -> Ordering {
    if !float.is_finite() {
        return 0.0_f64.total_cmp(&float);
    }
    // A float beyond 128 bits becomes the nearest `i128`, which compares the same.
    let whole = float.trunc();
    int.cmp(&(whole as i128)).then(0.0_f64.total_cmp(&(float - whole + 0.0)))
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Uint(number), Self::Int)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Uint(number) => serializer.serialize_u64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Big(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.collect_str(&Base64(bytes)),
            Self::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items.iter() {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Record(record) => {
                let mut map = serializer.serialize_map(Some(record.len()))?;
                for (key, value) in record.iter() {
                    map.serialize_entry::<str, _>(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// Standard base64 with padding, written without a buffer.
struct Base64<'a>(&'a Bytes);

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base64::display::Base64Display::new(self.0, &base64::engine::general_purpose::STANDARD).fmt(f)
    }
}

// === impl Meta ===

impl Meta {
    /// Metadata with the given `$binary` and the given other keys.
    pub fn new(binary: bool, rest: Option<Arc<Record>>) -> Self {
        Self { binary, binary_set: false, rest }
    }

    /// The same metadata, where `$binary` decides the kind of the outgoing message.
    #[must_use]
    pub fn with_binary_set(self) -> Self {
        Self { binary_set: true, ..self }
    }

    /// Whether `$binary` decides the kind of the outgoing message, whatever the type of the data.
    pub fn is_binary_set(&self) -> bool {
        self.binary_set
    }

    /// The value of `$key`.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.get_ref(key).cloned()
    }

    /// The value of `$key`, without a copy.
    pub fn get_ref(&self, key: &str) -> Option<&Value> {
        static FLAGS: [Value; 2] = [Value::Bool(false), Value::Bool(true)];
        if key == "binary" {
            return Some(&FLAGS[usize::from(self.binary)]);
        }
        self.rest.as_ref()?.get(key)
    }

    /// Whether there is no key besides `$binary`.
    pub fn is_plain(&self) -> bool {
        self.rest.is_none()
    }

    /// Sets `$key`.
    ///
    /// # Errors
    /// When `key` is `binary` and the value is not a boolean.
    pub fn set(&mut self, key: &str, value: Value) -> Result<(), MetaError> {
        if key == "binary" {
            let Value::Bool(flag) = value else {
                return Err(MetaError::BinaryNotBool(value.type_name()));
            };
            (self.binary, self.binary_set) = (flag, true);
            return Ok(());
        }
        Arc::make_mut(self.rest.get_or_insert_default()).insert(key.into(), value);
        Ok(())
    }

    /// Removes `$key`. After `binary` is removed, it is false and does not decide the kind of the message.
    pub fn remove(&mut self, key: &str) {
        if key == "binary" {
            (self.binary, self.binary_set) = (false, false);
        } else if let Some(rest) = &mut self.rest {
            Arc::make_mut(rest).shift_remove(key);
        }
    }

    /// Replaces the whole record `$`. An unchanged `$binary` counts as not set, so that a program may add to
    /// the record without deciding the kind of the message.
    pub fn replace(&mut self, changed: Self) {
        let binary_set = self.binary_set || changed.binary_set && changed.binary != self.binary;
        *self = Self { binary_set, ..changed };
    }

    /// The whole record `$`.
    pub fn to_value(&self) -> Value {
        let mut record = Record::new();
        record.insert("binary".into(), Value::Bool(self.binary));
        if let Some(rest) = &self.rest {
            record.extend(rest.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        Value::Record(Arc::new(record))
    }

    /// Makes metadata of a whole record `$`.
    ///
    /// # Errors
    /// When `value` is not a record, or its `binary` is not a boolean.
    pub fn from_value(value: Value) -> Result<Self, MetaError> {
        let Value::Record(record) = value else {
            return Err(MetaError::NotRecord(value.type_name()));
        };
        let mut meta = Self { binary: false, binary_set: false, rest: Some(record) };
        if let Some(binary) = meta.rest.as_ref().and_then(|rest| rest.get("binary")).cloned() {
            meta.set("binary", binary)?;
            if let Some(rest) = &mut meta.rest {
                Arc::make_mut(rest).shift_remove("binary");
            }
        }
        Ok(meta)
    }
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

    #[test]
    fn whole_numbers_beyond_i64_survive_json() {
        let text = r#"[9223372036854775807,9223372036854775808,-1,1.0,1e3]"#;
        let value: Value = Value::from_json(text).unwrap();
        assert_eq!(value.to_json(), "[9223372036854775807,9223372036854775808,-1,1.0,1000.0]");
    }

    #[test]
    fn json_text_is_checked_but_kept_as_it_came() {
        let data = Data::json(r#"{ "b": 1, "a": [ ] }"#.into()).unwrap();
        let Data::Json(text) = &data else { panic!("parsed too early") };
        assert_eq!(text.as_text(), r#"{ "b": 1, "a": [ ] }"#);
        assert_eq!(data.to_value().to_json(), r#"{"b":1,"a":[]}"#);
        assert!(Data::json("{".into()).is_err());
        assert!(Data::json("{} {}".into()).is_err());
        assert!(Data::json("[".repeat(100_000).into()).is_err());
        assert_eq!(Data::json(r#"{"a": 1e999}"#.into()).unwrap().to_value().to_json(), r#"{"a":1e999}"#);
    }

    /// Records and arrays consist of values, so a larger value would cost every message.
    #[test]
    fn a_value_is_as_small_as_its_largest_usual_part() {
        assert_eq!(size_of::<Value>(), size_of::<ByteString>() + size_of::<usize>());
    }

    /// As floats, all of these would be equal.
    #[test]
    fn different_integers_are_never_equal() {
        let value = |text| Value::from_json(text).unwrap();
        let ids =
            ["9007199254740992", "9007199254740993", "92233720368547758423", "92233720368547758424", "1e400"];
        for (i, a) in ids.iter().enumerate() {
            for (j, b) in ids.iter().enumerate() {
                assert_eq!(value(a) == value(b), i == j, "{a} {b}");
            }
        }
        assert_ne!(value("9007199254740993"), Value::Float(9_007_199_254_740_992.0));
        assert_eq!(value("1"), value("1.0"));
    }

    #[test]
    fn bytes_are_base64_in_json() {
        assert_eq!(Value::Bytes(Bytes::from_static(b"\xff\x00")).to_json(), r#""/wA=""#);
    }

    #[test]
    fn metadata_keeps_binary_apart() {
        let mut meta = Meta::default();
        meta.set("binary", Value::Bool(true)).unwrap();
        meta.set("url", Value::string("ws://a")).unwrap();
        assert_eq!(meta.to_value().to_json(), r#"{"binary":true,"url":"ws://a"}"#);
        assert_eq!(Meta::from_value(meta.to_value()), Ok(meta.clone()));
        assert!(meta.set("binary", Value::Null).is_err());
        meta.remove("binary");
        meta.remove("url");
        assert_eq!(meta.get("url"), None);
        assert_eq!(meta.get("binary"), Some(Value::Bool(false)));
        assert!(Meta::from_value(Value::Null).is_err());
    }

    proptest! {
        #[test]
        fn every_id_survives_its_text(source: u32, stream: u64, event: u64) {
            let id = EventId { source, stream, event };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn no_text_makes_the_id_parser_panic(text in ".{0,40}") {
            let _ = text.parse::<EventId>();
        }
    }
}

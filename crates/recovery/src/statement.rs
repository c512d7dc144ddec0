//! Reads what a program sends to its port `journal`: a record with the kind of the message, and its ids.
//!
//! ```text
//! {"kind": "open", "id": 7}
//! {"kind": "data", "id_at": "params.subscription", "cursor": 12, "numbered": true}
//! ```

use bytes::Bytes;
use towline_event::{Record, Value};

use crate::{
    class::{ClientClass, Named, UpstreamClass},
    json::token,
};

/// The longest value of a statement, in bytes of JSON.
const MAX_VALUE: usize = 1024;

/// The kinds of messages that a client sends, with their keys.
const CLIENT: [(&str, &[&str]); 4] = [
    ("hello", &["key"]),
    ("open", &["id", "id_at", "request", "instance", "key", "resume"]),
    ("close", &["id", "id_at", "request"]),
    ("request", &["request"]),
];

/// The kinds of messages that an upstream sends, with their keys.
const UPSTREAM: [(&str, &[&str]); 8] = [
    ("greeting", &[]),
    ("accepted", &[]),
    ("rejected", &[]),
    ("leaving", &[]),
    ("answer", &["request", "id_at", "resumed"]),
    ("refused", &["request"]),
    ("ended", &["id", "id_at", "instance"]),
    ("data", &["id", "id_at", "cursor", "numbered"]),
];

/// Why a value is not a statement about a message, in words for the author of the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClassError(String);

type Read<T> = Result<T, ClassError>;

/// A statement whose kind and keys are known.
struct Fields<'a> {
    kind: &'static str,
    record: &'a Record,
}

impl ClientClass {
    /// Reads a statement about a client's message.
    ///
    /// # Errors
    /// When the value is not a record, its kind is unknown for a client's message, or a key is unknown, missing or
    /// wrong.
    pub fn parse(value: &Value) -> Result<Self, ClassError> {
        let fields = Fields::new(value, &CLIENT, &UPSTREAM, "an incoming")?;
        match fields.kind {
            "hello" => Ok(Self::Hello { key: fields.token("key")?.unwrap_or_default() }),
            "open" => {
                let (id, request) = (fields.id()?, fields.token("request")?);
                if id.is_none() && request.is_none() {
                    return Err(fields.lacks("id, id_at or request"));
                }
                let (instance, key) = (fields.token("instance")?, fields.token("key")?);
                Ok(Self::Open { id, request, instance, key, resume: fields.path("resume")? })
            }
            "close" => Ok(Self::Close { id: fields.needed_id()?, request: fields.token("request")? }),
            _ => Ok(Self::Request { request: fields.needed("request")? }),
        }
    }
}

impl UpstreamClass {
    /// Reads a statement about an upstream's message.
    ///
    /// # Errors
    /// When the value is not a record, its kind is unknown for an upstream's message, or a key is unknown, missing or
    /// wrong.
    pub fn parse(value: &Value) -> Result<Self, ClassError> {
        let fields = Fields::new(value, &UPSTREAM, &CLIENT, "an outgoing")?;
        match fields.kind {
            "greeting" => Ok(Self::Greeting),
            "accepted" => Ok(Self::Accepted),
            "rejected" => Ok(Self::Rejected),
            "leaving" => Ok(Self::Leaving),
            "answer" => {
                let (request, id_at) = (fields.needed("request")?, fields.path("id_at")?);
                Ok(Self::Answer { request, id_at, resumed: fields.flag("resumed")? })
            }
            "refused" => Ok(Self::Refused { request: fields.needed("request")? }),
            "ended" => Ok(Self::Ended { id: fields.needed_id()?, instance: fields.token("instance")? }),
            _ => {
                let (id, cursor) = (fields.needed_id()?, fields.token("cursor")?);
                let numbered = fields.flag("numbered")?;
                Ok(Self::Data { id, cursor, numbered })
            }
        }
    }
}

/// Checks a statement about a message of either peer.
///
/// # Errors
/// When the value is none.
pub fn check_class(value: &Value) -> Result<(), ClassError> {
    let is_upstream =
        value.get("kind").and_then(Value::as_str).is_some_and(|kind| keys(&UPSTREAM, kind).is_some());
    if is_upstream { UpstreamClass::parse(value).map(drop) } else { ClientClass::parse(value).map(drop) }
}

fn keys(
    kinds: &'static [(&'static str, &'static [&'static str])],
    kind: &str,
) -> Option<(&'static str, &'static [&'static str])> {
    kinds.iter().find(|(known, _)| *known == kind).copied()
}

fn names(kinds: &[(&'static str, &[&str])]) -> String {
    kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>().join(", ")
}

impl<'a> Fields<'a> {
    fn new(
        value: &'a Value,
        kinds: &'static [(&'static str, &'static [&'static str])],
        others: &'static [(&'static str, &'static [&'static str])],
        place: &str,
    ) -> Read<Self> {
        let Value::Record(record) = value else {
            let text = format!(
                "takes a record such as {{\"kind\": \"open\", \"id\": 7}}, not {}",
                value.type_name()
            );
            return Err(ClassError(text));
        };
        let kind = record.get("kind").and_then(Value::as_str);
        let Some(kind) = kind else {
            return Err(ClassError(format!("takes a record with `kind`: {}", names(kinds))));
        };
        let Some((kind, known)) = keys(kinds, kind) else {
            let text = match keys(others, kind) {
                Some(_) => {
                    format!("{place} pipeline has no messages of the kind {kind:?}; it has {}", names(kinds))
                }
                None => format!("unknown kind {:?}; known: {}", shortened(kind), names(kinds)),
            };
            return Err(ClassError(text));
        };
        let unknown = record.keys().find(|key| &***key != "kind" && !known.contains(&&***key));
        match (unknown, known) {
            (None, _) => Ok(Self { kind, record }),
            (Some(key), []) => Err(ClassError(format!("{kind:?} takes no key {:?}", shortened(key)))),
            (Some(key), known) => Err(ClassError(format!(
                "{kind:?} takes no key {:?}; it takes {}",
                shortened(key),
                known.join(", ")
            ))),
        }
    }

    /// The value of a key; `None` if it is missing or `null`.
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.record.get(key).filter(|value| !matches!(value, Value::Null))
    }

    /// A value as JSON, written in one way.
    fn token(&self, key: &str) -> Read<Option<Bytes>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        if value.size() > MAX_VALUE {
            return Err(self.wrong(key, "is too long: 1024 bytes are allowed"));
        }
        let token = value.to_json().into_bytes();
        match token.len() > MAX_VALUE {
            true => Err(self.wrong(key, "is too long: 1024 bytes are allowed")),
            false => Ok(Some(Bytes::from(token::canonical(&token).into_owned()))),
        }
    }

    fn needed(&self, key: &str) -> Read<Bytes> {
        self.token(key)?.ok_or_else(|| self.lacks(key))
    }

    fn id(&self) -> Read<Option<Named>> {
        match (self.token("id")?, self.path("id_at")?) {
            (Some(_), Some(_)) => Err(self.wrong("id", "and `id_at` exclude each other")),
            (id, path) => Ok(id.map(Named::Id).or(path.map(Named::At))),
        }
    }

    fn needed_id(&self) -> Read<Named> {
        self.id()?.ok_or_else(|| self.lacks("id or id_at"))
    }

    fn path(&self, key: &str) -> Read<Option<Box<str>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        match value.as_str() {
            Some(path) if path.len() <= MAX_VALUE && path.split('.').all(|part| !part.is_empty()) => {
                Ok(Some(path.into()))
            }
            _ => Err(self.wrong(key, "takes a path of keys separated by dots, such as \"params.id\"")),
        }
    }

    fn flag(&self, key: &str) -> Read<bool> {
        match self.value(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(key, &format!("takes true or false, not {}", other.type_name()))),
        }
    }

    fn lacks(&self, keys: &str) -> ClassError {
        ClassError(format!("{:?} needs {keys}", self.kind))
    }

    fn wrong(&self, key: &str, text: &str) -> ClassError {
        ClassError(format!("`{key}` of {:?} {text}", self.kind))
    }
}

/// The beginning of a text from an event, for an error text.
fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(40).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

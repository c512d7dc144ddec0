//! The metadata of an event.

use std::sync::Arc;

use crate::{Record, Value};

/// The metadata of an event: the record `$` of the language.
///
/// `$binary`, whether the message is binary, is a separate field because every message has it. The rest is
/// one shared record, copied only when it is changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meta {
    /// `$binary`: whether the message is binary.
    pub binary: bool,
    /// Whether the value of `binary` determines the type of the outgoing message, text or binary. If false, a
    /// codec may derive the type from the data.
    binary_set: bool,
    rest: Option<Arc<Record>>,
}

/// A value that is not allowed for a metadata key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// `$binary` must be a boolean. The field is the type of the refused value.
    #[error("$binary takes true or false, not {0}")]
    BinaryNotBool(&'static str),
    /// `$` must be a record. The field is the type of the refused value.
    #[error("$ takes a record, not {0}")]
    NotRecord(&'static str),
}

// === impl Meta ===

impl Meta {
    /// Creates metadata with the given `$binary` and the given other keys.
    pub fn new(binary: bool, rest: Option<Arc<Record>>) -> Self {
        Self { binary, binary_set: false, rest }
    }

    /// The same metadata, where `$binary` determines the type of the outgoing message.
    #[must_use]
    pub fn with_binary_set(self) -> Self {
        Self { binary_set: true, ..self }
    }

    /// Whether `$binary` determines the type of the outgoing message, regardless of the data.
    pub fn is_binary_set(&self) -> bool {
        self.binary_set
    }

    /// A copy of the value of `$key`; `None` if the key is absent.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.get_ref(key).cloned()
    }

    /// The value of `$key`, without a copy; `None` if the key is absent.
    pub fn get_ref(&self, key: &str) -> Option<&Value> {
        static FLAGS: [Value; 2] = [Value::Bool(false), Value::Bool(true)];
        if key == "binary" {
            return Some(&FLAGS[usize::from(self.binary)]);
        }
        self.rest.as_ref()?.get(key)
    }

    /// Whether `$binary` is the only key.
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

    /// Removes `$key`. Removing `binary` makes it false, so that it no longer determines the type of the
    /// message.
    pub fn remove(&mut self, key: &str) {
        if key == "binary" {
            (self.binary, self.binary_set) = (false, false);
        } else if let Some(rest) = &mut self.rest {
            Arc::make_mut(rest).shift_remove(key);
        }
    }

    /// Replaces the whole record `$`. An unchanged `$binary` counts as not set, so that a program can add
    /// keys without determining the type of the message.
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

    /// Creates metadata from the whole record `$`.
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
    use super::*;

    #[test]
    fn binary_is_stored_apart_and_shown_in_the_record() {
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
}

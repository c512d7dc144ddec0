//! The fields that `patch` and `merge` change: those of a record, or those of a JSON text.

use std::sync::Arc;

use bytestring::ByteString;

use towline_event::{Outline, Part, Record, Value};

/// Fields by their keys, in order.
pub(super) trait Fields {
    /// The value of a field.
    type Item: Item<Fields = Self>;

    /// Whether there is a field with this key.
    fn has(&self, key: &str) -> bool;

    /// The value of a field.
    fn field_mut(&mut self, key: &str) -> Option<&mut Self::Item>;

    /// The value of a field, which is set to `default` if it does not exist.
    fn field_or(&mut self, key: &ByteString, default: fn() -> Value) -> &mut Self::Item;

    /// Sets a field: at its place if it exists, otherwise as the last one.
    fn put(&mut self, key: ByteString, item: Self::Item);

    /// Removes a field. The order of the others does not change.
    fn take(&mut self, key: &str) -> Option<Self::Item>;
}

/// The value of a field.
pub(super) trait Item: Clone + From<Value> {
    /// The fields of a value that is a record.
    type Fields: Fields<Item = Self>;

    /// The fields of a record; `None` if the value is something else.
    fn fields_mut(&mut self) -> Option<&mut Self::Fields>;

    /// The value, for error texts.
    fn to_value(&self) -> Value;
}

impl Fields for Record {
    type Item = Value;

    fn has(&self, key: &str) -> bool {
        self.contains_key(key)
    }

    fn field_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.get_mut(key)
    }

    fn field_or(&mut self, key: &ByteString, default: fn() -> Value) -> &mut Value {
        self.entry(key.clone()).or_insert_with(default)
    }

    fn put(&mut self, key: ByteString, item: Value) {
        self.insert(key, item);
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.shift_remove(key)
    }
}

impl Item for Value {
    type Fields = Record;

    fn fields_mut(&mut self) -> Option<&mut Record> {
        match self {
            Self::Record(record) => Some(Arc::make_mut(record)),
            _ => None,
        }
    }

    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl<'t> Fields for Outline<'t> {
    type Item = Part<'t>;

    fn has(&self, key: &str) -> bool {
        self.contains_key(key)
    }

    fn field_mut(&mut self, key: &str) -> Option<&mut Part<'t>> {
        self.get_mut(key)
    }

    fn field_or(&mut self, key: &ByteString, default: fn() -> Value) -> &mut Part<'t> {
        self.get_or_insert_with(key, || default().into())
    }

    fn put(&mut self, key: ByteString, item: Part<'t>) {
        self.insert(key, item);
    }

    fn take(&mut self, key: &str) -> Option<Part<'t>> {
        self.remove(key)
    }
}

impl<'t> Item for Part<'t> {
    type Fields = Outline<'t>;

    fn fields_mut(&mut self) -> Option<&mut Outline<'t>> {
        Self::fields_mut(self)
    }

    fn to_value(&self) -> Value {
        Self::to_value(self)
    }
}

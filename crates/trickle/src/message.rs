//! An event inside a program.

use std::{cell::OnceCell, sync::Arc};

use crate::reads::Reads;
use towline_event::{Data, Event, EventId, JsonText, Meta, Origin, Value};

/// The data and metadata of an event. JSON text is parsed when the program first uses it. The text is kept,
/// so that unchanged data leaves as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The JSON text as received; `None` after the data is changed.
    text: Option<Data>,
    value: OnceCell<Value>,
    /// The part of the data that the readers of one stream need, parsed without the rest.
    part: OnceCell<Value>,
    pub(crate) meta: Meta,
}

impl Message {
    pub(crate) fn new(data: Data, meta: Meta) -> Self {
        match data {
            Data::Value(value) => Self::of(value, meta),
            text @ Data::Json(_) => {
                Self { text: Some(text), value: OnceCell::new(), part: OnceCell::new(), meta }
            }
        }
    }

    pub(crate) fn of(value: Value, meta: Meta) -> Self {
        Self { text: None, value: OnceCell::from(value), part: OnceCell::new(), meta }
    }

    /// The data, parsed if necessary.
    pub(crate) fn value(&self) -> &Value {
        self.value.get_or_init(|| self.text.as_ref().map(Data::to_value).unwrap_or_default())
    }

    /// The part of the data that `reads` covers. All readers of a stream pass the same `reads`.
    pub(crate) fn part(&self, reads: &Reads) -> &Value {
        match (&self.text, self.value.get()) {
            (Some(Data::Json(text)), None) => {
                self.part.get_or_init(|| reads.part_of(text).unwrap_or_else(|| self.value().clone()))
            }
            _ => self.value(),
        }
    }

    /// The data, if it is JSON text.
    pub(crate) fn json(&self) -> Option<&JsonText> {
        match &self.text {
            Some(Data::Json(text)) => Some(text),
            _ => None,
        }
    }

    /// Discards the parsed part when the message moves to another stream.
    pub(crate) fn forget_part(&mut self) {
        self.part = OnceCell::new();
    }

    /// The data, mutable; discards the JSON text.
    pub(crate) fn value_mut(&mut self) -> &mut Value {
        self.value();
        self.text = None;
        self.forget_part();
        self.value.get_mut().expect("the previous line sets it")
    }

    /// Replaces the data.
    pub(crate) fn set(&mut self, value: Value) {
        self.text = None;
        self.value = OnceCell::from(value);
    }

    /// Builds the outgoing event, with the id, origin and time of the incoming one.
    pub(crate) fn into_event(self, id: EventId, origin: Option<Arc<Origin>>, ingest_ns: u64) -> Event {
        let value = self.value;
        let data = self.text.unwrap_or_else(|| Data::Value(value.into_inner().unwrap_or_default()));
        Event { id, data, meta: self.meta, origin, ingest_ns }
    }
}

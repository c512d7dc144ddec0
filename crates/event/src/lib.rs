//! Events, the unit of data in the proxy: ids, data and metadata.
//!
//! An [`Event`] is one message inside the proxy. Its [`Data`] stays unparsed JSON text until a pipeline reads
//! it; its [`Meta`] is the record that programs call `$`.
//!
//! This crate uses no actors, sockets or clocks.

mod big;
mod data;
mod id;
mod json;
mod meta;
mod origin;
mod outline;
mod value;

use std::sync::Arc;

pub use self::{
    big::BigNumber,
    data::{Data, JsonText},
    id::{EventId, EventIdError, EventNumber},
    json::{
        parse::{Small, small_float},
        scanner::{JsonKey, JsonScanner},
    },
    meta::{Meta, MetaError},
    origin::Origin,
    outline::{Outline, Part, TooDeep},
    value::{Record, Value, compare_int_to_float},
};

/// One message inside the proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event's id; a reply has the id of the event it answers.
    pub id: EventId,
    /// The content of the message.
    pub data: Data,
    /// The metadata: `$` in the language.
    pub meta: Meta,
    /// The peer that sent the message; `None` unless a program reads it.
    pub origin: Option<Arc<Origin>>,
    /// When the event entered the proxy, in nanoseconds since the Unix epoch.
    pub ingest_ns: u64,
}

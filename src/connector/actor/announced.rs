//! Messages by which the upstream announces the end of the connection (`move.on_message`).

use super::Connector;
use crate::{
    event::{Data, Value},
    flow::{AckStatus, Cause},
};

impl Connector {
    /// Whether the data announces the end of the connection: `Some(true)` if the client gets it nevertheless. On a route
    /// whose sessions cannot move, it is data like any other.
    pub(super) fn announcement(&self, data: &Data) -> Option<bool> {
        let messages = self.upstream.move_messages.as_ref()?;
        self.announced.as_ref().filter(|announced| announced.is_set())?;
        match data {
            Data::Json(text) => messages.find(text.as_text().as_bytes()),
            Data::Value(Value::String(text)) => messages.find(text.as_bytes()),
            Data::Value(Value::Bytes(bytes)) => messages.find(bytes),
            Data::Value(value) => messages.find(value.to_json().as_bytes()),
        }
    }

    /// Has the session move. The message answers no event.
    pub(super) fn announced(&mut self, data: Data, delivers: bool) {
        if let Some(announced) = &self.announced {
            announced.leave();
        }
        match delivers {
            true => self.push(data),
            false => self.tracker.issue(Cause::Push).settle(AckStatus::Dropped),
        }
    }
}

//! `graphql-ws`: the older GraphQL protocol of subscriptions-transport-ws, subprotocol `graphql-ws`.
//!
//! Messages of its [PROTOCOL.md](https://github.com/apollographql/subscriptions-transport-ws/blob/master/PROTOCOL.md):
//!
//! | kind | from | message | name there |
//! |---|---|---|---|
//! | hello | client | `{"type":"connection_init","payload":{}}` | GQL_CONNECTION_INIT |
//! | accepted | upstream | `{"type":"connection_ack"}` | GQL_CONNECTION_ACK |
//! | rejected | upstream | `{"type":"connection_error","payload":{…}}` | GQL_CONNECTION_ERROR |
//! | open | client | `{"id":"1","type":"start","payload":{"query":"subscription{tick}"}}` | GQL_START |
//! | request | client | the same with a query or mutation; never sent again | GQL_START |
//! | data | upstream | `{"id":"1","type":"data","payload":{…}}` | GQL_DATA |
//! | ended | upstream | `{"id":"1","type":"complete"}`, `{"id":"1","type":"error","payload":{…}}` | GQL_COMPLETE, GQL_ERROR |
//! | close | client | `{"id":"1","type":"stop"}` | GQL_STOP |
//! | end of the session | client | `{"type":"connection_terminate"}` | GQL_CONNECTION_TERMINATE |
//!
//! `{"type":"ka"}` (GQL_CONNECTION_KEEP_ALIVE) passes. An operation in flight at a loss ends with
//! `{"id":"1","type":"error","payload":{"message":"…"}}`.

use bytes::Bytes;

use super::graphql;
use crate::{
    json::{Pattern, PatternError, Patterns, Rules, Test},
    kind::{Dialect, quoted, text},
};

/// Maximum size in bytes of a message that [`is_end`] examines. Such a message has no content.
const MAX_END: usize = 128;

pub(super) fn rules() -> Result<Rules, PatternError> {
    let is = |kind| Pattern::when("type", Test::is(kind));
    let ended = Pattern::when("type", Test::one_of(["complete", "error"])).id("id");
    let patterns = Patterns {
        hello: [is("connection_init")].into(),
        accepted: [is("connection_ack")].into(),
        rejected: [is("connection_error")].into(),
        open: [is("start").id("id").context(["id"])].into(),
        data: [is("data").id("id")].into(),
        ended: [ended].into(),
        close: [is("stop").id("id")].into(),
        ..Patterns::default()
    };
    let dialect = Dialect { failed: error, dropped: error, is_end, closes_requests: true, ..Dialect::PLAIN };
    Ok(Rules::new(&patterns, dialect)?.with_subscriptions(graphql::is_subscription))
}

/// GQL_CONNECTION_TERMINATE.
fn is_end(message: &[u8]) -> bool {
    let kind = || serde_json::from_slice::<serde_json::Value>(message).ok()?.get("type").cloned();
    message.len() <= MAX_END && kind().is_some_and(|kind| kind == "connection_terminate")
}

fn error(context: &[Bytes], reason: &str) -> Option<String> {
    let (id, reason) = (text(context.first()?), quoted(reason));
    Some(format!(r#"{{"id":{id},"type":"error","payload":{{"message":{reason}}}}}"#))
}

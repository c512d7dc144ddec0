//! `graphql-transport-ws`: GraphQL over WebSocket, subprotocol `graphql-transport-ws`.
//!
//! Sections of the [protocol](https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverWebSocket.md);
//! the client's operation ids are kept, so that only the text of messages is looked at.
//!
//! | kind | from | message | section |
//! |---|---|---|---|
//! | hello | client | `{"type":"connection_init","payload":{"token":"…"}}` | ConnectionInit |
//! | accepted | upstream | `{"type":"connection_ack"}` | ConnectionAck |
//! | open | client | `{"id":"1","type":"subscribe","payload":{"query":"subscription{tick}"}}` | Subscribe |
//! | request | client | the same with a query or mutation; never sent again | Subscribe |
//! | data | upstream | `{"id":"1","type":"next","payload":{…}}` | Next |
//! | ended | upstream | `{"id":"1","type":"complete"}`, `{"id":"1","type":"error","payload":[…]}` | Complete, Error |
//! | close | client | `{"id":"1","type":"complete"}` | Complete |
//! | pong | upstream | `{"type":"pong"}` for the client's `{"type":"ping"}` | Ping, Pong |
//!
//! An operation in flight at a loss ends with `{"id":"1","type":"error","payload":[{"message":"…"}]}`. The close
//! codes 4400, 4401, 4403, 4408 and 4429 refuse a login; 4409 refuses the id of an operation.

use bytes::Bytes;

use super::graphql;
use crate::{
    json::{Pattern, PatternError, Patterns, Rules, Test, path::Path, search, token},
    kind::{Dialect, quoted, text},
};

pub(super) fn rules() -> Result<Rules, PatternError> {
    let is = |kind| Pattern::when("type", Test::is(kind));
    let ended = Pattern::when("type", Test::one_of(["complete", "error"])).id("id");
    let patterns = Patterns {
        hello: [is("connection_init")].into(),
        accepted: [is("connection_ack")].into(),
        open: [is("subscribe").id("id").context(["id"])].into(),
        data: [is("next").id("id")].into(),
        ended: [ended].into(),
        close: [is("complete").id("id")].into(),
        ..Patterns::default()
    };
    let dialect = Dialect {
        failed: error,
        dropped: error,
        pong,
        is_dispensable: |message| is_of_type(message, "pong"),
        closes_requests: true,
        refusals: &[1008, 4400, 4401, 4403, 4408, 4409, 4429],
        ..Dialect::PLAIN
    };
    Ok(Rules::new(&patterns, dialect)?.with_subscriptions(graphql::is_subscription))
}

fn error(context: &[Bytes], reason: &str) -> Option<String> {
    let (id, reason) = (text(context.first()?), quoted(reason));
    Some(format!(r#"{{"id":{id},"type":"error","payload":[{{"message":{reason}}}]}}"#))
}

fn pong(message: &[u8]) -> Option<String> {
    is_of_type(message, "ping").then(|| r#"{"type":"pong"}"#.to_owned())
}

fn is_of_type(message: &[u8], kind: &str) -> bool {
    let span = search::find(message, &[Path::new("type")]).and_then(|found| found[0].clone());
    span.and_then(|span| token::decoded(&message[span])).is_some_and(|found| found == kind)
}

//! `openai-realtime`: the realtime API of OpenAI and of compatible servers.
//!
//! [Client events](https://platform.openai.com/docs/api-reference/realtime-client-events) and
//! [server events](https://platform.openai.com/docs/api-reference/realtime-server-events):
//!
//! | kind | from | message |
//! |---|---|---|
//! | greeting | upstream | `{"type":"session.created","session":{…}}` |
//! | hello | client | `{"type":"session.update","session":{…}}` |
//! | accepted | upstream | `{"type":"session.updated","session":{…}}` |
//! | request | client | `{"type":"response.create","event_id":"…"}`; never sent again |
//! | answer | upstream | `{"type":"response.done",…}` |
//!
//! An update sets only the fields that it has, so that the replay sends all updates of which a later one has not set
//! every field. The items of the conversation are gone with the connection: the gap notice says so. A response in
//! flight gets `{"type":"error","error":{"type":"server_error","code":"upstream_lost","message":"…"}}`.

use bytes::Bytes;
use serde_json::Value;

use crate::{
    json::{Pattern, PatternError, Patterns, Rules, Test},
    kind::{Dialect, quoted, text},
};

pub(super) fn rules() -> Result<Rules, PatternError> {
    let is = |kind| Pattern::when("type", Test::is(kind));
    let patterns = Patterns {
        greeting: [is("session.created")].into(),
        hello: [is("session.update")].into(),
        accepted: [is("session.updated")].into(),
        // A connection has one response at a time, so that requests need no id.
        request: [is("response.create").constant("response").context(["event_id"])].into(),
        answer: [is("response.done").constant("response")].into(),
        ..Patterns::default()
    };
    let dialect = Dialect { failed: error, answers_optional: true, covers, ..Dialect::PLAIN };
    Rules::new(&patterns, dialect)
}

fn error(context: &[Bytes], reason: &str) -> Option<String> {
    let (event, reason) = (text(context.first()?), quoted(reason));
    let details = format!(r#""code":"upstream_lost","message":{reason},"param":null,"event_id":{event}"#);
    Some(format!(r#"{{"type":"error","error":{{"type":"server_error",{details}}}}}"#))
}

/// Whether `later` sets each field that `earlier` sets.
fn covers(earlier: &[u8], later: &[u8]) -> bool {
    let session = |message| Some(serde_json::from_slice::<Value>(message).ok()?.get("session")?.clone());
    let (Some(earlier), Some(later)) = (session(earlier), session(later)) else { return false };
    sets_all(&earlier, &later)
}

fn sets_all(earlier: &Value, later: &Value) -> bool {
    let Value::Object(earlier) = earlier else { return true };
    earlier.iter().all(|(key, value)| later.get(key).is_some_and(|later| sets_all(value, later)))
}

//! `phoenix` and `phoenix-nudge`: Phoenix channels, serializer version 2 (`vsn=2.0.0`).
//!
//! Messages are `[join_ref, ref, topic, event, payload]`
//! ([Writing a Channels Client](https://hexdocs.pm/phoenix/writing_clients.html)):
//!
//! | kind | from | message |
//! |---|---|---|
//! | open | client | `["3","3","room:1","phx_join",{"token":"…"}]` |
//! | answer | upstream | `["3","3","room:1","phx_reply",{"status":"ok","response":{}}]` |
//! | refused | upstream | `["3","3","room:1","phx_reply",{"status":"error","response":{…}}]` |
//! | data | upstream | `["3",null,"room:1","new_msg",{…}]`, a broadcast has no join_ref |
//! | ended | upstream | `["3","3","room:1","phx_close",{}]`, `["3","3","room:1","phx_error",{}]` |
//! | close | client | `["3","9","room:1","phx_leave",{}]` |
//! | request | client | any other message with a ref; it may stay without an answer |
//! | pong | upstream | `[null,"9","phoenix","phx_reply",{"status":"ok","response":{}}]` for a heartbeat |
//!
//! Topics and refs are the client's. A push in flight at a loss gets a `phx_reply` with the status `error`. A
//! channel that fails gets `phx_error`, after which the client's library joins it again. `phoenix-nudge` sends that
//! to each channel after a reconnect instead of the join, so that the application's join parameters are fresh.

use bytes::Bytes;

use crate::{
    json::{Pattern, PatternError, Patterns, Rules, Test, path::Path, search},
    kind::{Dialect, quoted, text},
};

pub(super) fn rules(nudges: bool) -> Result<Rules, PatternError> {
    let event = |event| Pattern::when("3", Test::is(event));
    let known = |pattern: Pattern| pattern.request("1").context(["0", "1", "2"]);
    let reply = |status| event("phx_reply").and("4.status", Test::is(status)).request("1");
    let ended = Pattern::when("3", Test::one_of(["phx_close", "phx_error"]));
    let patterns = Patterns {
        open: [known(event("phx_join").id("2").instance("0"))].into(),
        close: [known(event("phx_leave").id("2"))].into(),
        request: [known(Pattern::when("1", Test::Present).and("3", Test::Present))].into(),
        answer: [reply("ok")].into(),
        refused: [reply("error")].into(),
        ended: [ended.id("2").instance("0")].into(),
        data: [Pattern::when("3", Test::Present).id("2")].into(),
        ..Patterns::default()
    };
    let dialect = Dialect {
        failed: error_reply,
        dropped: channel_error,
        closed,
        pong,
        answers_optional: true,
        nudges,
        ..Dialect::PLAIN
    };
    Rules::new(&patterns, dialect)
}

fn error_reply(context: &[Bytes], reason: &str) -> Option<String> {
    let reason = quoted(reason);
    reply(context, &format!(r#"{{"status":"error","response":{{"reason":{reason}}}}}"#))
}

fn closed(context: &[Bytes]) -> Option<String> {
    reply(context, r#"{"status":"ok","response":{}}"#)
}

fn reply(context: &[Bytes], payload: &str) -> Option<String> {
    let [join_ref, request, topic] = context else { return None };
    Some(format!(r#"[{},{},{},"phx_reply",{payload}]"#, text(join_ref), text(request), text(topic)))
}

fn channel_error(context: &[Bytes], _reason: &str) -> Option<String> {
    let [join_ref, _, topic] = context else { return None };
    Some(format!(r#"[{},null,{},"phx_error",{{}}]"#, text(join_ref), text(topic)))
}

fn pong(message: &[u8]) -> Option<String> {
    let found = search::find(message, &["1", "2", "3"].map(Path::new))?;
    let token = |index: usize| found[index].clone().map(|span| &message[span]);
    let is_heartbeat = token(1)? == b"\"phoenix\"" && token(2)? == b"\"heartbeat\"";
    let payload = r#"{"status":"ok","response":{}}"#;
    is_heartbeat
        .then(|| format!(r#"[null,{},"phoenix","phx_reply",{payload}]"#, text(token(0).unwrap_or(b"null"))))
}

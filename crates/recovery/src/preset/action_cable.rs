//! `action-cable`: Ruby on Rails' Action Cable, subprotocol `actioncable-v1-json`.
//!
//! Messages of `ActionCable::INTERNAL` and of its
//! [JavaScript client](https://github.com/rails/rails/tree/main/actioncable/app/javascript/action_cable):
//!
//! | kind | from | message |
//! |---|---|---|
//! | greeting | upstream | `{"type":"welcome"}` |
//! | rejected | upstream | `{"type":"disconnect","reason":"unauthorized","reconnect":false}` |
//! | leaving | upstream | `{"type":"disconnect","reason":"server_restart","reconnect":true}` |
//! | open | client | `{"command":"subscribe","identifier":"{\"channel\":\"Room\"}"}` |
//! | answer | upstream | `{"type":"confirm_subscription","identifier":"…"}` |
//! | refused | upstream | `{"type":"reject_subscription","identifier":"…"}` |
//! | data | upstream | `{"identifier":"…","message":{…}}` |
//! | close | client | `{"command":"unsubscribe","identifier":"…"}` |
//!
//! The identifier is the client's. `{"command":"message",…}` has an effect and no answer: it passes. The server's
//! `{"type":"ping","message":1700000000}` comes each 3 s; a client that misses it for 6 s reconnects, so that the
//! journal has a heartbeat. A subscription that fails is `reject_subscription`.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    json::{Pattern, PatternError, Patterns, Rules, Test},
    kind::{Dialect, text},
    outcome::{Heartbeat, Message},
};

pub(super) fn rules() -> Result<Rules, PatternError> {
    let kind = |kind| Pattern::when("type", Test::is(kind));
    let command = |command| Pattern::when("command", Test::is(command)).id("identifier");
    let patterns = Patterns {
        greeting: [kind("welcome")].into(),
        leaving: [kind("disconnect").and("reconnect", Test::Json("true".to_owned()))].into(),
        rejected: [kind("disconnect")].into(),
        open: [command("subscribe").request("identifier").context(["identifier"])].into(),
        answer: [kind("confirm_subscription").request("identifier")].into(),
        refused: [kind("reject_subscription").request("identifier")].into(),
        data: [Pattern::when("message", Test::Present).and("type", Test::Absent).id("identifier")].into(),
        close: [command("unsubscribe")].into(),
        ..Patterns::default()
    };
    let dialect = Dialect { failed: reject, dropped: reject, heartbeat: Some(heartbeat), ..Dialect::PLAIN };
    Rules::new(&patterns, dialect)
}

fn heartbeat() -> Heartbeat {
    Heartbeat { every: Duration::from_secs(3), message: Message::text(r#"{"type":"ping","message":0}"#) }
}

fn reject(context: &[Bytes], _reason: &str) -> Option<String> {
    Some(format!(r#"{{"identifier":{},"type":"reject_subscription"}}"#, text(context.first()?)))
}

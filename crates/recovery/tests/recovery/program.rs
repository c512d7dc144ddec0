//! Protocols whose messages a program classifies: what it says, and what the journal makes of it.

use std::time::Duration;

use towline_event::Value;
use towline_recovery::{ClientClass, Limits, Message, Offline, Protocol, UpstreamClass, check_class};

use crate::{NONE, rig::Rig};

fn rig() -> Rig {
    Rig::new(&Protocol::Program)
}

#[test]
fn a_text_protocol_is_replayed_and_its_notices_count() {
    let mut rig = rig();
    assert_eq!(rig.client_as("LOGIN x", r#"{"kind":"hello"}"#), ["> LOGIN x"]);
    assert_eq!(rig.client_as("SUB a", r#"{"kind":"open","id":"a","key":"topic a"}"#), ["> SUB a"]);
    assert_eq!(rig.client_as("SUB b", r#"{"kind":"open","id":"b"}"#), ["> SUB b"]);
    assert_eq!(rig.client_as("END b", r#"{"kind":"close","id":"b"}"#), ["> END b"]);
    assert_eq!(rig.client("anything"), ["> anything"]);
    let data = |cursor: u32| format!(r#"{{"kind":"data","id":"a","cursor":{cursor},"numbered":true}}"#);
    assert_eq!(rig.upstream_as("a 4", &data(4)), ["< a 4"]);
    assert_eq!(rig.lose(), NONE);
    assert_eq!(rig.connect(), ["> LOGIN x", "> SUB a", "ready"]);
    assert_eq!(rig.upstream_as("a 7", &data(7)), [r#"gap "topic a" "a" 2"#, "< a 7"]);
    assert_eq!(rig.upstream_as("GONE a", r#"{"kind":"ended","id":"a"}"#), ["< GONE a"]);
    assert_eq!(rig.journal.entries(), 0);
}

/// The upstream greets, accepts logins and assigns ids, as the program has shown on the first connection.
#[test]
fn answers_to_a_replay_are_hidden_and_ids_mapped() {
    let mut rig = rig();
    let (greeting, accepted) = (r#"{"kind":"greeting"}"#, r#"{"kind":"accepted"}"#);
    let answer = r#"{"kind":"answer","request":1,"id_at":"sub"}"#;
    let data = r#"{"kind":"data","id_at":"sub"}"#;
    assert_eq!(rig.upstream_as("hi", greeting), ["< hi"]);
    assert_eq!(rig.client_as("login", r#"{"kind":"hello"}"#), ["> login"]);
    assert_eq!(rig.upstream_as("welcome", accepted), ["< welcome"]);
    let open = r#"{"op":"open","ref":1}"#;
    assert_eq!(rig.client_as(open, r#"{"kind":"open","request":1}"#), [format!("> {open}")]);
    assert_eq!(rig.upstream_as(r#"{"ref":1,"sub":"u1"}"#, answer), [r#"< {"ref":1,"sub":"u1"}"#]);
    assert_eq!(rig.upstream_as(r#"{"sub":"u1","n":1}"#, data), [r#"< {"sub":"u1","n":1}"#]);
    rig.lose();
    assert_eq!(rig.connect(), NONE, "it waits for the greeting");
    assert_eq!(rig.upstream_as("hi", greeting), ["> login"]);
    assert_eq!(rig.upstream_as("welcome", accepted), [format!("> {open}")]);
    assert_eq!(rig.upstream_as(r#"{"sub":"u2","n":2}"#, data), NONE, "the id is not known yet");
    let restored = [r#"gap 1 "u1" unknown"#, r#"< {"sub":"u1","n":2}"#, "ready"];
    assert_eq!(rig.upstream_as(r#"{"ref":1,"sub":"u2"}"#, answer), restored);
    assert_eq!(rig.upstream_as(r#"{"sub": "u2" , "n":3}"#, data), [r#"< {"sub": "u1" , "n":3}"#]);
    let close = r#"{"kind":"close","id_at":"sub"}"#;
    assert_eq!(rig.client_as(r#"{"end":true,"sub":"u1"}"#, close), [r#"> {"end":true,"sub":"u2"}"#]);
    assert_eq!((rig.journal.entries(), rig.journal.bytes()), (0, "login".len() + 2 * r#""u1""#.len()));
}

#[test]
fn a_replay_continues_at_the_last_cursor() {
    let mut rig = rig();
    let open = r#"{"kind":"open","id":"a","request":1,"resume":"since"}"#;
    assert_eq!(rig.client_as(r#"{"since":null}"#, open), [r#"> {"since":null}"#]);
    rig.upstream_as("ok", r#"{"kind":"answer","request":1}"#);
    let data = |cursor: u32| format!(r#"{{"kind":"data","id":"a","cursor":{cursor},"numbered":true}}"#);
    rig.upstream_as("a", &data(3));
    rig.lose();
    assert_eq!(rig.connect(), [r#"> {"since":3}"#]);
    let resumed = r#"{"kind":"answer","request":1,"resumed":true}"#;
    assert_eq!(rig.upstream_as("ok", resumed), [r#"gap "a" "a" none"#, "ready"]);
    assert_eq!(rig.upstream_as("a", &data(3)), NONE, "it came before");
    assert_eq!(rig.upstream_as("a", &data(4)), ["< a"]);
}

#[test]
fn a_request_in_flight_fails_and_a_refused_replay_is_reported() {
    let mut rig = rig();
    rig.client_as("open", r#"{"kind":"open","id":7,"request":"r"}"#);
    rig.upstream_as("opened", r#"{"kind":"answer","request":"r"}"#);
    rig.client_as("pay", r#"{"kind":"request","request":"p"}"#);
    let lost = "failed 1 the connection to the upstream was lost before it answered";
    assert_eq!(rig.lose(), [lost]);
    assert_eq!(rig.connect(), ["> open"]);
    let refused = rig.upstream_as("no", r#"{"kind":"refused","request":"r"}"#);
    assert_eq!(
        refused,
        ["failed 0 the upstream refused the subscription after a reconnect", "gap  unknown", "ready"]
    );
}

#[test]
fn a_login_is_rejected_and_a_farewell_is_hidden() {
    let mut rig = rig();
    assert_eq!(rig.upstream_as("bye", r#"{"kind":"leaving"}"#), NONE);
    rig.client_as("login", r#"{"kind":"hello","key":"a"}"#);
    rig.client_as("other", r#"{"kind":"hello","key":"b"}"#);
    rig.client_as("login again", r#"{"kind":"hello","key":"a"}"#);
    rig.upstream_as("ok", r#"{"kind":"accepted"}"#);
    rig.lose();
    assert_eq!(rig.connect(), ["> other"]);
    let rejected = rig.upstream_as("no", r#"{"kind":"rejected"}"#);
    assert_eq!(rejected, ["< no", "broken the upstream refused the login of the replay"]);
}

/// A message whose id Towline would have to replace, and cannot, is not passed on with an id that is wrong.
#[test]
fn an_id_without_its_place_is_refused_where_the_upstream_assigns_ids() {
    let mut rig = rig();
    rig.client_as("open", r#"{"kind":"open","request":1}"#);
    rig.upstream_as(r#"{"id":5}"#, r#"{"kind":"answer","request":1,"id_at":"id"}"#);
    let unplaced = "port `journal`: the upstream assigns ids, so that `id_at` is needed in place of `id`";
    for kind in ["data", "ended"] {
        let statement = format!(r#"{{"kind":"{kind}","id":5}}"#);
        assert_eq!(rig.upstream_as(r#"{"id":5}"#, &statement), [format!("refused {unplaced}")]);
    }
    assert_eq!(rig.client_as("close 5", r#"{"kind":"close","id":5}"#), [format!("refused 1 {unplaced}")]);
    let nowhere = "port `journal`: the message has no id at the path in `id_at`";
    let statement = r#"{"kind":"data","id_at":"params.id"}"#;
    for text in [r#"{"id":5}"#, r#"{"params":{"id":null}}"#, "no JSON"] {
        assert_eq!(rig.upstream_as(text, statement), [format!("refused {nowhere}")]);
    }
}

#[test]
fn a_close_without_a_connection_takes_effect() {
    let mut rig = rig();
    rig.client_as("a", r#"{"kind":"open","id":"a"}"#);
    rig.lose();
    let class = |text| ClientClass::parse(&Value::from_json(text).unwrap()).unwrap();
    let message = Message::text("x");
    let open = class(r#"{"kind":"open","id":"b"}"#);
    assert_eq!(rig.journal.offline_as(&message, &open), Offline::Failed(None));
    assert_eq!(rig.journal.offline_as(&message, &class(r#"{"kind":"close","id":"a"}"#)), Offline::Done(None));
    assert_eq!(rig.connect(), ["gap  unknown", "ready"]);
    assert_eq!(rig.wait(Duration::from_secs(9)), NONE);
}

#[test]
fn a_close_with_a_request_fails_without_a_connection_and_takes_effect() {
    let mut rig = rig();
    rig.client_as("a", r#"{"kind":"open","id":"a"}"#);
    rig.lose();
    let close = ClientClass::parse(&Value::from_json(r#"{"kind":"close","id":"a","request":1}"#).unwrap());
    assert_eq!(rig.journal.offline_as(&Message::text("x"), &close.unwrap()), Offline::Failed(None));
    assert_eq!(rig.connect(), ["gap  unknown", "ready"]);
}

#[test]
fn logins_beyond_max_entries_are_refused() {
    let mut rig = Rig::bounded(&Protocol::Program, Limits { max_entries: 2, ..Limits::default() });
    let hello = |key: &str| format!(r#"{{"kind":"hello","key":"{key}"}}"#);
    for key in ["a", "b", "a"] {
        assert_eq!(rig.client_as("login", &hello(key)), ["> login"]);
    }
    let refused = ["refused 3 too many logins: recovery.max_entries allows 2"];
    assert_eq!(rig.client_as("login", &hello("c")), refused);
    assert_eq!(rig.client_as("login", &hello("b")), ["> login"]);
    rig.lose();
    assert_eq!(rig.connect(), ["> login", "> login", "gap  unknown", "ready"]);
}

#[test]
fn wrong_statements_say_what_is_allowed() {
    let client = |text: &str| ClientClass::parse(&Value::from_json(text).unwrap()).unwrap_err().to_string();
    let upstream =
        |text: &str| UpstreamClass::parse(&Value::from_json(text).unwrap()).unwrap_err().to_string();
    let kinds = "hello, open, close, request";
    assert_eq!(client("7"), r#"takes a record such as {"kind": "open", "id": 7}, not integer"#);
    assert_eq!(client(r#"{"id":7}"#), format!("takes a record with `kind`: {kinds}"));
    assert_eq!(client(r#"{"kind":"opne"}"#), format!(r#"unknown kind "opne"; known: {kinds}"#));
    assert_eq!(
        client(r#"{"kind":"data","id":1}"#),
        format!(r#"an incoming pipeline has no messages of the kind "data"; it has {kinds}"#)
    );
    assert!(upstream(r#"{"kind":"open","id":1}"#).starts_with("an outgoing pipeline has no messages of the"));
    assert_eq!(
        client(r#"{"kind":"close","id":1,"key":2}"#),
        r#""close" takes no key "key"; it takes id, id_at, request"#
    );
    assert_eq!(upstream(r#"{"kind":"greeting","id":1}"#), r#""greeting" takes no key "id""#);
    assert_eq!(client(r#"{"kind":"open","id":null}"#), r#""open" needs id, id_at or request"#);
    assert_eq!(client(r#"{"kind":"close"}"#), r#""close" needs id or id_at"#);
    assert_eq!(client(r#"{"kind":"request"}"#), r#""request" needs request"#);
    assert_eq!(
        client(r#"{"kind":"open","id":1,"id_at":"id"}"#),
        r#"`id` of "open" and `id_at` exclude each other"#
    );
    let path = r#"takes a path of keys separated by dots, such as "params.id""#;
    assert_eq!(upstream(r#"{"kind":"data","id_at":"a..b"}"#), format!(r#"`id_at` of "data" {path}"#));
    assert_eq!(client(r#"{"kind":"open","id":1,"resume":7}"#), format!(r#"`resume` of "open" {path}"#));
    assert_eq!(
        upstream(r#"{"kind":"data","id":1,"numbered":"yes"}"#),
        r#"`numbered` of "data" takes true or false, not string"#
    );
    let long = format!(r#"{{"kind":"open","id":"{}"}}"#, "x".repeat(1023));
    assert_eq!(client(&long), r#"`id` of "open" is too long: 1024 bytes are allowed"#);
    for (text, is_right) in [
        (r#"{"kind":"data","id":1}"#, true),
        (r#"{"kind":"open","id":1}"#, true),
        (r#"{"kind":"data"}"#, false),
        ("1", false),
    ] {
        assert_eq!(check_class(&Value::from_json(text).unwrap()).is_ok(), is_right, "{text}");
    }
}

/// The upstream assigns long ids, and the client closes many subscriptions.
#[test]
fn ids_of_closed_subscriptions_count_against_max_bytes() {
    let limits = Limits { max_bytes: 8 << 10, ..Limits::default() };
    let mut rig = Rig::bounded(&Protocol::Program, limits);
    for number in 0..100 {
        let id = format!("{number:0>1000}");
        rig.client_as("open", &format!(r#"{{"kind":"open","request":{number}}}"#));
        let answer = format!(r#"{{"kind":"answer","request":{number},"id_at":"id"}}"#);
        rig.upstream_as(&format!(r#"{{"id":"{id}"}}"#), &answer);
        rig.client_as(&format!(r#"{{"id":"{id}"}}"#), r#"{"kind":"close","id_at":"id"}"#);
        assert_eq!(rig.journal.entries(), 0);
        assert!(rig.journal.bytes() <= limits.max_bytes, "{}", rig.journal.bytes());
    }
    assert!(rig.journal.bytes() > limits.max_bytes / 2, "the last ones are known");
    // They give way to what the session needs.
    let open = "x".repeat(7 << 10);
    assert_eq!(rig.client_as(&open, r#"{"kind":"open","request":"last"}"#), [format!("> {open}")]);
    assert!(rig.journal.bytes() <= limits.max_bytes);
}

//! The functions of `tremor::origin`: the origin of the event, or `null` if unknown.

use super::{Arity::Exactly, Call, Function, Outcome};
use towline_event::{Origin, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::impure(
        "tremor::origin::scheme",
        Exactly(0),
        |call| of_origin(call, scheme),
        "the scheme of the event's origin: tremor-ws",
    ),
    Function::impure(
        "tremor::origin::host",
        Exactly(0),
        |call| of_origin(call, host),
        "the address of the peer that sent the event",
    ),
    Function::impure(
        "tremor::origin::port",
        Exactly(0),
        |call| of_origin(call, port),
        "the port of the peer that sent the event",
    ),
    Function::impure(
        "tremor::origin::path",
        Exactly(0),
        |call| of_origin(call, path),
        "the port that a client connected to, or the path of an upstream, as an array",
    ),
    Function::impure(
        "tremor::origin::as_uri_string",
        Exactly(0),
        |call| of_origin(call, as_uri_string),
        "the event's origin as a URI",
    ),
    Function::impure(
        "tremor::origin::as_uri_record",
        Exactly(0),
        |call| of_origin(call, as_uri_record),
        "scheme, host, port and path of the event's origin",
    ),
];

fn of_origin(call: &Call<'_>, read: fn(&Origin) -> Value) -> Outcome {
    Ok(call.context.origin.map_or(Value::Null, read))
}

fn scheme(_: &Origin) -> Value {
    Value::string(Origin::SCHEME)
}

fn host(origin: &Origin) -> Value {
    Value::string(origin.host.as_str())
}

fn port(origin: &Origin) -> Value {
    origin.port.map_or(Value::Null, |port| Value::Int(i64::from(port)))
}

fn path(origin: &Origin) -> Value {
    Value::array(origin.path.iter().map(|segment| Value::string(segment.as_str())).collect())
}

fn as_uri_string(origin: &Origin) -> Value {
    // An IPv6 address contains colons, so it needs brackets.
    let host = if origin.host.contains(':') { format!("[{}]", origin.host) } else { origin.host.clone() };
    let port = origin.port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = origin.path.iter().fold(String::new(), |path, segment| path + "/" + segment);
    Value::string(format!("{}://{host}{port}{path}", Origin::SCHEME))
}

fn as_uri_record(origin: &Origin) -> Value {
    Value::record([
        ("scheme", scheme(origin)),
        ("host", host(origin)),
        ("port", port(origin)),
        ("path", path(origin)),
    ])
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("tremor::origin::scheme", "[]", r#""tremor-ws""#),
    ("tremor::origin::scheme", "[1]", "error: tremor::origin::scheme takes no arguments, not 1"),
    ("tremor::origin::host", "[]", r#""::1""#),
    ("tremor::origin::host", "[1]", "error: tremor::origin::host takes no arguments, not 1"),
    ("tremor::origin::port", "[]", "51334"),
    ("tremor::origin::port", "[1]", "error: tremor::origin::port takes no arguments, not 1"),
    ("tremor::origin::path", "[]", r#"["9139"]"#),
    ("tremor::origin::path", "[1]", "error: tremor::origin::path takes no arguments, not 1"),
    ("tremor::origin::as_uri_string", "[]", r#""tremor-ws://[::1]:51334/9139""#),
    (
        "tremor::origin::as_uri_string",
        "[1]",
        "error: tremor::origin::as_uri_string takes no arguments, not 1",
    ),
    (
        "tremor::origin::as_uri_record",
        "[]",
        r#"{"scheme":"tremor-ws","host":"::1","port":51334,"path":["9139"]}"#,
    ),
    (
        "tremor::origin::as_uri_record",
        "[1]",
        "error: tremor::origin::as_uri_record takes no arguments, not 1",
    ),
];

#[cfg(test)]
#[test]
fn an_origin_without_a_path_ends_before_the_slash() {
    for (host, port, uri) in
        [("a.example", Some(80), "tremor-ws://a.example:80"), ("::1", None, "tremor-ws://[::1]")]
    {
        let origin = Origin { host: host.to_owned(), port, path: [].into() };
        assert_eq!(as_uri_string(&origin), Value::string(uri));
    }
}

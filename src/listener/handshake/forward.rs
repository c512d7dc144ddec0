//! Headers that pass between the two handshakes, and the client's handshake as metadata for pipelines.

use std::sync::Arc;

use actix_http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::context::RequestContext;
use crate::{
    auth::{Hidden, Source},
    certificate::TlsFacts,
    client_address,
    event::{EventId, Record, Value},
    header_list,
    log::PlaceLimit,
    settings::{AddedHeaders, HostHeader, Upstream},
    template::{Facts, TooLong},
    traces::{StartingTrace, TRACEPARENT, TRACESTATE},
};

/// Limits the log lines about responses with too many headers: an upstream sends the same ones to each client.
pub(super) static LEFT_OUT: PlaceLimit = PlaceLimit::new(10);

/// The headers of the upstream's handshake: the client's headers that `forward_headers` lists, with the forwarding
/// headers of [`Chain`](crate::client_address::Chain), then the headers from the settings, which replace others of the
/// same name.
///
/// # Errors
/// When a value from the settings becomes too long by its placeholders.
///
/// A header that the client's `Connection` lists is not passed on (RFC 9110 section 7.6.1).
pub(super) fn headers(
    context: &RequestContext,
    upstream: &Upstream,
    facts: &Facts<'_>,
) -> Result<Vec<(HeaderName, HeaderValue)>, TooLong> {
    let received_headers = context.head.headers();
    let mut headers: Vec<_> =
        host(received_headers, upstream).map(|host| (header::HOST, host)).into_iter().collect();
    for name in &upstream.forward_headers {
        if let Some(trace) = context.trace.as_ref().filter(|_| is_of_trace(name)) {
            headers.extend(of_trace(trace, name, received_headers));
            continue;
        }
        match context.chain.header(name, received_headers) {
            Some(value) => headers.push((name.clone(), value)),
            // Most requests have few of the headers that may be passed on.
            None if !received_headers.contains_key(name) => {}
            // What the client writes there is not passed on.
            None if client_address::is_forwarding(name) => {}
            None => {
                let received = received(received_headers, name);
                headers.extend(received.map(|value| (name.clone(), value.clone())));
            }
        }
    }
    let added = added(&upstream.headers, facts)?;
    for (name, values) in &context.known_headers {
        // The client's own header would be a second credential, or say that it is someone else.
        headers.retain(|(other, _)| other != name);
        if !added.iter().any(|(other, _)| other == name) {
            headers.extend(values.iter().map(|value| (name.clone(), value.clone())));
        }
    }
    headers.extend(added);
    Ok(headers)
}

fn is_of_trace(name: &HeaderName) -> bool {
    *name == TRACEPARENT || *name == TRACESTATE
}

/// What the upstream gets of a trace header: the session's own span, and the client's `tracestate` if that belongs to the
/// same trace.
fn of_trace(
    trace: &StartingTrace,
    name: &HeaderName,
    received_headers: &HeaderMap,
) -> Vec<(HeaderName, HeaderValue)> {
    let values: Vec<_> = match *name == TRACEPARENT {
        true => trace.header().into_iter().collect(),
        false if trace.continues() => received(received_headers, name).cloned().collect(),
        false => Vec::new(),
    };
    values.into_iter().map(|value| (name.clone(), value)).collect()
}

/// The headers that a setting adds for this request. A header whose placeholder has no value is left out.
///
/// # Errors
/// When a value becomes too long by its placeholders.
pub(super) fn added(
    headers: &AddedHeaders,
    facts: &Facts<'_>,
) -> Result<Vec<(HeaderName, HeaderValue)>, TooLong> {
    let mut added = Vec::new();
    for (name, template) in headers.iter() {
        let Some(value) = template.value(facts)? else { continue };
        // The settings are checked, and a client's part of the value is visible ASCII.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_bytes(&value))
        {
            added.push((name, value));
        }
    }
    Ok(added)
}

/// Headers of a response, in which `added` replace others of the same name.
pub(super) fn with_added(
    mut headers: Vec<(HeaderName, HeaderValue)>,
    added: Vec<(HeaderName, HeaderValue)>,
) -> Vec<(HeaderName, HeaderValue)> {
    headers.retain(|(name, _)| !added.iter().any(|(other, _)| other == name));
    headers.extend(added);
    headers
}

/// Maximum size of the headers that are passed on from an upstream's response, in bytes. Browsers accept
/// about 4 KiB for a cookie.
const RESPONSE_BYTES_MAX: usize = 16 * 1024;

/// The headers of the upstream's response that `forward_response_headers` lists, and the number of those that
/// were omitted because of [`RESPONSE_BYTES_MAX`]. Headers of the same name keep their order.
///
/// A header that the response's `Connection` lists is not passed on (RFC 9110 section 7.6.1).
pub(super) fn response(answer: &HeaderMap, upstream: &Upstream) -> (Vec<(HeaderName, HeaderValue)>, usize) {
    let (mut headers, mut left_out, mut room) = (Vec::new(), 0, RESPONSE_BYTES_MAX);
    for name in &upstream.forward_response_headers {
        for value in received(answer, name) {
            let length = name.as_str().len() + value.len() + ": \r\n".len();
            match room.checked_sub(length) {
                Some(rest) if is_one_line(value) => {
                    room = rest;
                    headers.push((name.clone(), value.clone()));
                }
                _ => left_out += 1,
            }
        }
    }
    (headers, left_out)
}

/// Whether a value cannot inject another header. The parser of the upstream's response already guarantees
/// this.
fn is_one_line(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control())
}

/// The `Host` header for the upstream; `None` if it is the host of the URL.
fn host(headers: &HeaderMap, upstream: &Upstream) -> Option<HeaderValue> {
    match &upstream.host {
        HostHeader::Upstream => None,
        // An empty `Host` is not passed on; the host of the URL is used instead.
        HostHeader::Client => headers.get(header::HOST).filter(|host| !host.is_empty()).cloned(),
        HostHeader::Name(name) => HeaderValue::try_from(name).ok(),
    }
}

/// The values of a header that may be passed on.
fn received<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    // Most requests have few of the headers that may be passed on.
    let ends_here = headers.contains_key(name) && header_list::is_named_by_connection(headers, name);
    headers.get_all(name).filter(move |_| !ends_here)
}

/// What a session is called.
pub(super) struct SessionNames<'a> {
    /// The id of the session's first event.
    pub(super) id: EventId,
    /// The listener's name.
    pub(super) listener: &'a str,
    /// The route's name.
    pub(super) route: &'a str,
}

/// The metadata `$request` and `$session` of a session's events.
///
/// ```json
/// {"request":{"path":"/chat","query":"a=1","headers":{"host":"example"},"subprotocol":null,
///  "peer":{"ip":"127.0.0.1","port":50000},"tls":null},
///  "session":{"id":"1:0","listener":"ws","route":"chat","subject":"7","claims":{"sub":"7","scope":"read"}}}
/// ```
/// The values of a header that occurs more than once are joined by commas. Values that are not visible ASCII
/// are omitted. Credentials are `***`. Without authentication, `subject` and `claims` are null.
pub(super) fn meta(context: &RequestContext, protocol: Option<&str>, names: SessionNames<'_>) -> Arc<Record> {
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::string);
    let RequestContext { head, peer, tls, .. } = context;
    let credentials = context.route.as_ref().map_or(&[][..], |route| &route.credentials);
    let (ip, port) = (peer.ip().to_string(), peer.port());
    let peer = Value::record([("ip", Value::string(ip)), ("port", Value::Int(port.into()))]);
    let request = Value::record([
        ("path", Value::string(head.uri.path())),
        ("query", text(context.query())),
        ("headers", header_record(head.headers(), credentials)),
        ("subprotocol", text(protocol)),
        ("peer", peer),
        ("tls", tls.as_ref().map_or(Value::Null, |tls| tls_record(tls))),
    ]);
    let identity = context.identity.as_deref();
    let session = Value::record([
        ("id", Value::string(format!("{}:{}", names.id.source, names.id.stream))),
        ("listener", Value::string(names.listener)),
        ("route", Value::string(names.route)),
        ("subject", text(identity.and_then(|identity| identity.subject.as_deref()))),
        ("claims", identity.map_or(Value::Null, |identity| Value::Record(Arc::clone(&identity.claims)))),
    ]);
    Arc::new(Record::from([("request".into(), request), ("session".into(), session)]))
}

/// What programs know of a client's TLS connection.
fn tls_record(facts: &TlsFacts) -> Value {
    let TlsFacts { version, cipher, server_name, client } = facts;
    let client = client.as_ref().map_or(Value::Null, |client| {
        let names = client.names.iter().map(|name| Value::string(name.to_string()));
        Value::record([
            ("subject", Value::string(&*client.subject)),
            ("names", Value::array(names.collect())),
            ("not_before", Value::Int(client.not_before)),
            ("not_after", Value::Int(client.not_after)),
        ])
    });
    Value::record([
        ("version", Value::string(*version)),
        ("cipher", Value::string(*cipher)),
        ("sni", server_name.as_deref().map_or(Value::Null, Value::string)),
        ("client", client),
    ])
}

fn header_record(headers: &HeaderMap, credentials: &[Source]) -> Value {
    let mut record = Record::new();
    for (name, value) in headers {
        let Ok(value) = value.to_str() else { continue };
        let value = Hidden::shown(credentials, name, value);
        let joined = match record.get(name.as_str()).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value,
        };
        record.insert(name.as_str().into(), Value::string(joined));
    }
    Value::Record(Arc::new(record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{header_list::header_map, settings::fixture};

    fn passed(names: &[&str], lines: &[(&'static str, &str)]) -> (Vec<String>, usize) {
        let mut upstream = fixture::upstream();
        upstream.forward_response_headers = names.iter().map(|name| name.parse().unwrap()).collect();
        let (headers, left_out) = response(&header_map(lines), &upstream);
        let text = |(name, value): &(HeaderName, HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        (headers.iter().map(text).collect(), left_out)
    }

    #[test]
    fn listed_headers_of_an_answer_keep_their_values_and_order() {
        let lines = [("set-cookie", "a=1"), ("x-one", "x"), ("set-cookie", "b=2, c"), ("x-two", "y")];
        let cookies = ["set-cookie: a=1", "set-cookie: b=2, c"].map(str::to_owned);
        assert_eq!(passed(&["set-cookie"], &lines), (cookies.to_vec(), 0));
        assert_eq!(passed(&["x-two"], &lines), (vec!["x-two: y".to_owned()], 0));
        assert_eq!(passed(&[], &lines), (vec![], 0));
        let named = [("connection", "upgrade, X-One"), ("x-one", "x"), ("x-two", "y")];
        assert_eq!(passed(&["x-one", "x-two"], &named), (vec!["x-two: y".to_owned()], 0));
    }

    #[test]
    fn the_size_of_passed_headers_is_limited() {
        let large = "x".repeat(RESPONSE_BYTES_MAX / 2);
        let lines =
            [("set-cookie", &*large), ("set-cookie", "a=1"), ("set-cookie", &*large), ("set-cookie", "b=2")];
        let (headers, left_out) = passed(&["set-cookie"], &lines);
        assert_eq!((headers.len(), left_out), (3, 1), "what still fits is passed on");
        assert_eq!(headers[2], "set-cookie: b=2");
    }
}

//! What of a client's handshake goes on to the upstream, and what a pipeline sees of it.

use std::{net::SocketAddr, sync::Arc};

use actix_http::{
    RequestHead,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};

use crate::{
    event::{EventId, Record, Value},
    header_list,
    settings::{HostHeader, Upstream},
};

/// The headers of the upstream's handshake: those of the client that `forward_headers` names, the
/// forwarding headers made or extended, then the configured ones, which replace others of their name.
///
/// `X-Forwarded-For: 10.0.0.7` from a client at 192.0.2.1 becomes `X-Forwarded-For: 10.0.0.7, 192.0.2.1`.
/// A header that the client's `Connection` names ends here (RFC 9110 section 7.6.1).
pub(super) fn headers(
    head: &RequestHead,
    peer: SocketAddr,
    upstream: &Upstream,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<_> = host(head, upstream).map(|host| (header::HOST, host)).into_iter().collect();
    for name in &upstream.forward_headers {
        let Ok(name) = HeaderName::try_from(name.as_str()) else { continue };
        let received: Vec<_> = received(head.headers(), &name).collect();
        match forwarding(&name, &received, head.headers().get(header::HOST), peer) {
            Some(value) => headers.push((name, value)),
            None => headers.extend(received.into_iter().map(|value| (name.clone(), value.clone()))),
        }
    }
    for (name, value) in &upstream.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value)) {
            headers.retain(|(known, _)| *known != name);
            headers.push((name, value));
        }
    }
    headers
}

/// The `Host` header, where it is another than that of the URL.
fn host(head: &RequestHead, upstream: &Upstream) -> Option<HeaderValue> {
    match &upstream.host {
        HostHeader::Upstream => None,
        // A host without name names none, and the URL's does.
        HostHeader::Client => head.headers().get(header::HOST).filter(|host| !host.is_empty()).cloned(),
        HostHeader::Name(name) => HeaderValue::try_from(name).ok(),
    }
}

/// The values of a header that may be passed on.
fn received<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    let ends_here = header_list::is_named_by_connection(headers, name);
    headers.get_all(name).filter(move |_| !ends_here)
}

/// The value of a header that proxies make; none for any other header, or when the received one is kept.
fn forwarding(
    name: &HeaderName,
    received: &[&HeaderValue],
    host: Option<&HeaderValue>,
    peer: SocketAddr,
) -> Option<HeaderValue> {
    match name.as_str() {
        "x-forwarded-for" => {
            let before = received.iter().filter_map(|value| value.to_str().ok());
            let peer = peer.ip().to_string();
            let list: Vec<&str> = before.chain([peer.as_str()]).collect();
            HeaderValue::try_from(list.join(", ")).ok()
        }
        "x-forwarded-proto" if received.is_empty() => Some(HeaderValue::from_static("http")),
        "x-forwarded-host" if received.is_empty() => host.cloned(),
        _ => None,
    }
}

/// `$request` and `$session` of a session's events.
///
/// ```json
/// {"request":{"path":"/chat","query":"a=1","headers":{"host":"example"},"subprotocol":null,
///  "peer":{"ip":"127.0.0.1","port":50000}},"session":{"id":"1:0","listener":"ws"}}
/// ```
/// A header that occurs more than once is joined by commas; bytes that are no text are left out.
pub(super) fn meta(
    head: &RequestHead,
    peer: SocketAddr,
    protocol: Option<&str>,
    id: EventId,
    listener: &str,
) -> Arc<Record> {
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::string);
    let (ip, port) = (peer.ip().to_string(), peer.port());
    let peer = Value::record([("ip", Value::string(ip)), ("port", Value::Int(port.into()))]);
    let request = Value::record([
        ("path", Value::string(head.uri.path())),
        ("query", text(head.uri.query())),
        ("headers", header_record(head.headers())),
        ("subprotocol", text(protocol)),
        ("peer", peer),
    ]);
    let session = Value::record([
        ("id", Value::string(format!("{}:{}", id.source, id.stream))),
        ("listener", Value::string(listener)),
    ]);
    Arc::new(Record::from([("request".into(), request), ("session".into(), session)]))
}

fn header_record(headers: &HeaderMap) -> Value {
    let mut record = Record::new();
    for (name, value) in headers {
        let Ok(value) = value.to_str() else { continue };
        let joined = match record.get(name.as_str()).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.to_owned(),
        };
        record.insert(name.as_str().into(), Value::string(joined));
    }
    Value::Record(Arc::new(record))
}

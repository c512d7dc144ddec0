//! What of a client's handshake goes on to the upstream, and what a pipeline sees of it.

use std::{net::SocketAddr, sync::Arc};

use actix_http::{
    RequestHead,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};

use crate::{
    event::{EventId, Record, Value},
    settings::Upstream,
};

/// The headers of the upstream's handshake: those of the client that `forward_headers` names, the
/// forwarding headers made or extended, then the configured ones, which replace others of their name.
///
/// `X-Forwarded-For: 10.0.0.7` from a client at 192.0.2.1 becomes `X-Forwarded-For: 10.0.0.7, 192.0.2.1`.
pub(super) fn headers(
    head: &RequestHead,
    peer: SocketAddr,
    upstream: &Upstream,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for name in &upstream.forward_headers {
        let Ok(name) = HeaderName::try_from(name.as_str()) else { continue };
        match forwarding(&name, head.headers(), peer) {
            Some(value) => headers.push((name, value)),
            None => headers.extend(head.headers().get_all(&name).map(|value| (name.clone(), value.clone()))),
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

/// The value of a header that proxies make; none for any other header, or when there is nothing to say.
fn forwarding(name: &HeaderName, headers: &HeaderMap, peer: SocketAddr) -> Option<HeaderValue> {
    match name.as_str() {
        "x-forwarded-for" => {
            let before = headers.get_all(name).filter_map(|value| value.to_str().ok());
            let peer = peer.ip().to_string();
            let list: Vec<&str> = before.chain([peer.as_str()]).collect();
            HeaderValue::try_from(list.join(", ")).ok()
        }
        "x-forwarded-proto" if !headers.contains_key(name) => Some(HeaderValue::from_static("http")),
        "x-forwarded-host" if !headers.contains_key(name) => headers.get(header::HOST).cloned(),
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
